//! The output format of lists.

use clap::ValueEnum;
use serde::Serialize;

/// The output format of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// JSON with every field.
    Json,
    /// YAML with every field.
    Yaml,
}

impl OutputFormat {
    /// Renders a value as JSON or YAML, or else by `table`.
    pub(super) fn render(
        self,
        value: &impl Serialize,
        table: impl FnOnce() -> String,
    ) -> anyhow::Result<String> {
        Ok(match self {
            Self::Table | Self::Wide => table(),
            Self::Json => serde_json::to_string_pretty(value)?,
            Self::Yaml => serde_yaml::to_string(value)?,
        })
    }
}
