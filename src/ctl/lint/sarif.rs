//! Problems in the Static Analysis Results Interchange Format (OASIS SARIF 2.1.0).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::report::{Problem, Report};
use crate::domain::lint::Severity;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The rule id of warnings; the rule id of a refusal is its reason.
const ADVICE: &str = "Advice";

/// The unreserved characters of RFC 3986, section 2.3, and the slash stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A log with one run.
pub(super) fn render(reports: &[Report]) -> serde_json::Result<String> {
    let problems =
        || reports.iter().flat_map(|report| report.problems.iter().map(move |problem| (report, problem)));
    let rules: BTreeMap<&str, Severity> =
        problems().map(|(_, problem)| (rule_id(problem), problem.diagnostic.severity)).collect();
    let ids: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = problems()
        .map(|(report, problem)| {
            let index = ids.iter().position(|id| *id == rule_id(problem));
            result(report, problem, index)
        })
        .collect();
    serde_json::to_string_pretty(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "eventctl lint",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(|(id, severity)| rule(id, severity)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

/// A reporting descriptor.
fn rule(id: &str, severity: Severity) -> Value {
    let description = match severity {
        Severity::Refusal(reason) => reason.description(),
        Severity::Warning => "The resource is accepted, but its declaration is risky.",
    };
    json!({"id": id, "shortDescription": {"text": description}, "defaultConfiguration": {"level": level(severity)}})
}

fn rule_id(problem: &Problem) -> &'static str {
    match problem.diagnostic.severity {
        Severity::Refusal(reason) => reason.as_str(),
        Severity::Warning => ADVICE,
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Refusal(_) => "error",
        Severity::Warning => "warning",
    }
}

fn result(report: &Report, problem: &Problem, rule_index: Option<usize>) -> Value {
    let Problem { position, diagnostic } = problem;
    json!({
        "ruleId": rule_id(problem),
        "ruleIndex": rule_index,
        "level": level(diagnostic.severity),
        "message": {"text": diagnostic.message},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&report.file)},
                "region": {"startLine": position.line, "startColumn": position.column},
            },
            "logicalLocations": [{"name": report.resource, "kind": "resource"}],
        }],
    })
}

/// A path as a URI: relative to the working directory, or with the scheme `file`.
fn uri(file: &str) -> String {
    let path = utf8_percent_encode(file.strip_prefix("./").unwrap_or(file), ENCODED).to_string();
    if path.starts_with('/') { format!("file://{path}") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("./topics/orders.yaml"), "topics/orders.yaml");
        assert_eq!(uri("/tmp/a b/ä.yaml"), "file:///tmp/a%20b/%C3%A4.yaml");
        assert_eq!(uri("c:#1?.yaml"), "c%3A%231%3F.yaml");
    }
}
