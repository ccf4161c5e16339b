//! A parsed schema: its canonical form, its hash, and validation of events.

use std::sync::OnceLock;

use eventcenter_sdk::Reason;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::draft::Draft;
use super::evaluation::Evaluator;
use super::fuel::Fuel;
use super::json;
use super::limits::{self, refusal};
use super::node::Graph;
use super::parser;
use crate::domain::Refusal;

/// A JSON Schema within the limits of this module.
///
/// Documents with the same [`hash`](Self::hash) accept the same instances. Numbers are doubles as in RFC 8785: an integer
/// beyond 2⁵³ becomes the nearest double.
#[derive(Debug)]
pub struct Document {
    value: Value,
    canonical: String,
    hash: String,
    draft: Draft,
    graph: Graph,
    validator: OnceLock<Result<Validator, String>>,
}

/// One validation error of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer to the value in the event's data; empty for the data as a whole.
    pub pointer: String,
    /// The keyword that the value violates.
    pub rule: String,
    /// Description of the error, with the value.
    pub message: String,
}

impl Document {
    /// Parses a schema.
    ///
    /// # Errors
    ///
    /// [`Reason::SchemaInvalid`] with location, rule and remedy if the value is not a schema, uses another dialect, refers to
    /// another document, or exceeds a limit.
    pub fn from_value(value: &Value) -> Result<Self, Refusal> {
        limits::check_nesting(value)?;
        let canonical = serde_json_canonicalizer::to_string(value).map_err(|error| {
            refusal("", &format!("it has no canonical form: {error}"), "use finite numbers")
        })?;
        limits::check_size(canonical.len(), limits::MAX_SCHEMA_BYTES)?;
        // From here on the schema is what will be stored, so that a revision and its stored copy never differ.
        let value: Value = serde_json::from_str(&canonical)
            .map_err(|error| refusal("", &format!("it has no canonical form: {error}"), "use plain JSON"))?;
        let draft = Draft::of(&value)?;
        let graph = parser::parse(&value, draft)?;
        let hash = Sha256::digest(&canonical).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { value, canonical, hash, draft, graph, validator: OnceLock::new() })
    }

    /// Parses a schema from JSON text.
    ///
    /// # Errors
    ///
    /// As [`Document::from_value`], and if the text is too long, is not JSON, or repeats a name within an object.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        limits::check_size(text.len(), limits::MAX_TEXT_BYTES)?;
        let value = json::parse(text).map_err(|error| {
            refusal(
                "",
                &format!("it is not JSON: {error}"),
                "correct it; a name must be unique within its object",
            )
        })?;
        Self::from_value(&value)
    }

    /// SHA-256 of the canonical form, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The canonical form (RFC 8785), as it is stored for a registered revision.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The schema as a value, with numbers as in the canonical form.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Number of distinct regular expressions. Compiling them is the most expensive part of parsing.
    #[must_use]
    pub fn pattern_count(&self) -> usize {
        self.graph.patterns.len()
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Validates an event's data. Returns an empty list if it is valid.
    ///
    /// `format` is an assertion in draft-07 and an annotation in 2020-12, as those specifications define it.
    ///
    /// # Errors
    ///
    /// [`Reason::SchemaInvalid`] if validation exceeds the step limit. That takes a schema that refers to itself several
    /// times for one value, and deeply nested data.
    pub fn validate(&self, instance: &Value) -> Result<Vec<Fault>, Refusal> {
        let costly =
            |_| refusal("", "too complex to validate this event", "use fewer combinations of combinations");
        limits::check_nesting(instance).map_err(|_| {
            let rule = format!("the event is nested more than {} levels deep", limits::MAX_NESTING);
            Refusal::new(Reason::SchemaInvalid, format!("{rule}; send a flatter one"))
        })?;
        let mut fuel = Fuel::new(limits::MAX_VALIDATION_STEPS, limits::MAX_EVALUATION_DEPTH);
        Evaluator::new(&self.graph, &mut fuel).evaluate(Graph::ROOT, instance).map_err(costly)?;
        let validator = self.validator.get_or_init(|| self.compile());
        let validator = validator.as_ref().map_err(|error| refusal("", error, "correct the schema"))?;
        Ok(validator.iter_errors(instance).map(|error| fault(&error)).collect())
    }

    fn compile(&self) -> Result<Validator, String> {
        let draft = match self.draft {
            Draft::Seven => jsonschema::Draft::Draft7,
            Draft::TwentyTwenty => jsonschema::Draft::Draft202012,
        };
        let patterns = PatternOptions::regex()
            .size_limit(limits::MAX_COMPILED_PATTERN_BYTES)
            .dfa_size_limit(limits::MAX_COMPILED_PATTERN_BYTES);
        let options = jsonschema::options().with_draft(draft).with_pattern_options(patterns).offline();
        options.build(&self.value).map_err(|error| error.to_string())
    }
}

fn fault(error: &jsonschema::ValidationError<'_>) -> Fault {
    Fault {
        pointer: error.instance_path().to_string(),
        rule: error.kind().keyword().to_owned(),
        message: error.to_string(),
    }
}
