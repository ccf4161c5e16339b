//! Who rejects, and for how long.

use super::*;

#[test]
fn a_rejection_holds() {
    change(ONE).decided([rejection("bob", "too early")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          rejected by bob: too early"#]]);
    change(ONE).decided([approval("carol"), rejection("bob", "too early")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: too early
          until 2026-01-13T11:00:00Z"#]]);
    change(ONE).decided([approval("bob"), rejection("bob", "I was wrong")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: I was wrong
          until 2026-01-13T11:00:00Z"#]]);
    let silent = VerifiedDecision { comment: None, ..rejection("bob", "") };
    change(ONE).decided([silent]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          rejected by bob: no reason"#]]);
}

#[test]
fn a_rejection_does_not_lapse() {
    let old = VerifiedDecision { at: at(-30 * 86_400), ..rejection("bob", "too early") };
    change(ONE).decided([old, approval("carol")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: too early
          until 2026-01-13T11:00:00Z"#]]);
}

#[test]
fn the_first_rejection_is_reported() {
    let early = || VerifiedDecision { at: at(-9000), ..rejection("bob", "too early") };
    change(ONE).decided([early(), rejection("carol", "too much")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          rejected by bob: too early"#]]);
    change(ONE).decided([rejection("carol", "too much"), early()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          rejected by bob: too early"#]]);
}

/// Whoever was refused an approval names the one who refused as an author, which asks for no other content.
#[test]
fn a_rejection_counts_even_if_its_author_is_named_later() {
    let silenced = || {
        change(ONE).requested_by(&["alice"], &["bob"]).decided([
            rejection("bob", "too early"),
            approval("bob"),
            approval("carol"),
        ])
    };
    silenced().check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: too early
          until 2026-01-13T11:00:00Z"#]]);
    let mut by_nobody = silenced();
    by_nobody.request = None;
    by_nobody.check(expect![[r#"
        held: 0/1 of ReduceRetention
          the requester of this change is unknown, because the webhook did not see it: name its author in the annotation eventcenter.io/authored-by, which makes you the requester
          ReduceRetention needs 1 more from group approvers
          rejected by bob: too early"#]]);
}

#[test]
fn only_eligible_approvers_can_reject() {
    let stranger = VerifiedDecision { decision: Decision::Reject, ..of_groups("bob", &["others"]) };
    change(ONE).decided([stranger.clone(), approval("carol")]).check(expect!["open: approved by carol"]);
    // Of a rule that the change does not touch.
    change("{rules: [{changes: [ReduceRetention], groups: [approvers]}, {changes: [GrantAccess], groups: [others]}]}")
        .decided([stranger, approval("carol")])
        .check(expect!["open: approved by carol"]);
    // One's own holds, which does no harm; admission asks for a withdrawal instead.
    change(ONE).decided([rejection("alice", "on second thoughts"), approval("carol")]).check(expect![[r#"
            held: 1/1 of ReduceRetention
              rejected by alice: on second thoughts
              until 2026-01-13T11:00:00Z"#]]);
    change(ONE)
        .decided([rejection("system:serviceaccount:ci:bot", "red"), approval("carol")])
        .check(expect!["open: approved by carol"]);
    let of_another = VerifiedDecision { hash: hash("other").to_string(), ..rejection("bob", "not that one") };
    change(ONE).decided([of_another, approval("carol")]).check(expect!["open: approved by carol"]);
    let before = VerifiedDecision { generation: 2, ..rejection("bob", "not then") };
    change(ONE).decided([before, approval("carol")]).check(expect!["open: approved by carol"]);
}
