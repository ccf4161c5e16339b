//! Pending changes and decisions as text.

use jiff::Timestamp;

use super::super::output::program_name;
use super::super::resource_arg::ResourceArg;
pub(super) use super::super::terminal::age;
use super::super::terminal::{plain, table};
use crate::api::{ApprovalAction, ChangeApproval, GovernedChange, PendingChange};

/// Words separated by commas; `<none>` if there are none.
pub(super) fn joined(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| plain(word.as_ref())).collect();
    if words.is_empty() { "<none>".into() } else { words.join(", ") }
}

/// The names of governed changes.
pub(super) fn change_names<'a>(changes: impl IntoIterator<Item = &'a GovernedChange>) -> String {
    joined(changes.into_iter().map(|change| format!("{change:?}")))
}

/// A pending change with everything that an approver needs. `diff` has its differences from the active spec.
pub(super) fn pending_change(
    resource: &ResourceArg,
    namespace: &str,
    pending: &PendingChange,
    diff: &[String],
    now: Timestamp,
) -> String {
    let state = match (pending.action, &pending.rejected) {
        (_, Some(_)) => "the change was rejected and is on hold until the spec changes",
        (ApprovalAction::Apply, None) => "a change is pending approval",
        (ApprovalAction::Delete, None) => "the deletion with all data is pending approval",
    };
    let mut lines = vec![format!("{}: {state}", resource.in_namespace(namespace)), String::new()];
    lines.extend(diff.iter().map(|line| format!("  {}", plain(line))));
    if !diff.is_empty() {
        lines.push(String::new());
    }
    let mut add = |label: &str, text: String| lines.push(format!("{:<14}{text}", format!("{label}:")));
    add("changes", change_names(&pending.changes));
    add("requested by", joined(&pending.requested_by));
    add("since", format!("{:.0} ({})", pending.since, age(pending.since, now)));
    add("approvals", plain(&pending.approvals));
    for missing in &pending.missing {
        add("missing", plain(missing));
    }
    if let Some(rejected) = &pending.rejected {
        let comment = rejected.comment.as_deref().unwrap_or("no comment");
        add("rejected by", format!("{}: {}", plain(&rejected.by), plain(comment)));
    }
    add("hash", plain(&pending.hash));
    lines.join("\n")
}

/// The commands that decide on a reviewed change.
pub(super) fn decision_commands(
    resource: &ResourceArg,
    namespace: &str,
    hash: &str,
    action: ApprovalAction,
) -> String {
    let action = match action {
        ApprovalAction::Apply => "",
        ApprovalAction::Delete => " --action Delete",
    };
    let command = |verb: &str, comment: &str| {
        format!("  {} {verb} {resource} -n {namespace}{action} --hash {hash}{comment}", program_name())
    };
    format!("{}\n{}", command("approve", ""), command("reject", " --comment WHY"))
}

/// Decisions as a table. The flag says whether the decision is on the current spec.
pub(super) fn decisions(decisions: &[(ChangeApproval, bool)], now: Timestamp) -> String {
    let rows: Vec<[String; 7]> = decisions
        .iter()
        .map(|(decision, is_current)| {
            let spec = &decision.spec;
            [
                plain(decision.metadata.name.as_deref().unwrap_or_default()),
                format!("{:?}", spec.action),
                format!("{:?}", spec.decision),
                spec.approver.as_ref().map_or_else(|| "<unknown>".into(), |by| plain(&by.username)),
                spec.at.map_or_else(|| "<unknown>".into(), |at| age(at, now)),
                if *is_current { "current".into() } else { "other".into() },
                spec.comment.as_deref().map(plain).unwrap_or_default(),
            ]
        })
        .collect();
    table(["NAME", "ACTION", "DECISION", "BY", "AGE", "SPEC", "COMMENT"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, Kind};
    use expect_test::{Expect, expect};

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn resource() -> ResourceArg {
        ResourceArg { kind: Kind::of::<EventTopic>(), name: "orders".into() }
    }

    fn check(pending: &str, expected: &Expect) {
        let pending: PendingChange = serde_yaml::from_str(pending).expect("a change");
        expected.assert_eq(&pending_change(
            &resource(),
            "shop",
            &pending,
            &pending.diff,
            time("2026-11-21T12:05:07Z"),
        ));
    }

    #[test]
    fn ages_have_the_units_of_kubectl() {
        let start = time("2026-01-01T00:00:00Z");
        for (seconds, expected) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (9 * 3600 + 60, "9h"),
            (47 * 3600, "47h"),
            (50 * 3600, "2d2h"),
            (30 * 86_400, "30d"),
            (800 * 86_400, "2y70d"),
        ] {
            let now = start.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a time");
            assert_eq!(age(start, now), expected, "{seconds}");
        }
    }

    #[test]
    fn a_pending_change() {
        check(
            "{hash: abc, generation: 3, changes: [ReduceRetention, GrantAccess], requestedBy: [alice, bob], since: \
             '2026-11-21T12:00:00.25Z', approvals: 0/2, missing: ['ReduceRetention needs 2 more from group shop-leads'], diff: \
             ['retention.ms: 604800000 -> 259200000']}",
            &expect![[r#"
                EventTopic orders in namespace shop: a change is pending approval

                  retention.ms: 604800000 -> 259200000

                changes:      ReduceRetention, GrantAccess
                requested by: alice, bob
                since:        2026-11-21T12:00:00Z (5m6s)
                approvals:    0/2
                missing:      ReduceRetention needs 2 more from group shop-leads
                hash:         abc"#]],
        );
    }

    #[test]
    fn a_rejected_change() {
        check(
            "{hash: abc, generation: 3, changes: [Any], since: '2026-11-21T12:00:00Z', approvals: 0/1, rejected: {by: carol, \
             comment: too short}}",
            &expect![[r#"
                EventTopic orders in namespace shop: the change was rejected and is on hold until the spec changes

                changes:      Any
                requested by: <none>
                since:        2026-11-21T12:00:00Z (5m7s)
                approvals:    0/1
                rejected by:  carol: too short
                hash:         abc"#]],
        );
    }

    #[test]
    fn a_pending_deletion() {
        check(
            "{hash: abc, generation: 3, action: Delete, changes: [Delete], since: '2026-11-20T12:00:00Z', approvals: 1/2}",
            &expect![[r#"
                EventTopic orders in namespace shop: the deletion with all data is pending approval

                changes:      Delete
                requested by: <none>
                since:        2026-11-20T12:00:00Z (24h)
                approvals:    1/2
                hash:         abc"#]],
        );
    }

    #[test]
    fn control_characters_are_replaced() {
        let pending = "{hash: abc, generation: 3, since: '2026-11-21T12:00:00Z', approvals: 0/1, diff: [\"x: 1\\e[1A\\e[2K\"]}";
        let pending: PendingChange = serde_yaml::from_str(pending).expect("a change");
        assert!(
            !pending_change(&resource(), "shop", &pending, &pending.diff, pending.since).contains('\u{1b}')
        );
    }

    #[test]
    fn decisions_are_a_table() {
        let decision = |yaml: &str| serde_yaml::from_str::<ChangeApproval>(yaml).expect("a decision");
        let all = [
            (
                decision(
                    "{metadata: {name: orders-x}, spec: {target: {kind: EventTopic, name: orders}, specHash: abc, decision: \
                     Approve, approver: {username: bob}, at: '2026-11-21T12:00:00Z'}}",
                ),
                true,
            ),
            (
                decision(
                    "{metadata: {name: orders-y}, spec: {target: {kind: EventTopic, name: orders}, action: Delete, specHash: \
                     abc, decision: Reject, comment: still used}}",
                ),
                false,
            ),
        ];
        expect![[r#"
            NAME       ACTION   DECISION   BY          AGE         SPEC      COMMENT
            orders-x   Apply    Approve    bob         60s         current
            orders-y   Delete   Reject     <unknown>   <unknown>   other     still used"#]]
        .assert_eq(&decisions(&all, time("2026-11-21T12:01:00Z")));
    }
}
