//! Tests of the rules: against a table of cases, against generated instances, and against another implementation.

mod limit;
mod oracle;
mod property;
mod table;

use serde_json::Value;

use super::Document;

fn read(value: &Value) -> Document {
    Document::from_value(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}
