//! The output of a test program with `--format json --report-time`: one event per line.

use std::time::Duration;

use serde::Deserialize;

/// The options that make a test program print [`Event`]s. They are unstable: the program accepts them only with
/// [`UNLOCK`] in its environment. The toolchain is pinned, so the format changes only together with it.
pub(super) const OPTIONS: [&str; 5] = ["-Z", "unstable-options", "--format", "json", "--report-time"];

/// The environment variable that unlocks [`OPTIONS`] on a stable toolchain.
pub(super) const UNLOCK: (&str, &str) = ("RUSTC_BOOTSTRAP", "1");

/// One line of a test program's standard output.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    subject: String,
    event: String,
    #[serde(default)]
    name: String,
    exec_time: Option<f64>,
    #[serde(default)]
    stdout: String,
}

/// The progress or result of one test, or of the whole program.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// The program begins to run its tests.
    Started,
    /// A test passed.
    Passed { name: String, time: Duration },
    /// A test failed, with what it printed.
    Failed { name: String, time: Duration, output: String },
    /// The harness skipped a test.
    Ignored { name: String },
    /// A test has been running for a minute.
    Slow { name: String },
    /// An event that is not used.
    Other,
}

/// Parses one line; `None` if it is not an event but output that bypassed the harness.
pub(super) fn parse(line: &str) -> Option<Event> {
    let line: Line = serde_json::from_str(line).ok()?;
    let name = line.name;
    let time = Duration::try_from_secs_f64(line.exec_time.unwrap_or_default()).unwrap_or_default();
    Some(match (line.subject.as_str(), line.event.as_str()) {
        ("suite", "started") => Event::Started,
        ("test", "ok") => Event::Passed { name, time },
        ("test", "failed") => Event::Failed { name, time, output: line.stdout },
        ("test", "ignored") => Event::Ignored { name },
        ("test", "timeout") => Event::Slow { name },
        _ => Event::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_parsed() {
        let name = || "drift::a_test".to_owned();
        let time = Duration::from_millis(1500);
        for (line, expected) in [
            (r#"{ "type": "suite", "event": "started", "test_count": 2 }"#, Event::Started),
            (r#"{ "type": "test", "event": "started", "name": "drift::a_test" }"#, Event::Other),
            (
                r#"{ "type": "test", "name": "drift::a_test", "event": "ok", "exec_time": 1.5 }"#,
                Event::Passed { name: name(), time },
            ),
            (
                r#"{ "type": "test", "name": "drift::a_test", "event": "failed", "exec_time": 1.5, "stdout": "a\nb" }"#,
                Event::Failed { name: name(), time, output: "a\nb".into() },
            ),
            (
                r#"{ "type": "test", "name": "drift::a_test", "event": "ignored" }"#,
                Event::Ignored { name: name() },
            ),
            (
                r#"{ "type": "test", "event": "timeout", "name": "drift::a_test" }"#,
                Event::Slow { name: name() },
            ),
            (
                r#"{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 0, "measured": 0, "filtered_out": 0, "exec_time": 2.5 }"#,
                Event::Other,
            ),
        ] {
            assert_eq!(parse(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn other_lines_are_no_events() {
        assert_eq!(parse("from the median to p95"), None);
        assert_eq!(parse(r#"{"apiVersion": "v1"}"#), None);
    }

    /// The harness of this toolchain prints the format: this test program lists one of its own tests as an event.
    #[test]
    fn this_toolchain_prints_events() {
        let mut program = std::process::Command::new(std::env::current_exe().expect("this program"));
        program.args(["events_are_parsed"]).args(OPTIONS).env(UNLOCK.0, UNLOCK.1);
        let output = program.output().expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("text");
        let events: Vec<Event> = text.lines().filter_map(parse).collect();
        let passed = events
            .iter()
            .any(|event| matches!(event, Event::Passed { name, .. } if name.ends_with("events_are_parsed")));
        assert!(events.contains(&Event::Started) && passed, "{text}");
    }
}
