//! When the tasks of a step are due.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;

/// When the tasks are due.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// The first due time, in seconds since 1970
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    due: i64,
    /// How often each task is due, a second apart
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    times: u32,
}

impl Schedule {
    /// How often each task is due.
    pub(super) fn times(self) -> u32 {
        self.times
    }

    /// The first due time.
    pub(super) fn due(self) -> Result<Timestamp> {
        Timestamp::from_second(self.due).context("--due is out of range")
    }

    /// The first due time, which has not passed: the runs before the start of a step would be missing.
    pub(super) fn future_due(self) -> Result<Timestamp> {
        let due = self.due()?;
        let early = due.duration_since(Timestamp::now());
        ensure!(early.is_positive(), "the runs were due {:#} ago: prepare them earlier", early.abs());
        Ok(due)
    }
}
