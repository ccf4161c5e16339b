//! Problems as text, JSON and annotations of GitHub Actions.

use serde_json::{Value, json};

use super::report::{Problem, Report};
use crate::domain::lint::Severity;

/// The resources with problems, and the position of each problem in the format of compilers.
pub(super) fn text(reports: &[Report]) -> String {
    let mut lines = Vec::new();
    for Report { file, resource, problems, .. } in reports.iter().filter(|report| !report.problems.is_empty())
    {
        lines.push(resource.clone());
        lines.extend(problems.iter().map(|Problem { position, diagnostic }| {
            format!("  {file}:{}:{}: {diagnostic}", position.line, position.column)
        }));
    }
    lines.push(summary(reports));
    lines.join("\n")
}

fn summary(reports: &[Report]) -> String {
    let resources = if reports.len() == 1 { "resource" } else { "resources" };
    let refused = reports.iter().filter(|report| report.is_refused()).count();
    format!("{} {resources}, {refused} refused", reports.len())
}

/// JSON. `refusals` and `warnings` repeat `problems` without positions.
pub(super) fn json(reports: &[Report]) -> serde_json::Result<String> {
    let resources: Vec<Value> = reports.iter().map(resource).collect();
    let accepted = !reports.iter().any(Report::is_refused);
    serde_json::to_string_pretty(&json!({"accepted": accepted, "resources": resources}))
}

fn resource(Report { file, position, resource, problems }: &Report) -> Value {
    let messages = |problems: &mut dyn Iterator<Item = &Problem>| -> Vec<Value> {
        problems
            .map(|Problem { diagnostic, .. }| match diagnostic.severity {
                Severity::Refusal(reason) => json!({"reason": reason, "message": diagnostic.message}),
                Severity::Warning => json!(diagnostic.message),
            })
            .collect()
    };
    let is_refusal = |problem: &&Problem| problem.diagnostic.is_refusal();
    json!({
        "file": file,
        "line": position.line,
        "resource": resource,
        "refusals": messages(&mut problems.iter().filter(is_refusal)),
        "warnings": messages(&mut problems.iter().filter(|problem| !is_refusal(problem))),
        "problems": problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

fn problem(Problem { position, diagnostic }: &Problem) -> Value {
    let mut problem = json!({
        "severity": if diagnostic.is_refusal() { "error" } else { "warning" },
        "field": diagnostic.field.to_string(),
        "line": position.line,
        "column": position.column,
        "message": diagnostic.message,
    });
    if let Severity::Refusal(reason) = diagnostic.severity {
        problem["reason"] = json!(reason);
    }
    problem
}

/// Workflow commands of GitHub Actions, a line each ("Workflow commands for GitHub Actions", "Setting an error
/// message").
pub(super) fn github(reports: &[Report]) -> String {
    let mut lines = Vec::new();
    for Report { file, resource, problems, .. } in reports {
        // GitHub expects paths relative to the repository.
        let file = file.strip_prefix("./").unwrap_or(file);
        for Problem { position, diagnostic } in problems {
            let (command, title) = match diagnostic.severity {
                Severity::Refusal(reason) => ("error", format!("{reason}: {resource}")),
                Severity::Warning => ("warning", resource.clone()),
            };
            lines.push(format!(
                "::{command} file={},line={},col={},title={}::{}",
                escape_property(file),
                position.line,
                position.column,
                escape_property(&title),
                escape_data(&diagnostic.message),
            ));
        }
    }
    lines.push(summary(reports));
    lines.join("\n")
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_of_workflow_commands_is_escaped() {
        assert_eq!(escape_data("100%: a,\nb\r"), "100%25: a,%0Ab%0D");
        assert_eq!(escape_property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}
