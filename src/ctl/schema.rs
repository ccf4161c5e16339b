//! `eventctl schema`: checks the compatibility of schemas, and validates events.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde_json::{Value, json};

use super::file;
use super::output::Answer;
use crate::api::{Compatibility, CompatibilityMode, CompatibilityPolicy};
use crate::domain::schema::{Document, Fault, Violation, check};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a new revision of a schema for compatibility with the registered ones.
    ///
    /// The operator makes the same check before it registers a revision. Give all registered revisions, oldest first:
    /// modes that end in _TRANSITIVE compare with each of them, the others with the last; how long a property was
    /// deprecated is determined from the last two.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Validate events against a schema.
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(Validate),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  eventctl schema check order.v1.json order.json
  eventctl schema check --mode FULL_TRANSITIVE revisions/1.json revisions/2.json order.json
  git show main:order.json | eventctl schema check - order.json --policy strict

Exit codes: 0 compatible, 1 not compatible, 2 an error occurred.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  eventctl schema validate order.json event.json
  eventctl schema validate order.json --envelope cloudevent.json
  tail -n 1 events.ndjson | eventctl schema validate order.json - --json

Exit codes: 0 every event is valid, 1 an event is invalid, 2 an error occurred.";

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Registered revisions, oldest first: JSON or YAML, - for standard input.
    #[arg(required = true, value_name = "OLD")]
    old: Vec<PathBuf>,
    /// The new revision.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Compatibility mode: BACKWARD, FORWARD, FULL, each also with _TRANSITIVE, or NONE.
    #[arg(long, value_name = "MODE", default_value = "BACKWARD", value_parser = mode)]
    mode: CompatibilityMode,
    /// Compatibility policy.
    #[arg(long, value_enum, default_value_t = Policy::Lenient, ignore_case = true)]
    policy: Policy,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The schema: JSON or YAML, - for standard input.
    #[arg(value_name = "SCHEMA")]
    schema: PathBuf,
    /// Files with the data of one event each.
    #[arg(required = true, value_name = "EVENT")]
    events: Vec<PathBuf>,
    /// The files have whole events (an envelope or a CloudEvent), whose data is validated.
    #[arg(long)]
    envelope: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// An optional property may be added to an open object; only deprecated properties may be removed.
    Lenient,
    /// Every value that is valid for one schema must provably be valid for the other.
    Strict,
}

fn mode(text: &str) -> Result<CompatibilityMode, String> {
    let word = text.to_ascii_uppercase().replace('-', "_");
    CompatibilityMode::deserialize(StrDeserializer::<Error>::new(&word)).map_err(|_| {
        "write BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL, FULL_TRANSITIVE or NONE"
            .into()
    })
}

pub(super) fn answer(command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::Check(arguments) => check_revision(arguments),
        Command::Validate(arguments) => validate(arguments),
    }
}

fn check_revision(arguments: &Check) -> anyhow::Result<Answer> {
    let Check { old, new, mode, policy, json } = arguments;
    file::check_input_once(old.iter().chain([new]).map(PathBuf::as_path))?;
    let registered = old.iter().map(|path| file::schema(path)).collect::<anyhow::Result<Vec<Document>>>()?;
    let document = file::schema(new)?;
    let policy = match policy {
        Policy::Lenient => CompatibilityPolicy::Lenient,
        Policy::Strict => CompatibilityPolicy::Strict,
    };
    let violations = check(&document, &registered, Compatibility { mode: *mode, policy })
        .map_err(|refusal| anyhow::anyhow!("{}: {refusal}", file::name(new)))?;
    let rules = format!("{}, {policy:?}", word(*mode));
    let yes = violations.is_empty();
    let text = if *json {
        let violations: Vec<Value> = violations.iter().map(|violation| as_json(violation, old)).collect();
        let answer = json!({"compatible": yes, "mode": mode, "policy": policy, "violations": violations});
        serde_json::to_string_pretty(&answer)?
    } else if yes {
        format!("{}: compatible ({rules})", file::name(new))
    } else {
        let mut text = format!("{}: not compatible ({rules})\n", file::name(new));
        violations.iter().try_for_each(|violation| write_violation(&mut text, violation, old))?;
        text
    };
    Ok(Answer { yes, text })
}

fn word(mode: CompatibilityMode) -> String {
    serde_json::to_value(mode).ok().and_then(|word| word.as_str().map(String::from)).unwrap_or_default()
}

/// The name of the file with the revision that a violation is about.
fn registered_file(violation: &Violation, old: &[PathBuf]) -> String {
    old.get(violation.revision - 1).map_or_else(String::new, |path| file::name(path))
}

fn as_json(violation: &Violation, old: &[PathBuf]) -> Value {
    let Violation { rule, pointer, old: was, new: is, direction, revision, remedy } = violation;
    json!({
        "rule": rule.as_str(),
        "pointer": pointer,
        "direction": direction.as_str(),
        "revision": revision,
        "registered": registered_file(violation, old),
        "old": was,
        "new": is,
        "message": rule.description(),
        "remedy": remedy,
    })
}

fn write_violation(text: &mut String, violation: &Violation, old: &[PathBuf]) -> std::fmt::Result {
    let Violation { rule, pointer, old: was, new: is, direction, remedy, .. } = violation;
    let place = if pointer.is_empty() { "the whole schema" } else { pointer };
    let render =
        |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
    writeln!(text, "\n{rule} at {place}")?;
    writeln!(text, "  {} ({direction}, against {})", rule.description(), registered_file(violation, old))?;
    writeln!(text, "  old: {}", render(was))?;
    writeln!(text, "  new: {}", render(is))?;
    writeln!(text, "  remedy: {remedy}")
}

fn validate(arguments: &Validate) -> anyhow::Result<Answer> {
    let Validate { schema, events, envelope, json } = arguments;
    file::check_input_once(events.iter().chain([schema]).map(PathBuf::as_path))?;
    let document = file::schema(schema)?;
    let mut answers: Vec<(String, Vec<Fault>)> = Vec::new();
    for path in events {
        let event = file::value(path)?;
        let data = if *envelope { data(&event, path)? } else { &event };
        let faults = document
            .validate(data)
            .map_err(|refusal| anyhow::anyhow!("{}: {refusal}", file::name(schema)))?;
        answers.push((file::name(path), faults));
    }
    let yes = answers.iter().all(|(_, faults)| faults.is_empty());
    let text = if *json { results_json(yes, &answers)? } else { results_text(&answers)? };
    Ok(Answer { yes, text })
}

/// The data of an event.
fn data<'a>(event: &'a Value, path: &Path) -> anyhow::Result<&'a Value> {
    match event.get("data") {
        Some(data) => Ok(data),
        None => bail!(
            "{}: the member data is missing: write an envelope or a CloudEvent, or leave --envelope out if this is the data",
            file::name(path)
        ),
    }
}

fn results_json(yes: bool, answers: &[(String, Vec<Fault>)]) -> anyhow::Result<String> {
    let events: Vec<Value> = answers
        .iter()
        .map(|(event, faults)| {
            let faults_json = faults.iter().map(|Fault { pointer, rule, message }| {
                json!({"pointer": pointer, "rule": rule, "message": message})
            });
            json!({"event": event, "valid": faults.is_empty(), "faults": faults_json.collect::<Vec<_>>()})
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({"valid": yes, "events": events}))?)
}

fn results_text(answers: &[(String, Vec<Fault>)]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for (event, faults) in answers {
        let verdict = if faults.is_empty() { "valid" } else { "invalid" };
        writeln!(text, "{event}: {verdict}")?;
        for Fault { pointer, rule, message } in faults {
            let place = if pointer.is_empty() { "the data" } else { pointer };
            writeln!(text, "  {place}: {message} ({rule})")?;
        }
    }
    Ok(text)
}
