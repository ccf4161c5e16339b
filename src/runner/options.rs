//! Options of the runner.

use std::time::Duration;

/// Options of the runner.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of this runner in claims, unique for each start of a process.
    pub name: String,
    /// Maximum number of concurrent runs.
    pub concurrency: usize,
    /// Duration of a claim: after this time without a renewal other runners take a run over.
    pub lease: Duration,
    /// How long running attempts may take to end when the runner stops.
    pub grace: Duration,
}
