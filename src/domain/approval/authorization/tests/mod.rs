//! Authorizations, printed: who counts, and for what. `rejection` has the rejections, `action` the decisions in advance and on
//! deletions.

mod action;
mod rejection;

use super::*;
use crate::domain::approval::testing::{approval, at, groups, hash, orders, requested_by, rules};
use expect_test::{Expect, expect};

/// One approval by the group approvers.
const ONE: &str = "{rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
/// Two of them.
const TWO: &str = "{rules: [{changes: [ReduceRetention], approvals: 2, groups: [approvers]}]}";
/// One, before the change is made.
const DENY: &str = "{mode: Deny, rules: [{changes: [ReduceRetention], groups: [approvers]}]}";

/// A change of orders that alice has requested, without decisions.
struct Change {
    rules: Rules,
    subject: Revisioned,
    action: ApprovalAction,
    takeover_hash: Option<&'static str>,
    touches: Vec<GovernedChange>,
    request: Option<ChangeRequest>,
    decisions: Vec<VerifiedDecision>,
    now: Timestamp,
}

fn change(yaml: &str) -> Change {
    Change {
        rules: rules(yaml),
        subject: orders(),
        action: ApprovalAction::Apply,
        takeover_hash: None,
        touches: vec![GovernedChange::ReduceRetention, GovernedChange::Any],
        request: Some(requested_by(&["alice"], &[])),
        decisions: Vec::new(),
        now: at(0),
    }
}

fn of_groups(by: &str, names: &[&str]) -> VerifiedDecision {
    VerifiedDecision {
        approver: Approver { username: by.into(), groups: groups(names), revocable: false },
        ..approval(by)
    }
}

fn rejection(by: &str, comment: &str) -> VerifiedDecision {
    VerifiedDecision { decision: Decision::Reject, comment: Some(comment.into()), ..approval(by) }
}

impl Change {
    fn decided(mut self, decisions: impl IntoIterator<Item = VerifiedDecision>) -> Self {
        self.decisions.extend(decisions);
        self
    }

    fn touching(self, touches: &[GovernedChange]) -> Self {
        Self { touches: touches.to_vec(), ..self }
    }

    fn requested_by(self, requesters: &[&str], authors: &[&str]) -> Self {
        Self { request: Some(requested_by(requesters, authors)), ..self }
    }

    fn broken_glass(mut self, by: &str, groups_of: &[&str]) -> Self {
        let glass = BreakGlass { by: by.into(), groups: groups(groups_of), reason: "it burns".into() };
        self.request.iter_mut().for_each(|request| request.claims.break_glass = Some(glass.clone()));
        self
    }

    fn authorize(&self) -> Authorization {
        authorize(&AuthorizationInput {
            subject: &self.subject,
            action: self.action,
            hash: &hash("new"),
            takeover_hash: self.takeover_hash,
            changes: &self.touches.iter().copied().collect(),
            attribution: match self.action {
                ApprovalAction::Apply => Attribution::of_change(self.request.as_ref()),
                ApprovalAction::Delete => Attribution::of_deletion(self.request.as_ref()),
            },
            decisions: &self.decisions,
            rules: &self.rules,
            now: self.now,
        })
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&print(&self.authorize()));
    }
}

fn print(gate: &Authorization) -> String {
    let held = match gate {
        Authorization::Granted(Grant::NotRequired) => return "open: free".into(),
        Authorization::Granted(Grant::Approved(by)) => return format!("open: approved by {}", by.join(", ")),
        Authorization::Granted(Grant::BreakGlass(glass)) => {
            return format!("open: {} because {}", glass.by, glass.reason);
        }
        Authorization::Pending(held) => held,
    };
    let changes: Vec<String> = held.changes.iter().map(|change| format!("{change:?}")).collect();
    let mut lines = vec![format!("held: {}/{} of {}", held.have, held.need, changes.join(" "))];
    lines.extend(held.obstacles().iter().map(|missing| format!("  {missing}")));
    if let Some(rejection) = &held.rejected {
        let why = rejection.comment.as_deref().unwrap_or("no reason");
        lines.push(format!("  rejected by {}: {why}", rejection.by));
    }
    lines.extend(held.expires.map(|expires| format!("  until {expires}")));
    lines.join("\n")
}

#[test]
fn a_change_that_no_rule_names_needs_no_approval() {
    change(ONE).touching(&[GovernedChange::Any]).check(expect!["open: free"]);
    change(ONE).touching(&[GovernedChange::GrantAccess, GovernedChange::Any]).check(expect!["open: free"]);
    change(ONE).touching(&[]).check(expect!["open: free"]);
    let mut unknown = change(ONE).touching(&[GovernedChange::Any]);
    unknown.request = None;
    unknown.check(expect!["open: free"]);
}

#[test]
fn a_tenant_without_rules_lets_everything_pass() {
    let mut free = change(ONE);
    free.rules = Rules::default();
    free.check(expect!["open: free"]);
}

#[test]
fn a_change_without_decisions_is_pending() {
    change(ONE).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change("{rules: [{changes: [Any], groups: [a, b]}]}").check(expect![[r#"
        held: 0/1 of ReduceRetention Any
          Any needs 1 more from one of the groups a, b"#]]);
}

#[test]
fn one_approval() {
    change(ONE).decided([approval("bob")]).check(expect!["open: approved by bob"]);
}

#[test]
fn requesters_cannot_approve_their_own_change() {
    change(ONE).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(ONE).requested_by(&["carol"], &["alice"]).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(ONE).requested_by(&["carol", "alice"], &[]).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(ONE)
        .requested_by(&["system:serviceaccount:argocd:c"], &["Alice Doe <alice@example.com>"])
        .decided([approval("oidc:Alice@example.com")])
        .check(expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn an_approval_of_the_requester_does_not_void_others() {
    change(ONE).decided([approval("alice"), approval("bob")]).check(expect!["open: approved by bob"]);
}

#[test]
fn service_accounts_approve_only_if_they_are_listed() {
    const BOT: &str = "system:serviceaccount:ci:bot";
    const LISTED: &str = "{robots: ['system:serviceaccount:ci:bot'], rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
    change(ONE).decided([approval(BOT)]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(LISTED).decided([approval(BOT)]).check(expect!["open: approved by system:serviceaccount:ci:bot"]);
    change(LISTED).decided([approval("system:serviceaccount:ci:other")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    // The second account of one robot.
    change(LISTED).requested_by(&["system:serviceaccount:ci:deployer"], &[]).decided([approval(BOT)]).check(
        expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention needs 1 more from group approvers"#]],
    );
    change(LISTED)
        .requested_by(&["system:serviceaccount:argocd:deployer"], &[])
        .decided([approval(BOT)])
        .check(expect!["open: approved by system:serviceaccount:ci:bot"]);
}

#[test]
fn only_this_very_content_is_approved() {
    let other = VerifiedDecision { hash: hash("other").to_string(), ..approval("bob") };
    change(ONE).decided([other]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn a_restored_spec_is_another_change() {
    let mut later = change(ONE).decided([approval("bob")]);
    later.subject.generation = 5;
    later.check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    let earlier = VerifiedDecision { generation: 2, ..approval("bob") };
    change(ONE).decided([earlier]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    let later = VerifiedDecision { generation: 4, ..approval("bob") };
    change(ONE).decided([later]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn a_recreated_resource_is_another_resource() {
    let of_another = VerifiedDecision { uid: Some("u0".into()), ..approval("bob") };
    let of_none = VerifiedDecision { uid: None, ..approval("bob") };
    change(ONE).decided([of_another, of_none]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn approvals_lapse() {
    let week = 7 * 86_400;
    let at_the_last_second = VerifiedDecision { at: at(1 - week), ..approval("bob") };
    change(TWO).decided([at_the_last_second.clone()]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-06T12:00:01Z"#]]);
    change(ONE).decided([at_the_last_second]).check(expect!["open: approved by bob"]);
    let too_late = VerifiedDecision { at: at(-week), ..approval("bob") };
    change(ONE).decided([too_late]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change("{validFor: 30m, rules: [{changes: [ReduceRetention], groups: [approvers]}]}")
        .decided([approval("bob")])
        .check(expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn the_first_expiry_is_reported() {
    change(TWO.replace("approvals: 2", "approvals: 3").as_str())
        .decided([approval("bob"), VerifiedDecision { at: at(-10), ..approval("carol") }])
        .check(expect![[r#"
            held: 2/3 of ReduceRetention
              ReduceRetention needs 1 more from group approvers
              until 2026-01-13T11:00:00Z"#]]);
}

#[test]
fn two_approvals_are_of_two_people() {
    change(TWO).decided([approval("bob")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("bob")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("oidc:Bob@example.com")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("carol")]).check(expect!["open: approved by bob, carol"]);
}

#[test]
fn approvers_with_one_login_count_as_one_unless_the_tenant_declares_them() {
    let two = ["bob@example.com", "bob@example.org"].map(approval);
    change(TWO).decided(two.clone()).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    let declared =
        |identities: &str| change(&TWO.replace("rules:", &format!("identities: {identities}, rules:")));
    declared("[{user: bob@example.com}, {user: bob@example.org}]")
        .decided(two.clone())
        .check(expect!["open: approved by bob@example.com, bob@example.org"]);
    declared("[{user: bob@example.com}]").decided(two).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
    let aliases = ["bob", "robert@home.example"].map(approval);
    change(TWO).decided(aliases.clone()).check(expect!["open: approved by bob, robert@home.example"]);
    declared("[{user: bob, aliases: [robert@home.example]}]").decided(aliases).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention needs 1 more from group approvers
          until 2026-01-13T11:00:00Z"#]]);
}

#[test]
fn an_alias_of_the_requester_or_author_cannot_approve() {
    let declared = &ONE.replace("rules:", "identities: [{user: alice, aliases: [al@home.example]}], rules:");
    let decided = |requesters: &[&str], authors: &[&str], by: &str| {
        print(&change(declared).requested_by(requesters, authors).decided([approval(by)]).authorize())
    };
    for (requesters, authors) in [(&["alice"][..], &[][..]), (&["carol"], &["Al <al@home.example>"])] {
        for by in ["oidc:alice", "al@home.example", "alice@elsewhere.example"] {
            let printed = decided(requesters, authors, by);
            assert!(printed.starts_with("held: 0/1"), "{by} of {requesters:?} for {authors:?}: {printed}");
        }
        assert_eq!(decided(requesters, authors, "bob"), "open: approved by bob");
    }
    // A list, as earlier versions sealed it.
    let printed = decided(&["carol"], &["dave@example.com, Al <al@home.example>"], "alice");
    assert!(printed.starts_with("held: 0/1"), "{printed}");
}

#[test]
fn the_number_of_approvals_does_not_depend_on_the_order() {
    let declared =
        &TWO.replace("rules:", "identities: [{user: bob@example.com}, {user: bob@example.org}], rules:");
    let decisions = || ["bob", "bob@example.com", "bob@example.org"].map(approval);
    let mut backwards = decisions();
    backwards.reverse();
    change(declared)
        .decided(decisions())
        .check(expect!["open: approved by bob@example.com, bob@example.org"]);
    change(declared).decided(backwards).check(expect!["open: approved by bob@example.com, bob@example.org"]);
}

#[test]
fn the_rules_of_now_count() {
    let decisions = || [of_groups("bob", &["owners"])];
    change("{rules: [{changes: [ReduceRetention], groups: [owners]}]}")
        .decided(decisions())
        .check(expect!["open: approved by bob"]);
    // The group was taken out of the rule.
    change(ONE).decided(decisions()).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    // The rule was taken away.
    change("{rules: [{changes: [GrantAccess], groups: [approvers]}]}")
        .decided(decisions())
        .check(expect!["open: free"]);
}

#[test]
fn each_rule_has_to_be_satisfied() {
    const BOTH: &str = "{rules: [{changes: [ReduceRetention], groups: [data]}, {changes: [GrantAccess, Any], approvals: 2, groups: [security, data]}]}";
    let several = || {
        change(BOTH).touching(&[
            GovernedChange::ReduceRetention,
            GovernedChange::GrantAccess,
            GovernedChange::Any,
        ])
    };
    several().check(expect![[r#"
        held: 0/2 of ReduceRetention GrantAccess Any
          ReduceRetention needs 1 more from group data
          GrantAccess, Any need 2 more from one of the groups data, security"#]]);
    several().decided([of_groups("bob", &["security"])]).check(expect![[r#"
        held: 0/1 of ReduceRetention GrantAccess Any
          ReduceRetention needs 1 more from group data
          GrantAccess, Any need 1 more from one of the groups data, security
          until 2026-01-13T11:00:00Z"#]]);
    several().decided([of_groups("bob", &["security", "data"])]).check(expect![[r#"
        held: 1/2 of ReduceRetention GrantAccess Any
          GrantAccess, Any need 1 more from one of the groups data, security
          until 2026-01-13T11:00:00Z"#]]);
    several().decided([of_groups("bob", &["security"]), of_groups("carol", &["security"])]).check(expect![[
        r#"
        held: 0/1 of ReduceRetention GrantAccess Any
          ReduceRetention needs 1 more from group data
          until 2026-01-13T11:00:00Z"#
    ]]);
    several()
        .decided([of_groups("bob", &["data"]), of_groups("carol", &["security"])])
        .check(expect!["open: approved by bob, carol"]);
}

#[test]
fn the_rule_that_lacks_most_is_counted_and_the_first_of_equals() {
    let rules = |numbers: &[(i32, &str)]| {
        let rules: Vec<String> = numbers
            .iter()
            .map(|(number, group)| format!("{{changes: [Any], approvals: {number}, groups: [{group}]}}"))
            .collect();
        format!("{{rules: [{}]}}", rules.join(", "))
    };
    let mut table = String::new();
    for (numbers, decisions) in [
        (&[(1, "a"), (3, "b")][..], &[][..]),
        (&[(3, "a"), (1, "b")], &[]),
        (&[(2, "a"), (2, "b")], &["a"]),
        (&[(2, "a"), (2, "b")], &["b"]),
        (&[(2, "a"), (3, "b")], &["b"]),
        (&[(2, "a"), (3, "b")], &["b", "b"]),
        (&[(2, "a"), (3, "b")], &["a", "a"]),
        (&[(2, "a"), (1, "b")], &["a", "a", "a"]),
        (&[(1, "a"), (1, "b"), (1, "c")], &["a", "b"]),
        (&[(1, "a"), (2, "b")], &["b", "b", "b", "b"]),
    ] {
        let by = |(n, group): (usize, &&str)| of_groups(&format!("approver{n}"), &[*group]);
        let change = change(&rules(numbers)).decided(decisions.iter().enumerate().map(by));
        let gate = print(&change.authorize());
        let line = gate.lines().next().unwrap_or_default();
        table.push_str(&format!("{numbers:?} by {decisions:?}: {line}\n"));
    }
    expect![[r#"
        [(1, "a"), (3, "b")] by []: held: 0/3 of ReduceRetention Any
        [(3, "a"), (1, "b")] by []: held: 0/3 of ReduceRetention Any
        [(2, "a"), (2, "b")] by ["a"]: held: 0/2 of ReduceRetention Any
        [(2, "a"), (2, "b")] by ["b"]: held: 0/2 of ReduceRetention Any
        [(2, "a"), (3, "b")] by ["b"]: held: 0/2 of ReduceRetention Any
        [(2, "a"), (3, "b")] by ["b", "b"]: held: 0/2 of ReduceRetention Any
        [(2, "a"), (3, "b")] by ["a", "a"]: held: 0/3 of ReduceRetention Any
        [(2, "a"), (1, "b")] by ["a", "a", "a"]: held: 0/1 of ReduceRetention Any
        [(1, "a"), (1, "b"), (1, "c")] by ["a", "b"]: held: 0/1 of ReduceRetention Any
        [(1, "a"), (2, "b")] by ["b", "b", "b", "b"]: held: 0/1 of ReduceRetention Any
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_change_without_a_requester_cannot_be_approved() {
    let mut unknown = change(ONE).decided([approval("bob")]);
    unknown.request = None;
    unknown.check(expect![[r#"
        held: 0/1 of ReduceRetention
          the requester of this change is unknown, because the webhook did not see it: name its author in the annotation eventcenter.io/authored-by, which makes you the requester
          ReduceRetention needs 1 more from group approvers"#]]);
}

#[test]
fn only_break_glass_groups_break_the_glass() {
    const GLASS: &str = "{breakGlass: [oncall], rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
    change(GLASS).broken_glass("alice", &["oncall"]).check(expect!["open: alice because it burns"]);
    change(GLASS).broken_glass("alice", &["approvers"]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    // The group was taken out of the list.
    change(ONE).broken_glass("alice", &["oncall"]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention needs 1 more from group approvers"#]]);
    change(GLASS)
        .broken_glass("alice", &["oncall"])
        .decided([rejection("bob", "it does not burn")])
        .check(expect!["open: alice because it burns"]);
}

#[test]
fn no_glass_is_broken_for_a_deletion() {
    let mut deletion = change("{breakGlass: [oncall], rules: [{changes: [Any], groups: [approvers]}]}")
        .broken_glass("alice", &["oncall"])
        .touching(&[GovernedChange::Delete, GovernedChange::Any]);
    deletion.action = ApprovalAction::Delete;
    deletion.check(expect![[r#"
        held: 0/1 of Delete Any
          Any needs 1 more from group approvers"#]]);
}
