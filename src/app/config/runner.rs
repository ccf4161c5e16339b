//! Settings of the role `runner`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::value::seconds;

/// Settings of the role `runner`.
#[derive(Clone, Debug, Args)]
pub(in crate::app) struct Runner {
    /// Maximum number of concurrent HTTP calls and events of tasks.
    #[arg(long, env = "EVENTCENTER_RUNNER_CONCURRENCY", value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(in crate::app) runner_concurrency: u16,

    /// After this time without a renewal of its claim a run is taken over by another runner. At least 5s.
    #[arg(long, env = "EVENTCENTER_RUNNER_LEASE", value_name = "TIME", default_value = "15s", value_parser = seconds)]
    pub(in crate::app) runner_lease: Duration,

    /// File with certificate authorities (PEM) that HTTP calls trust besides those of the system.
    #[arg(long, env = "EVENTCENTER_CALLBACK_CA", value_name = "FILE")]
    pub(in crate::app) callback_ca: Option<PathBuf>,
}
