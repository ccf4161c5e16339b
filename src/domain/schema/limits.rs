//! What a schema may cost: size, nesting, number of parts, and regular expressions.
//!
//! Admission requests wait for the answer. Each limit is far above what a hand-written schema needs, and low enough that
//! the most expensive schema within all limits is parsed in milliseconds.

use eventcenter_sdk::Reason;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::domain::Refusal;

/// Maximum size of the canonical form, in bytes.
pub(super) const MAX_SCHEMA_BYTES: usize = 128 * 1024;
/// Maximum size of a text before it is parsed, in bytes. White space is cheap but not free.
pub(super) const MAX_TEXT_BYTES: usize = 4 * MAX_SCHEMA_BYTES;
/// Maximum nesting of objects and arrays.
pub(super) const MAX_NESTING: usize = 64;
/// Maximum number of subschemas.
pub(super) const MAX_SUBSCHEMAS: usize = 4096;
/// Maximum number of uses of `$ref` and `$dynamicRef`.
pub(super) const MAX_REFERENCES: usize = 1024;
/// Maximum number of subschemas that apply to one value, each counted as often as it is reached.
pub(super) const MAX_UNFOLDED_SUBSCHEMAS: u32 = 10_000;
/// Maximum depth of subschemas that apply to one value, `$ref` included.
pub(super) const MAX_IN_PLACE_DEPTH: u32 = 64;
/// Maximum number of distinct regular expressions.
pub(super) const MAX_PATTERNS: usize = 64;
/// Maximum size of one regular expression, in bytes.
pub(super) const MAX_PATTERN_BYTES: usize = 1024;
/// Maximum size of one compiled regular expression, in bytes.
pub(super) const MAX_COMPILED_PATTERN_BYTES: usize = 256 * 1024;
/// Maximum number of steps of a comparison with one revision. Two hundred properties take about a thousand; the
/// most expensive known pair ends after 80 ms.
pub(super) const MAX_COMPARISON_STEPS: u32 = 120_000;
/// Maximum number of steps of one validation.
pub(super) const MAX_VALIDATION_STEPS: u32 = 2_000_000;
/// Maximum nesting of evaluations.
pub(super) const MAX_EVALUATION_DEPTH: u32 = 1_000;
/// Maximum nesting of proofs. Keeps the prover within the stack of a worker thread.
pub(super) const MAX_PROOF_DEPTH: u32 = 160;

/// Creates a `SchemaInvalid` refusal. An empty pointer stands for the whole schema.
pub(super) fn refusal(pointer: &str, rule: &str, remedy: &str) -> Refusal {
    let place = if pointer.is_empty() { "the schema" } else { pointer };
    Refusal::new(Reason::SchemaInvalid, format!("{place}: {rule}; {remedy}"))
}

/// Refuses deep nesting before any recursive function sees the value.
pub(super) fn check_nesting(value: &Value) -> Result<(), Refusal> {
    let mut level: Vec<&Value> = vec![value];
    for _ in 0..=MAX_NESTING {
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
    Err(refusal(
        "",
        &format!("objects and arrays are nested more than {MAX_NESTING} levels deep"),
        "move inner schemas to $defs and refer to them",
    ))
}

/// Refuses a schema that is too large.
pub(super) fn check_size(bytes: usize, limit: usize) -> Result<(), Refusal> {
    if bytes <= limit {
        return Ok(());
    }
    let rule = format!("it has {bytes} bytes and may have {limit}");
    Err(refusal("", &rule, "split the event type, or take long descriptions and examples out"))
}

/// Compiles a regular expression of ECMA 262 for an engine without backtracking, so that matching takes linear time.
pub(super) fn compile_pattern(text: &str, pointer: &str) -> Result<Regex, Refusal> {
    if text.len() > MAX_PATTERN_BYTES {
        let rule =
            format!("the regular expression has {} bytes and may have {MAX_PATTERN_BYTES}", text.len());
        return Err(refusal(pointer, &rule, "write a simpler one"));
    }
    let invalid = |rule: &str| {
        refusal(pointer, &format!("{rule}: {text}"), "use classes, groups, alternatives and repetitions only")
    };
    let translated = jsonschema_regex::to_rust_regex(text)
        .map_err(|()| invalid("this is not a regular expression of ECMA 262"))?;
    RegexBuilder::new(&translated)
        .size_limit(MAX_COMPILED_PATTERN_BYTES)
        .dfa_size_limit(MAX_COMPILED_PATTERN_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => refusal(
                pointer,
                &format!("the regular expression is too large when compiled: {text}"),
                "use smaller repetition counts; maxLength bounds a length better",
            ),
            _ => invalid("look-around, back references and unknown escapes are not supported"),
        })
}
