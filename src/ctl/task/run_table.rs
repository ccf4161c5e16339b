//! Runs as text.

use eventcenter_sdk::rest::schedule::{Attempt, Run};
use jiff::tz::TimeZone;

use super::super::terminal::{self, Color, Paint, painted_table, plain, truncated};
use super::super::time_arg;

/// Width of a message in a table that is wider than the terminal.
const MIN_MESSAGE_WIDTH: usize = 40;

/// How runs are shown.
#[derive(Clone, Debug)]
pub(super) struct RunLayout {
    /// The zone of the times.
    pub(super) zone: TimeZone,
    /// Whether to show causes, numbers and who executed them, too.
    pub(super) is_wide: bool,
    /// Whether states are coloured.
    pub(super) colored: bool,
    /// Width of the terminal, to which messages are truncated; `None` if there is none.
    pub(super) width: Option<usize>,
}

impl RunLayout {
    /// The layout for standard output.
    pub(super) fn of_output(is_wide: bool) -> Self {
        let zone = time_arg::now().time_zone().clone();
        Self { zone, is_wide, colored: Color::Auto.is_on(), width: terminal::width() }
    }

    /// A table of runs.
    pub(super) fn table(&self, runs: &[Run]) -> String {
        if runs.is_empty() {
            return "no runs".into();
        }
        let colored = self.colored;
        let paint = |row: usize, column: usize, at: usize| {
            (colored && column == at).then(|| paint_of(&runs[row].state)).flatten()
        };
        if self.is_wide {
            let heads = [
                "RUN",
                "TASK",
                "SCHEDULED",
                "STATE",
                "TRIGGER",
                "ATTEMPTS",
                "DURATION",
                "RESULT",
                "ITEMS",
                "ERRORS",
                "BY",
                "EXECUTED-BY",
                "MESSAGE",
            ];
            let rows: Vec<[String; 13]> = runs.iter().map(|run| self.wide_row(run)).collect();
            return painted_table(heads, &rows, |row, column| paint(row, column, 3));
        }
        let heads = ["RUN", "TASK", "SCHEDULED", "STATE", "TRIGGER", "ATTEMPTS", "DURATION", "MESSAGE"];
        let mut rows: Vec<[String; 8]> = runs
            .iter()
            .map(|run| {
                [
                    run.id.to_string(),
                    plain(&run.task),
                    time_arg::format(run.scheduled_at, &self.zone),
                    run.state.clone(),
                    run.trigger.kind.clone(),
                    run.attempts.to_string(),
                    run.duration_ms.map_or_else(|| "-".into(), duration),
                    self.message(run),
                ]
            })
            .collect();
        self.truncate_messages(heads, &mut rows);
        painted_table(heads, &rows, |row, column| paint(row, column, 3))
    }

    fn wide_row(&self, run: &Run) -> [String; 13] {
        let number = |number: Option<i64>| number.map_or_else(|| "-".into(), |number| number.to_string());
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".into(), plain);
        [
            run.id.to_string(),
            plain(&format!("{}/{}", run.namespace, run.task)),
            time_arg::format(run.scheduled_at, &self.zone),
            run.state.clone(),
            trigger(run),
            run.attempts.to_string(),
            run.duration_ms.map_or_else(|| "-".into(), duration),
            result(run).unwrap_or_else(|| "-".into()),
            number(run.items),
            number(run.errors),
            text(&run.requested_by),
            text(&run.executed_by),
            self.message(run),
        ]
    }

    /// What happened. A run that waits for its next attempt has the message of the previous one.
    fn message(&self, run: &Run) -> String {
        let message = plain(run.message.as_deref().unwrap_or_default());
        if run.state != "Ready" || run.attempts == 0 {
            return message;
        }
        let next = run.due_at.to_zoned(self.zone.clone());
        format!("next attempt at {}, after: {message}", next.strftime("%H:%M:%S"))
    }

    /// Truncates the last column to the width of the terminal.
    fn truncate_messages<const N: usize>(&self, heads: [&str; N], rows: &mut [[String; N]]) {
        let Some(width) = self.width else { return };
        let width_of = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([heads[column].len()]).max().unwrap_or_default()
        };
        let others: usize = (0..N - 1).map(|column| width_of(column) + terminal::GAP).sum();
        let width = width.saturating_sub(others).max(MIN_MESSAGE_WIDTH);
        for row in rows {
            row[N - 1] = truncated(&row[N - 1], width);
        }
    }
}

/// The cause of a run, with the place of its event.
fn trigger(run: &Run) -> String {
    match &run.trigger.position {
        Some(position) => plain(&format!("{} {position}", run.trigger.kind)),
        None => run.trigger.kind.clone(),
    }
}

/// The exit code or the HTTP status.
fn result(run: &Run) -> Option<String> {
    code(run.exit_code, run.http_status)
}

fn code(exit_code: Option<i32>, http_status: Option<u16>) -> Option<String> {
    let exit = exit_code.map(|code| format!("exit code {code}"));
    exit.or_else(|| http_status.map(|status| format!("HTTP {status}")))
}

/// One sentence about a run.
pub(super) fn summary(run: &Run) -> String {
    let mut parts = vec![run.state.clone()];
    parts.extend(run.duration_ms.map(|millis| format!("after {}", duration(millis))));
    let counts = [(run.items, "item"), (run.errors, "error")];
    let counts = counts.iter().filter_map(|(count, noun)| match (*count)? {
        1 => Some(format!("1 {noun}")),
        count => Some(format!("{count} {noun}s")),
    });
    let details: Vec<String> = result(run).into_iter().chain(counts).collect();
    if !details.is_empty() {
        parts.push(format!("({})", details.join(", ")));
    }
    format!("run {}: {}{}", run.id, parts.join(" "), further(run.message.as_deref(), result(run).as_deref()))
}

/// How an attempt ended.
pub(super) fn attempt_result(attempt: &Attempt) -> String {
    let code = code(attempt.exit_code, attempt.http_status);
    let shown = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    format!("{}{shown}{}", attempt.state, further(attempt.message.as_deref(), code.as_deref()))
}

/// A message, unless it only repeats the exit code or the HTTP status.
fn further(message: Option<&str>, code: Option<&str>) -> String {
    let message = message.filter(|message| Some(*message) != code);
    message.map(|message| format!(": {}", plain(message))).unwrap_or_default()
}

/// A duration with its two largest units, such as `1m30s` or `250ms`.
pub(super) fn duration(millis: i64) -> String {
    let (seconds, minutes, hours, days) =
        (millis / 1000, millis / 60_000, millis / 3_600_000, millis / 86_400_000);
    let with = |more: i64, unit: &str| if more == 0 { String::new() } else { format!("{more}{unit}") };
    match (seconds, minutes, hours) {
        (0, ..) => format!("{millis}ms"),
        (..10, ..) if millis % 1000 >= 100 => format!("{seconds}.{}s", millis % 1000 / 100),
        (..60, ..) => format!("{seconds}s"),
        (_, ..60, _) => format!("{minutes}m{}", with(seconds % 60, "s")),
        (_, _, ..24) => format!("{hours}h{}", with(minutes % 60, "m")),
        _ => format!("{days}d{}", with(hours % 24, "h")),
    }
}

fn paint_of(state: &str) -> Option<Paint> {
    match state {
        "Succeeded" => Some(Paint::Good),
        "Failed" | "TimedOut" | "Missed" => Some(Paint::Bad),
        "Requested" | "Queued" | "Ready" | "Running" => Some(Paint::Open),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::{Value, json};

    /// A run with other values.
    pub(in super::super) fn run(values: Value) -> Run {
        let mut run = json!({
            "id": "00000000-0000-0000-0000-000000000001", "tenant": "shop", "namespace": "shop", "task": "nightly",
            "taskUid": "00000000-0000-0000-0000-000000000002", "trigger": {"type": "Schedule"},
            "scheduledAt": "2026-11-21T08:00:00Z", "dueAt": "2026-11-21T08:00:00Z", "state": "Succeeded",
            "chain": "00000000-0000-0000-0000-000000000001", "attempts": 1,
        });
        json_patch::merge(&mut run, &values);
        serde_json::from_value(run).expect("a run")
    }

    #[test]
    fn runs_are_a_table() {
        let runs = [
            run(json!({"durationMs": 90_500, "message": "1,204 rows"})),
            run(
                json!({"state": "Failed", "attempts": 3, "exitCode": 2, "durationMs": 250, "trigger": {"type": "Manual"},
                "requestedBy": "alice", "message": "cannot\u{1b} connect", "items": 7, "errors": 1, "executedBy": "nightly-1"}),
            ),
            run(
                json!({"state": "Skipped", "attempts": 0, "message": "a previous run has not ended (concurrency policy Forbid), and more"}),
            ),
        ];
        let layout = RunLayout { zone: TimeZone::UTC, is_wide: false, colored: false, width: None };
        expect![[r#"
            RUN                                    TASK      SCHEDULED             STATE       TRIGGER    ATTEMPTS   DURATION   MESSAGE
            00000000-0000-0000-0000-000000000001   nightly   2026-11-21 08:00:00   Succeeded   Schedule   1          1m30s      1,204 rows
            00000000-0000-0000-0000-000000000001   nightly   2026-11-21 08:00:00   Failed      Manual     3          250ms      cannot� connect
            00000000-0000-0000-0000-000000000001   nightly   2026-11-21 08:00:00   Skipped     Schedule   0          -          a previous run has not ended (concurrency policy Forbid), and more"#]]
        .assert_eq(&layout.table(&runs));
        let narrow = RunLayout { width: Some(165), ..layout.clone() }.table(&runs[2..]);
        let last = narrow.lines().last().expect("a row");
        assert!(last.ends_with('…') && last.chars().count() == 165, "{narrow}");
        let retried = run(json!({"state": "Ready", "attempts": 1, "message": "HTTP 503"}));
        let retried = layout.table(&[retried]);
        assert!(retried.ends_with("next attempt at 08:00:00, after: HTTP 503"), "{retried}");
        let wide = RunLayout { is_wide: true, ..layout }.table(&runs[1..2]);
        expect![[r#"
            RUN                                    TASK           SCHEDULED             STATE    TRIGGER   ATTEMPTS   DURATION   RESULT        ITEMS   ERRORS   BY      EXECUTED-BY   MESSAGE
            00000000-0000-0000-0000-000000000001   shop/nightly   2026-11-21 08:00:00   Failed   Manual    3          250ms      exit code 2   7       1        alice   nightly-1     cannot� connect"#]]
        .assert_eq(&wide);
        let of_event = run(json!({"trigger": {"type": "Event", "position": "shop.orders/3/42"}}));
        assert_eq!(trigger(&of_event), "Event shop.orders/3/42");
        expect![
            "run 00000000-0000-0000-0000-000000000001: Failed after 250ms (exit code 2, 7 items, 1 error): cannot� connect"
        ]
        .assert_eq(&summary(&runs[1]));
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let texts = [0, 999, 1_000, 1_250, 9_999, 10_500, 60_000, 61_000, 3_600_000, 5_430_000, 90_000_000]
            .map(duration);
        assert_eq!(texts.join(" "), "0ms 999ms 1s 1.2s 9.9s 10s 1m 1m1s 1h 1h30m 1d1h");
    }
}
