//! Files in JSON or YAML, and standard input as `-`.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::domain::schema::{Document, StrictValue};

/// More than any schema or event may have.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What the user calls a file.
pub(super) fn name(path: &Path) -> String {
    if is_input(path) { "standard input".into() } else { path.display().to_string() }
}

/// Refuses standard input for two files: the second would be empty.
pub(super) fn read_once<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    if paths.into_iter().filter(|path| is_input(path)).count() > 1 {
        bail!("standard input is given twice: - can stand for one file only");
    }
    Ok(())
}

/// Reads a schema.
pub(super) fn schema(path: &Path) -> anyhow::Result<Document> {
    let value = value(path)?;
    Document::from_value(&value).map_err(|refusal| anyhow::anyhow!("{}: {refusal}", name(path)))
}

/// Reads a value.
pub(super) fn value(path: &Path) -> anyhow::Result<Value> {
    let text = text(path).with_context(|| format!("reading {}", name(path)))?;
    let parsed: Result<StrictValue, String> = if is_json(path, &text) {
        serde_json::from_str(&text).map_err(|error| format!("this is not JSON: {error}"))
    } else {
        serde_yaml::from_str(&text).map_err(|error| format!("this is not YAML: {error}"))
    };
    match parsed {
        Ok(StrictValue(value)) => Ok(value),
        Err(error) => bail!("{}: {error}", name(path)),
    }
}

/// Whether standard input is meant.
pub(super) fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// By the file's name; without one that says it, by how the text begins.
fn is_json(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("yaml" | "yml") => false,
        _ => text.trim_start().starts_with(['{', '[']),
    }
}

/// Reads text.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> =
        if is_input(path) { Box::new(std::io::stdin().lock()) } else { Box::new(fs::File::open(path)?) };
    source.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        bail!("it has more than {LARGEST} bytes; schemas and events are far smaller");
    }
    Ok(text)
}
