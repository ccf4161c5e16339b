//! Records as text.

use std::collections::HashSet;

use anyhow::Context;
use eventcenter_sdk::rest::audit::RawRecord;
use jiff::tz::TimeZone;
use serde_json::Value;
use uuid::Uuid;

use super::super::terminal::{Paint, painted, painted_table, plain, truncated};
use super::change_lines::change_lines;
use super::time_arg;
use crate::domain::audit::{Outcome, Record, Target};

/// Maximum widths of columns if the width of a line is limited.
const MAX_ACTOR_WIDTH: usize = 32;
const MAX_TARGET_WIDTH: usize = 44;

/// Minimum width of reason and message.
const MIN_REASON_WIDTH: usize = 24;

/// The layout of a table.
pub(super) struct Layout {
    /// The time zone of the times.
    pub(super) zone: TimeZone,
    /// The maximum width of a line in characters; `None` for no limit.
    pub(super) width: Option<usize>,
    /// Whether outcomes are coloured.
    pub(super) colored: bool,
    /// Whether the ids of the records are shown.
    pub(super) ids: bool,
}

/// Parses a record.
pub(super) fn parse_record(raw: &RawRecord) -> anyhow::Result<Record> {
    raw.parse().context(
        "a record cannot be parsed: its version differs from that of this program (-o json shows it)",
    )
}

/// A record as JSON, with the fields that this version does not know.
pub(super) fn to_json(raw: &RawRecord) -> anyhow::Result<Value> {
    serde_json::from_str(raw.json()).context("a record is not JSON")
}

/// The target of a record.
pub(super) fn target_text(target: Option<&Target>) -> String {
    let Some(Target { kind, namespace, name, uid: _ }) = target else { return "-".into() };
    match namespace {
        Some(namespace) => plain(&format!("{kind} {namespace}/{name}")),
        None => plain(&format!("{kind} {name}")),
    }
}

/// Reason and message of a record on one line.
fn reason_text(record: &Record) -> String {
    // A table cell has one line.
    let message = record.message.as_ref().map(|message| message.replace('\n', "; "));
    let (reason, message) = (record.reason.as_deref(), message.as_deref());
    match (reason, message) {
        (Some(reason), Some(message)) if message.starts_with(reason) => plain(message),
        (Some(reason), Some(message)) => plain(&format!("{reason}: {message}")),
        (one, other) => plain(one.or(other).unwrap_or_default()),
    }
}

fn outcome_paint(outcome: Outcome) -> Paint {
    match outcome {
        Outcome::Allowed | Outcome::Succeeded => Paint::Good,
        Outcome::Denied | Outcome::Failed => Paint::Bad,
        Outcome::Started => Paint::Open,
    }
}

/// A table of records, in their order.
pub(super) fn table(records: &[Record], layout: &Layout) -> String {
    let limit = |text: String, most: usize| match layout.width {
        Some(_) => truncated(&text, most),
        None => text,
    };
    let mut rows: Vec<[String; 6]> = records
        .iter()
        .map(|record| {
            let time = time_arg::format(record.time, &layout.zone);
            [
                if layout.ids { format!("{}   {time}", record.id) } else { time },
                limit(plain(&record.actor.user), MAX_ACTOR_WIDTH),
                plain(&record.action),
                limit(target_text(record.target.as_ref()), MAX_TARGET_WIDTH),
                record.outcome.to_string(),
                reason_text(record),
            ]
        })
        .collect();
    let time = if layout.ids { format!("{:<36}   TIME", "ID") } else { "TIME".into() };
    let heads = [time.as_str(), "ACTOR", "ACTION", "TARGET", "OUTCOME", "REASON/MESSAGE"];
    if let Some(width) = layout.width {
        let widest = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max().unwrap_or(0)
        };
        let before: usize = (0..5).map(|column| widest(column) + 3).sum();
        let room = width.saturating_sub(before).max(MIN_REASON_WIDTH);
        rows.iter_mut().for_each(|row| row[5] = truncated(&row[5], room));
    }
    painted_table(heads, &rows, |row, column| {
        (layout.colored && column == 4).then(|| outcome_paint(records[row].outcome))
    })
}

/// Leaves out the start of each effect whose end is among the records; the end repeats all of it.
pub(super) fn without_completed_starts(mut records: Vec<Record>) -> Vec<Record> {
    let ended: HashSet<Uuid> = records.iter().filter_map(|record| record.completes).collect();
    records.retain(|record| !ended.contains(&record.id));
    records
}

/// A record on a line. The columns have fixed widths, which most values fit into.
pub(super) fn line(record: &Record, layout: &Layout) -> String {
    let outcome = format!("{:<9}", record.outcome);
    let line = format!(
        "{}{}   {}   {:<16}   {:<24}   {:<32}   ",
        if layout.ids { format!("{}   ", record.id) } else { String::new() },
        time_arg::format(record.time, &layout.zone),
        if layout.colored { painted(&outcome, outcome_paint(record.outcome)) } else { outcome },
        plain(&record.action),
        plain(&record.actor.user),
        target_text(record.target.as_ref()),
    );
    let codes = if layout.colored { painted("", Paint::Good).len() } else { 0 };
    let reason = match layout.width {
        Some(width) => truncated(
            &reason_text(record),
            (width + codes).saturating_sub(line.chars().count()).max(MIN_REASON_WIDTH),
        ),
        None => reason_text(record),
    };
    format!("{line}{reason}").trim_end().to_owned()
}

/// A record in a few words.
pub(super) fn summary(record: &Record, zone: &TimeZone) -> String {
    format!(
        "{} ({}, {}, {} {}, {})",
        record.id,
        time_arg::format(record.time, zone),
        plain(&record.actor.user),
        plain(&record.action),
        target_text(record.target.as_ref()),
        record.outcome,
    )
}

/// All fields of a record, a line each.
pub(super) fn details(record: &Record, layout: &Layout) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |label: &str, text: String| lines.push(format!("{:<12}{text}", format!("{label}:")));
    let outcome = record.outcome.to_string();
    add("record", record.id.to_string());
    add("log", format!("{}, record {}", record.tenant, record.seq));
    add("time", format!("{} ({})", time_arg::format(record.time, &layout.zone), record.time));
    add("actor", format!("{}, via {}", plain(&record.actor.user), record.actor.via));
    if !record.actor.groups.is_empty() {
        add("groups", plain(&record.actor.groups.join(", ")));
    }
    add("action", plain(&record.action));
    if let Some(about) = &record.target {
        let uid = about.uid.as_ref().map(|uid| format!(" (uid {})", plain(uid))).unwrap_or_default();
        add("target", format!("{}{uid}", target_text(Some(about))));
    }
    add("outcome", if layout.colored { painted(&outcome, outcome_paint(record.outcome)) } else { outcome });
    let optional = [
        ("reason", record.reason.as_ref()),
        ("message", record.message.as_ref()),
        ("request", record.request_id.as_ref()),
        ("trace", record.trace_id.as_ref()),
    ];
    for (label, text) in optional {
        if let Some(text) = text {
            let lines: Vec<String> = text.lines().map(plain).collect();
            add(label, lines.join(&format!("\n{:<12}", "")));
        }
    }
    let origin = &record.origin;
    add("written by", plain(&format!("{} on {}", origin.component, origin.instance)));
    let optional = [
        ("address", origin.address.as_ref()),
        ("user agent", origin.user_agent.as_ref()),
        ("manager", origin.field_manager.as_ref()),
    ];
    for (label, text) in optional {
        if let Some(text) = text {
            add(label, plain(text));
        }
    }
    if let Some(change) = &record.change {
        lines.push(String::new());
        lines.push("change:".into());
        for line in change_lines(change) {
            let paint = match (layout.colored, line.chars().next()) {
                (true, Some('+')) => Some(Paint::Good),
                (true, Some('-')) => Some(Paint::Bad),
                (true, Some('~')) => Some(Paint::Open),
                _ => None,
            };
            lines.push(format!("  {}", paint.map_or_else(|| line.clone(), |paint| painted(&line, paint))));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    pub(super) fn denied() -> Record {
        let value = json!({
            "id": "019aa5d0-0000-7000-8000-000000000001", "seq": 17, "tenant": "shop", "time": "2026-11-21T10:05:07.123456Z",
            "actor": {"user": "alice", "groups": ["shop", "leads"], "via": "Admission"}, "action": "Update",
            "target": {"kind": "EventTopic", "namespace": "shop", "name": "orders", "uid": "u1"}, "outcome": "Denied",
            "reason": "TenantQuotaExceeded", "message": "spec.partitions: tenant shop may have 4 partitions",
            "change": {"patch": [
                {"op": "test", "path": "/spec/partitions", "value": 3}, {"op": "replace", "path": "/spec/partitions", "value": 6},
            ]},
            "requestId": "r1", "origin": {"component": "webhook", "instance": "eventcenter-0", "fieldManager": "kubectl"},
        });
        parse_record(&RawRecord::from_json(value.to_string()).expect("JSON")).expect("a record")
    }

    fn leader_election() -> Record {
        let value = json!({
            "id": "019aa5d0-0000-7000-8000-000000000002", "seq": 18, "tenant": "shop", "time": "2026-11-21T10:05:08Z",
            "actor": {"user": "eventcenter-0 \u{1b}[2K", "via": "Controllers"}, "action": "Lead", "outcome": "Succeeded",
            "origin": {"component": "controllers", "instance": "eventcenter-0"},
        });
        parse_record(&RawRecord::from_json(value.to_string()).expect("JSON")).expect("a record")
    }

    fn layout(width: Option<usize>, colored: bool, ids: bool) -> Layout {
        Layout { zone: TimeZone::fixed(jiff::tz::offset(1)), width, colored, ids }
    }

    #[test]
    fn records_are_a_table() {
        let records = [leader_election(), denied()];
        expect![[r#"
            TIME                  ACTOR                ACTION   TARGET                   OUTCOME     REASON/MESSAGE
            2026-11-21 11:05:08   eventcenter-0 �[2K   Lead     -                        Succeeded
            2026-11-21 11:05:07   alice                Update   EventTopic shop/orders   Denied      TenantQuotaExceeded: spec.partitions: tenant shop may have 4 partitions"#]]
        .assert_eq(&table(&records, &layout(None, false, false)));
        expect![[r#"
            TIME                  ACTOR                ACTION   TARGET                   OUTCOME     REASON/MESSAGE
            2026-11-21 11:05:08   eventcenter-0 �[2K   Lead     -                        Succeeded
            2026-11-21 11:05:07   alice                Update   EventTopic shop/orders   Denied      TenantQuotaExceeded: spec.partiti…"#]]
        .assert_eq(&table(&records, &layout(Some(123), false, false)));
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        let mut long = denied();
        long.actor.user = "system:serviceaccount:argocd:argocd-application-controller".into();
        long.message = Some("x".repeat(500));
        let rendered = table(&[long.clone()], &layout(Some(200), false, false));
        assert!(rendered.lines().all(|line| line.chars().count() <= 200), "{rendered}");
        assert!(rendered.contains("argocd:ar…"), "{rendered}");
        for width in [150, 200] {
            let plain = line(&long, &layout(Some(width + 60), false, false));
            assert_eq!(plain.chars().count(), width + 60);
            let colored = line(&long, &layout(Some(width + 60), true, false));
            assert_eq!(colored.replace("\u{1b}[31m", "").replace("\u{1b}[0m", ""), plain);
        }
    }

    #[test]
    fn colours_do_not_change_the_columns() {
        let colored = table(&[leader_election(), denied()], &layout(None, true, true));
        assert!(colored.contains("\u{1b}[32mSucceeded\u{1b}[0m"), "{colored}");
        assert!(colored.contains("\u{1b}[31mDenied\u{1b}[0m   "), "{colored}");
        assert!(colored.contains("019aa5d0-0000-7000-8000-000000000001   2026-11-21 11:05:07"), "{colored}");
        let bare = ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[0m"]
            .iter()
            .fold(colored, |text, code| text.replace(code, ""));
        assert_eq!(bare, table(&[leader_election(), denied()], &layout(None, false, true)));
    }

    #[test]
    fn details_have_every_field() {
        expect![[r#"
            record:     019aa5d0-0000-7000-8000-000000000001
            log:        shop, record 17
            time:       2026-11-21 11:05:07 (2026-11-21T10:05:07.123456Z)
            actor:      alice, via Admission
            groups:     shop, leads
            action:     Update
            target:     EventTopic shop/orders (uid u1)
            outcome:    Denied
            reason:     TenantQuotaExceeded
            message:    spec.partitions: tenant shop may have 4 partitions
            request:    r1
            written by: webhook on eventcenter-0
            manager:    kubectl

            change:
              ~ spec.partitions: 3 → 6"#]]
        .assert_eq(&details(&denied(), &layout(None, false, false)).join("\n"));
        assert_eq!(
            summary(&leader_election(), &TimeZone::UTC),
            "019aa5d0-0000-7000-8000-000000000002 (2026-11-21 10:05:08, eventcenter-0 \u{fffd}[2K, Lead -, Succeeded)"
        );
    }
}
