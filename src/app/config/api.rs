//! What the role `api` needs to know.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;

/// What the role `api` needs to know.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Api {
    /// Address of the REST API.
    #[arg(long, env = "EVENTCENTER_API_LISTEN", value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8090")]
    pub(in crate::app) api_listen: SocketAddr,

    /// How many requests a second each caller of the REST API may send.
    #[arg(long, env = "EVENTCENTER_API_RATE_LIMIT", value_name = "NUMBER", default_value = "50")]
    pub(in crate::app) api_rate_limit: NonZeroU32,

    /// Name of a Secret (kubernetes.io/tls) in the operator's namespace with the REST API's certificate. Without one it
    /// speaks HTTP, for whatever stands before it.
    #[arg(long, env = "EVENTCENTER_API_TLS_SECRET", value_name = "NAME")]
    pub(in crate::app) api_tls_secret: Option<String>,
}
