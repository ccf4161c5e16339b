//! Settings of the role `api`.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;

/// Settings of the role `api`.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Api {
    /// Address of the REST API.
    #[arg(long, env = "EVENTCENTER_API_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8090")]
    pub(in crate::app) api_listen: SocketAddr,

    /// Maximum number of requests per second of each user of the REST API.
    #[arg(long, env = "EVENTCENTER_API_RATE_LIMIT", value_name = "NUMBER", default_value = "50")]
    pub(in crate::app) api_rate_limit: NonZeroU32,

    /// Name of a Secret (kubernetes.io/tls) in the operator's namespace with the REST API's certificate. Without one it
    /// serves HTTP, behind a proxy that terminates TLS.
    #[arg(long, env = "EVENTCENTER_API_TLS_SECRET", value_name = "NAME")]
    pub(in crate::app) api_tls_secret: Option<String>,
}
