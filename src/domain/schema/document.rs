//! A schema that was read: its canonical text, its hash, and what fits to it.

use std::sync::OnceLock;

use eventcenter_sdk::Reason;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bounds::{self, refuse};
use super::evaluation::Evaluation;
use super::fuel::Fuel;
use super::node::Graph;
use super::reading::{self, Draft};
use super::text;
use crate::domain::Refusal;

/// A JSON Schema that was read and is bounded.
///
/// What two documents with the same [`hash`](Self::hash) accept is the same. Numbers are doubles, as RFC 8785 has them:
/// an integer beyond 2⁵³ is the nearest double.
#[derive(Debug)]
pub struct Document {
    value: Value,
    canonical: String,
    hash: String,
    draft: Draft,
    graph: Graph,
    validator: OnceLock<Result<Validator, String>>,
}

/// One place in an event that does not fit to the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON Pointer to the place in the event's data; empty for the data as a whole.
    pub pointer: String,
    /// The keyword of the schema that is not kept.
    pub rule: String,
    /// What is wrong, with the value.
    pub message: String,
}

impl Document {
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// [`Reason::SchemaInvalid`] with the place, the rule and the remedy if it is not a schema, is written in another
    /// dialect, refers to what is outside of it, or costs more than a schema may.
    pub fn read(value: &Value) -> Result<Self, Refusal> {
        bounds::depth(value)?;
        let canonical = serde_json_canonicalizer::to_string(value).map_err(|error| {
            refuse("", &format!("it has no canonical form: {error}"), "use finite numbers")
        })?;
        bounds::size(canonical.len(), bounds::SIZE)?;
        // From here on the schema is what will be stored, so that a revision and its copy never differ.
        let value: Value = serde_json::from_str(&canonical)
            .map_err(|error| refuse("", &format!("it has no canonical form: {error}"), "use plain JSON"))?;
        let draft = Draft::of(&value)?;
        let graph = reading::read(&value, draft)?;
        let hash = Sha256::digest(&canonical).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { value, canonical, hash, draft, graph, validator: OnceLock::new() })
    }

    /// Parses and reads a schema.
    ///
    /// # Errors
    ///
    /// As [`Document::read`], and if the text is too long, is no JSON, or names a member of an object twice.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        bounds::size(text.len(), bounds::TEXT)?;
        let value = text::parse(text).map_err(|error| {
            refuse("", &format!("it is not JSON: {error}"), "correct it; each name stands once in an object")
        })?;
        Self::read(&value)
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

    /// How many different regular expressions there are in it, which is what costs most to read.
    #[must_use]
    pub fn patterns(&self) -> usize {
        self.graph.patterns.len()
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What in an event's data does not fit to the schema; nothing if it fits.
    ///
    /// `format` is checked in draft-07 and is an annotation in 2020-12, as each of them says.
    ///
    /// # Errors
    ///
    /// [`Reason::SchemaInvalid`] if checking would cost too much, which takes a schema that refers to itself several
    /// times for one value and data that is nested as deeply as the schema likes.
    pub fn validate(&self, instance: &Value) -> Result<Vec<Fault>, Refusal> {
        let costly =
            |_| refuse("", "too complex to check this event with", "use fewer combinations of combinations");
        bounds::depth(instance).map_err(|_| {
            let rule = format!("the event is nested more than {} levels deep", bounds::DEPTH);
            Refusal::new(Reason::SchemaInvalid, format!("{rule}; send a flatter one"))
        })?;
        let mut fuel = Fuel::new(bounds::VALIDATION, bounds::EVALUATED);
        Evaluation::new(&self.graph, &mut fuel).holds(Graph::ROOT, instance).map_err(costly)?;
        let validator = self.validator.get_or_init(|| self.compile());
        let validator = validator.as_ref().map_err(|error| refuse("", error, "correct the schema"))?;
        Ok(validator.iter_errors(instance).map(|error| fault(&error)).collect())
    }

    fn compile(&self) -> Result<Validator, String> {
        let draft = match self.draft {
            Draft::Seven => jsonschema::Draft::Draft7,
            Draft::TwentyTwenty => jsonschema::Draft::Draft202012,
        };
        let patterns = PatternOptions::regex().size_limit(bounds::COMPILED).dfa_size_limit(bounds::COMPILED);
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
