//! Input files in JSON or YAML; `-` is standard input.

use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

use super::expansion::ExpandedSize;
use crate::domain::schema::{Document, StrictValue};

/// Maximum size of a file in bytes; schemas and events are far smaller.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The name of a file for messages.
pub(super) fn name(path: &Path) -> String {
    if is_input(path) { "standard input".into() } else { path.display().to_string() }
}

/// Checks that standard input is given at most once.
pub(super) fn check_input_once<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<()> {
    if paths.into_iter().filter(|path| is_input(path)).count() > 1 {
        bail!("standard input is given twice: - can stand for one file only");
    }
    Ok(())
}

/// Reads and parses a schema.
pub(super) fn schema(path: &Path) -> anyhow::Result<Document> {
    let value = value(path)?;
    Document::from_value(&value).map_err(|refusal| anyhow::anyhow!("{}: {refusal}", name(path)))
}

/// Reads a JSON or YAML value. Repeated keys are an error.
pub(super) fn value(path: &Path) -> anyhow::Result<Value> {
    let text = text(path).with_context(|| format!("reading {}", name(path)))?;
    let parsed = if is_json(path, &text) { parse_json(&text) } else { parse_yaml(&text) };
    parsed.map_err(|error| anyhow::anyhow!("{}: {error}", name(path)))
}

fn parse_json(text: &str) -> Result<Value, String> {
    let parsed = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"));
    parsed.map(|StrictValue(value)| value)
}

/// Parses a YAML value. Repeated keys are an error.
///
/// # Errors
/// The text is not YAML, not one value, or its aliases repeat too much. The message has the position.
pub fn parse_yaml(text: &str) -> Result<Value, String> {
    let invalid = |error| format!("this is not YAML: {error}");
    let size = serde_yaml::from_str(text).map_err(invalid)?;
    ExpandedSize::check(&[size], text)?;
    let StrictValue(value) = serde_yaml::from_str(text).map_err(invalid)?;
    Ok(value)
}

/// Whether a path is standard input.
pub(super) fn is_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a file is JSON: by its extension, or else by how the text begins.
fn is_json(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("yaml" | "yml") => false,
        _ => text.trim_start().starts_with(['{', '[']),
    }
}

/// Reads a file as text.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> =
        if is_input(path) { Box::new(std::io::stdin().lock()) } else { Box::new(fs::File::open(path)?) };
    source.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        bail!("the file has more than {MAX_FILE_BYTES} bytes");
    }
    Ok(text)
}
