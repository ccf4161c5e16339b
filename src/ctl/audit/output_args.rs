//! The arguments for the output format of records.

use clap::{Args, ValueEnum};
use jiff::Zoned;

use super::super::terminal::{self, Color};
use super::render::Layout;

/// The output format of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// A table.
    #[default]
    Table,
    /// A table with the ids of the records.
    Wide,
    /// JSON with every field.
    Json,
    /// YAML with every field.
    Yaml,
}

/// Output format and colours.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(super) output: Output,
    /// When to colour outcomes.
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    color: Color,
}

impl OutputArgs {
    /// The layout for the terminal. Times are in the time zone of `now`.
    pub(super) fn layout(&self, now: &Zoned) -> Layout {
        Layout {
            zone: now.time_zone().clone(),
            width: terminal::width(),
            colored: self.color.is_on(),
            ids: self.output == Output::Wide,
        }
    }
}
