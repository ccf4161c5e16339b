//! The progress of a command, on the terminal of standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Interval at which the progress is printed.
const PRINT_INTERVAL: Duration = Duration::from_secs(1);

/// Erases the line (ECMA-48).
const ERASE_LINE: &str = "\r\u{1b}[2K";

/// A line that shows the progress. It is not printed if standard error is not a terminal.
pub(super) struct ProgressLine {
    printed_at: Option<Instant>,
    is_printed: bool,
}

impl ProgressLine {
    /// Starts with an empty line.
    pub(super) fn start() -> Self {
        Self { printed_at: std::io::stderr().is_terminal().then(Instant::now), is_printed: false }
    }

    /// Prints the progress, at most once an interval.
    pub(super) fn print(&mut self, progress: &impl Display) {
        if let Some(printed_at) = self.printed_at.as_mut().filter(|at| at.elapsed() >= PRINT_INTERVAL) {
            *printed_at = Instant::now();
            self.is_printed = true;
            drop(write!(std::io::stderr(), "{ERASE_LINE}{progress}"));
        }
    }

    /// Erases the line.
    pub(super) fn finish(self) {
        if self.is_printed {
            drop(write!(std::io::stderr(), "{ERASE_LINE}"));
        }
    }
}
