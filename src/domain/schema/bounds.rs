//! What a schema may cost: size, depth, number of parts, and regular expressions.
//!
//! Admission waits for an answer and so does everybody behind it. Each bound is far above what a hand-written schema
//! needs and low enough that the worst schema within all of them is read in milliseconds.

use eventcenter_sdk::Reason;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::domain::Refusal;

/// Bytes of the canonical form.
pub(super) const SIZE: usize = 128 * 1024;
/// Bytes of a text before it is parsed: white space is cheap, but not free.
pub(super) const TEXT: usize = 4 * SIZE;
/// Objects and arrays within each other.
pub(super) const DEPTH: usize = 64;
/// Subschemas.
pub(super) const SUBSCHEMAS: usize = 4096;
/// Uses of `$ref` and `$dynamicRef`.
pub(super) const REFERENCES: usize = 1024;
/// Subschemas that apply to one value, each counted as often as it is reached.
pub(super) const UNFOLDED: u32 = 10_000;
/// How deep subschemas that apply to one value lie within each other, `$ref` included.
pub(super) const HEIGHT: u32 = 64;
/// Different regular expressions.
pub(super) const PATTERNS: usize = 64;
/// Bytes of one regular expression.
pub(super) const PATTERN: usize = 1024;
/// Bytes of one compiled regular expression.
pub(super) const COMPILED: usize = 256 * 1024;
/// Steps of the comparison with one revision: two hundred properties take about a thousand, the worst pair known ends
/// after 80 ms.
pub(super) const STEPS: u32 = 120_000;
/// Steps of one validation.
pub(super) const VALIDATION: u32 = 2_000_000;
/// Subschemas that a validation has entered and not left.
pub(super) const EVALUATED: u32 = 1_000;
/// Calls of the prover within each other; keeps it within the stack of a worker thread.
pub(super) const NESTED: u32 = 160;

/// A refusal that names the place, the rule and the remedy.
pub(super) fn refuse(pointer: &str, rule: &str, remedy: &str) -> Refusal {
    let place = if pointer.is_empty() { "the schema" } else { pointer };
    Refusal::new(Reason::SchemaInvalid, format!("{place}: {rule}; {remedy}"))
}

/// Refuses what is nested too deeply, before anything recursive looks at it.
pub(super) fn depth(value: &Value) -> Result<(), Refusal> {
    let mut level: Vec<&Value> = vec![value];
    for _ in 0..=DEPTH {
        let inner = level.into_iter().flat_map(|value| match value {
            Value::Array(items) => items.iter().collect::<Vec<_>>(),
            Value::Object(members) => members.values().collect(),
            _ => Vec::new(),
        });
        level = inner.collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(refuse(
        "",
        &format!("objects and arrays are nested more than {DEPTH} levels deep"),
        "move inner schemas to $defs and refer to them",
    ))
}

/// Refuses a canonical form that is too long.
pub(super) fn size(bytes: usize, limit: usize) -> Result<(), Refusal> {
    if bytes <= limit {
        return Ok(());
    }
    let rule = format!("it has {bytes} bytes and may have {limit}");
    Err(refuse("", &rule, "split the event type, or take long descriptions and examples out"))
}

/// A regular expression of ECMA 262 for an engine that never backtracks, so that matching is linear.
pub(super) fn pattern(text: &str, pointer: &str) -> Result<Regex, Refusal> {
    if text.len() > PATTERN {
        let rule = format!("the regular expression has {} bytes and may have {PATTERN}", text.len());
        return Err(refuse(pointer, &rule, "write a simpler one"));
    }
    let invalid = |rule: &str| {
        refuse(pointer, &format!("{rule}: {text}"), "use classes, groups, alternatives and repetitions only")
    };
    let translated = jsonschema_regex::to_rust_regex(text)
        .map_err(|()| invalid("this is not a regular expression of ECMA 262"))?;
    RegexBuilder::new(&translated).size_limit(COMPILED).dfa_size_limit(COMPILED).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => refuse(
                pointer,
                &format!("the regular expression is too large when compiled: {text}"),
                "use smaller repetition counts; maxLength bounds a length better",
            ),
            _ => invalid("look-around, back references and unknown escapes are not supported"),
        }
    })
}
