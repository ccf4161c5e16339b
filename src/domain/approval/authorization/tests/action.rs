//! What is decided ahead, and what on a deletion.

use super::*;

#[test]
fn approvals_ahead_count_where_changes_are_denied() {
    let ahead = || VerifiedDecision { generation: 2, ..approval("bob") };
    change(DENY).decided([ahead()]).check(expect!["open: approved by bob"]);
    change(DENY).decided([approval("bob")]).check(expect!["open: approved by bob"]);
    change(ONE).decided([ahead()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(DENY).decided([VerifiedDecision { generation: 1, ..approval("bob") }]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(DENY).decided([VerifiedDecision { uid: None, ..ahead() }]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(DENY).decided([VerifiedDecision { uid: None, generation: 0, ..approval("bob") }]).check(expect![
        [r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]
    ]);
    change(DENY).requested_by(&["bob"], &[]).decided([ahead()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(DENY).decided([ahead(), VerifiedDecision { generation: 2, ..rejection("carol", "no") }]).check(
        expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by carol: no
          until 2026-01-13T11:00:00Z"#]],
    );
}

#[test]
fn the_approval_of_a_takeover_is_void_if_the_existing_data_changes() {
    let saw = |hash: Option<&str>| VerifiedDecision {
        takeover_hash: hash.map(ToOwned::to_owned),
        ..approval("bob")
    };
    let takeover = |now: Option<&'static str>, decision: VerifiedDecision| Change {
        takeover_hash: now,
        ..change(ONE).decided([decision])
    };
    let missing = expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]];
    takeover(Some("a"), saw(Some("a"))).check(expect!["open: approved by bob"]);
    for (now, decision) in [
        (Some("b"), saw(Some("a"))),
        (Some("a"), saw(None)),
        (None, saw(Some("a"))),
        // In advance nobody knows what exists.
        (Some("a"), VerifiedDecision { uid: None, generation: 0, ..saw(None) }),
    ] {
        missing.assert_eq(&print(&takeover(now, decision).authorize()));
    }
    // A rejection counts whatever exists.
    takeover(Some("b"), VerifiedDecision { takeover_hash: Some("a".into()), ..rejection("carol", "no") })
        .check(expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention needs 1 more from group approvers
              rejected by carol: no"#]]);
}

#[test]
fn a_creation_is_approved_without_a_uid() {
    let ahead = || VerifiedDecision { uid: None, generation: 0, ..approval("bob") };
    let made = |uid: Option<&str>, generation: i64, mode: &str| {
        let mut made = change(mode).touching(&[GovernedChange::Create, GovernedChange::ReduceRetention]);
        made.subject.uid = uid.map(Into::into);
        made.subject.generation = generation;
        made.decided([ahead()])
    };
    // As the webhook sees it, before it is made and as it will be; as the controllers see it.
    made(None, 0, DENY).check(expect!["open: approved by bob"]);
    made(None, 1, DENY).check(expect!["open: approved by bob"]);
    made(Some("u1"), 1, DENY).check(expect!["open: approved by bob"]);
    made(Some("u1"), 2, DENY).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    made(Some("u1"), 1, ONE).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn an_approval_is_of_one_action() {
    const DELETE: &str = "{rules: [{changes: [Delete], groups: [approvers]}]}";
    let deletion = |rules: &str, decision: VerifiedDecision| {
        let mut deletion =
            change(rules).touching(&[GovernedChange::Delete, GovernedChange::Any]).decided([decision]);
        deletion.action = ApprovalAction::Delete;
        deletion
    };
    let of_deletion = || VerifiedDecision { action: ApprovalAction::Delete, ..approval("bob") };
    deletion(DELETE, approval("bob")).check(expect![[r#"
        held: 0/1 of Delete
          Delete needs 1 more from group approvers"#]]);
    deletion(DELETE, of_deletion()).check(expect!["open: approved by bob"]);
    deletion(DELETE, VerifiedDecision { action: ApprovalAction::Delete, ..approval("alice") }).check(
        expect![[r#"
        held: 0/1 of Delete
          Delete needs 1 more from group approvers"#]],
    );
    change(ONE).decided([of_deletion()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    // Nothing is deleted on approvals of what was there before.
    deletion(
        &DELETE.replace("{rules", "{mode: Deny, rules"),
        VerifiedDecision { generation: 2, ..of_deletion() },
    )
    .check(expect![[r#"
            held: 0/1 of Delete
              Delete needs 1 more from group approvers"#]]);
}

#[test]
fn a_deletion_by_an_unknown_user_needs_one_approval_more() {
    const DELETE: &str = "{rules: [{changes: [Delete], groups: [approvers]}]}";
    let by = |approver: &str| VerifiedDecision { action: ApprovalAction::Delete, ..approval(approver) };
    let deletion = |decisions: &[&str]| {
        let mut deletion = change(DELETE)
            .touching(&[GovernedChange::Delete, GovernedChange::Any])
            .decided(decisions.iter().map(|approver| by(approver)));
        (deletion.action, deletion.request) = (ApprovalAction::Delete, None);
        deletion
    };
    deletion(&[]).check(expect![[r#"
        held: 0/2 of Delete
          the deletion is not attributed to a person, so it needs one approval more than the rules declare: the user is a program, such as a garbage collector, or unknown to the webhook. A person who deletes the resource needs only the declared approvals
          Delete needs 2 more from group approvers"#]]);
    deletion(&["bob"]).check(expect![[r#"
        held: 1/2 of Delete
          the deletion is not attributed to a person, so it needs one approval more than the rules declare: the user is a program, such as a garbage collector, or unknown to the webhook. A person who deletes the resource needs only the declared approvals
          Delete needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    deletion(&["bob", "oidc:Bob"]).check(expect![[r#"
        held: 1/2 of Delete
          the deletion is not attributed to a person, so it needs one approval more than the rules declare: the user is a program, such as a garbage collector, or unknown to the webhook. A person who deletes the resource needs only the declared approvals
          Delete needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    deletion(&["bob", "carol"]).check(expect!["open: approved by bob, carol"]);
    let mut rejected = deletion(&["bob", "carol"]);
    rejected.decisions.push(VerifiedDecision { action: ApprovalAction::Delete, ..rejection("dave", "no") });
    rejected.check(expect![[r#"
        held: 2/2 of Delete
          the deletion is not attributed to a person, so it needs one approval more than the rules declare: the user is a program, such as a garbage collector, or unknown to the webhook. A person who deletes the resource needs only the declared approvals
          rejected by dave: no
          until 2026-01-13T11:00:00Z"#]]);
    // A rule that does not cover deletions requires nothing.
    let mut free = deletion(&[]);
    free.rules = rules("{rules: [{changes: [Create], groups: [approvers]}]}");
    free.check(expect!["open: free"]);
}
