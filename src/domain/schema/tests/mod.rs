//! The rules against cases, against instances, and against another implementation.

mod bound;
mod oracle;
mod property;
mod table;

use serde_json::Value;

use super::Document;

fn read(value: &Value) -> Document {
    Document::read(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}
