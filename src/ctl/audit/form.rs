//! The form in which records are asked for: the same arguments wherever records are shown.

use clap::{Args, ValueEnum};
use jiff::Zoned;

use super::super::terminal::{self, Color};
use super::shown::Layout;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Table,
    /// For people, with the records' ids.
    Wide,
    /// With everything that is recorded.
    Json,
    /// The same.
    Yaml,
}

/// In which form records are asked for.
#[derive(Debug, Args)]
pub(super) struct Form {
    /// How they are written.
    #[arg(long, short, value_enum, default_value_t = Output::Table, value_name = "FORM")]
    pub(super) output: Output,
    /// When outcomes are coloured.
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

impl Form {
    /// The layout that fits the terminal, with times of the zone of `now`.
    pub(super) fn layout(&self, now: &Zoned) -> Layout {
        Layout {
            zone: now.time_zone().clone(),
            width: terminal::width(),
            colored: self.color.is_on(),
            ids: self.output == Output::Wide,
        }
    }
}
