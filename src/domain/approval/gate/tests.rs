//! Gates, printed.

use super::*;
use crate::api::{ApprovalTarget, ChangeApprovalSpec, GovernedKind};
use crate::domain::approval::testing::{asked_by, at, groups, hash, key, orders, rules};
use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// One approval by the group approvers.
const ONE: &str = "{rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
/// Two of them.
const TWO: &str = "{rules: [{changes: [ReduceRetention], approvals: 2, groups: [approvers]}]}";
/// One, before the change is made.
const DENY: &str = "{mode: Deny, rules: [{changes: [ReduceRetention], groups: [approvers]}]}";

/// A change of orders that alice has asked for, and nobody has decided on yet.
struct Change {
    rules: Rules,
    subject: Subject,
    action: ApprovalAction,
    touches: Vec<GovernedChange>,
    request: Option<Request>,
    voices: Vec<Voice>,
    now: Timestamp,
}

fn change(yaml: &str) -> Change {
    Change {
        rules: rules(yaml),
        subject: orders(),
        action: ApprovalAction::Apply,
        touches: vec![GovernedChange::ReduceRetention, GovernedChange::Any],
        request: Some(asked_by(&["alice"], &[])),
        voices: Vec::new(),
        now: at(0),
    }
}

/// An approval by somebody of the group approvers, an hour ago.
fn approval(by: &str) -> Voice {
    Voice {
        uid: Some("u1".into()),
        generation: 3,
        action: ApprovalAction::Apply,
        hash: hash("new").to_string(),
        decision: Decision::Approve,
        approver: Approver { username: by.into(), groups: groups(&["approvers"]), revocable: false },
        at: at(-3600),
        comment: None,
    }
}

fn of_groups(by: &str, names: &[&str]) -> Voice {
    Voice {
        approver: Approver { username: by.into(), groups: groups(names), revocable: false },
        ..approval(by)
    }
}

fn rejection(by: &str, comment: &str) -> Voice {
    Voice { decision: Decision::Reject, comment: Some(comment.into()), ..approval(by) }
}

impl Change {
    fn decided(mut self, voices: impl IntoIterator<Item = Voice>) -> Self {
        self.voices.extend(voices);
        self
    }

    fn touching(self, touches: &[GovernedChange]) -> Self {
        Self { touches: touches.to_vec(), ..self }
    }

    fn asked_by(self, requesters: &[&str], authors: &[&str]) -> Self {
        Self { request: Some(asked_by(requesters, authors)), ..self }
    }

    fn broken_glass(mut self, by: &str, groups_of: &[&str]) -> Self {
        let glass = BrokenGlass { by: by.into(), groups: groups(groups_of), reason: "it burns".into() };
        self.request.iter_mut().for_each(|request| request.asserted.break_glass = Some(glass.clone()));
        self
    }

    fn gate(&self) -> Gate {
        gate(&Facts {
            subject: &self.subject,
            action: self.action,
            hash: &hash("new"),
            changes: &self.touches.iter().copied().collect(),
            request: self.request.as_ref(),
            voices: &self.voices,
            rules: &self.rules,
            now: self.now,
        })
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&print(&self.gate()));
    }
}

fn print(gate: &Gate) -> String {
    let held = match gate {
        Gate::Open(Opened::Free) => return "open: free".into(),
        Gate::Open(Opened::Approved(by)) => return format!("open: approved by {}", by.join(", ")),
        Gate::Open(Opened::BrokenGlass(glass)) => {
            return format!("open: {} because {}", glass.by, glass.reason);
        }
        Gate::Held(held) => held,
    };
    let changes: Vec<String> = held.changes.iter().map(|change| format!("{change:?}")).collect();
    let mut lines = vec![format!("held: {}/{} of {}", held.have, held.need, changes.join(" "))];
    lines.extend(held.missing.iter().map(|missing| format!("  {missing}")));
    if let Some(rejection) = &held.rejected {
        let why = rejection.comment.as_deref().unwrap_or("no reason");
        lines.push(format!("  rejected by {}: {why}", rejection.by));
    }
    lines.extend(held.lapses.map(|lapses| format!("  until {lapses}")));
    lines.join("\n")
}

#[test]
fn what_touches_no_rule_is_free() {
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
fn nobody_has_decided() {
    change(ONE).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change("{rules: [{changes: [Any], groups: [a, b]}]}").check(expect![[r#"
        held: 0/1 of ReduceRetention Any
          Any: 1 more of one of the groups a, b"#]]);
}

#[test]
fn one_approval() {
    change(ONE).decided([approval("bob")]).check(expect!["open: approved by bob"]);
}

#[test]
fn nobody_approves_their_own_change() {
    change(ONE).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(ONE).asked_by(&["carol"], &["alice"]).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(ONE).asked_by(&["carol", "alice"], &[]).decided([approval("alice")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(ONE)
        .asked_by(&["system:serviceaccount:argocd:c"], &["Alice Doe <alice@example.com>"])
        .decided([approval("oidc:Alice@example.com")])
        .check(expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn an_approval_of_ones_own_does_not_spoil_anothers() {
    change(ONE).decided([approval("alice"), approval("bob")]).check(expect!["open: approved by bob"]);
}

#[test]
fn service_accounts_approve_only_if_they_are_listed() {
    const BOT: &str = "system:serviceaccount:ci:bot";
    const LISTED: &str = "{robots: ['system:serviceaccount:ci:bot'], rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
    change(ONE).decided([approval(BOT)]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(LISTED).decided([approval(BOT)]).check(expect!["open: approved by system:serviceaccount:ci:bot"]);
    change(LISTED).decided([approval("system:serviceaccount:ci:other")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    // The second account of one robot.
    change(LISTED).asked_by(&["system:serviceaccount:ci:deployer"], &[]).decided([approval(BOT)]).check(
        expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention: 1 more of group approvers"#]],
    );
    change(LISTED)
        .asked_by(&["system:serviceaccount:argocd:deployer"], &[])
        .decided([approval(BOT)])
        .check(expect!["open: approved by system:serviceaccount:ci:bot"]);
}

#[test]
fn only_this_very_content_is_approved() {
    let other = Voice { hash: hash("other").to_string(), ..approval("bob") };
    change(ONE).decided([other]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn a_content_that_comes_back_is_another_change() {
    let mut later = change(ONE).decided([approval("bob")]);
    later.subject.generation = 5;
    later.check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    let earlier = Voice { generation: 2, ..approval("bob") };
    change(ONE).decided([earlier]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    let later = Voice { generation: 4, ..approval("bob") };
    change(ONE).decided([later]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn a_resource_that_was_made_again_is_another() {
    let of_another = Voice { uid: Some("u0".into()), ..approval("bob") };
    let of_none = Voice { uid: None, ..approval("bob") };
    change(ONE).decided([of_another, of_none]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn approvals_lapse() {
    let week = 7 * 86_400;
    let at_the_last_second = Voice { at: at(1 - week), ..approval("bob") };
    change(TWO).decided([at_the_last_second.clone()]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          until 2026-01-06T12:00:01Z"#]]);
    change(ONE).decided([at_the_last_second]).check(expect!["open: approved by bob"]);
    let too_late = Voice { at: at(-week), ..approval("bob") };
    change(ONE).decided([too_late]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change("{validFor: 30m, rules: [{changes: [ReduceRetention], groups: [approvers]}]}")
        .decided([approval("bob")])
        .check(expect![[r#"
            held: 0/1 of ReduceRetention
              ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn what_lapses_first_is_told() {
    change(TWO.replace("approvals: 2", "approvals: 3").as_str())
        .decided([approval("bob"), Voice { at: at(-10), ..approval("carol") }])
        .check(expect![[r#"
            held: 2/3 of ReduceRetention
              ReduceRetention: 1 more of group approvers
              until 2026-01-13T11:00:00Z"#]]);
}

#[test]
fn two_approvals_are_of_two_people() {
    change(TWO).decided([approval("bob")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("bob")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("oidc:Bob@example.com")]).check(expect![[r#"
        held: 1/2 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          until 2026-01-13T11:00:00Z"#]]);
    change(TWO).decided([approval("bob"), approval("carol")]).check(expect!["open: approved by bob, carol"]);
}

#[test]
fn how_many_have_approved_does_not_depend_on_who_is_read_first() {
    let voices = || ["bob", "bob@example.com", "bob@example.org"].map(approval);
    let mut backwards = voices();
    backwards.reverse();
    change(TWO).decided(voices()).check(expect!["open: approved by bob@example.com, bob@example.org"]);
    change(TWO).decided(backwards).check(expect!["open: approved by bob@example.com, bob@example.org"]);
}

#[test]
fn the_rules_of_now_count() {
    let voices = || [of_groups("bob", &["owners"])];
    change("{rules: [{changes: [ReduceRetention], groups: [owners]}]}")
        .decided(voices())
        .check(expect!["open: approved by bob"]);
    // The group was taken out of the rule.
    change(ONE).decided(voices()).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    // The rule was taken away.
    change("{rules: [{changes: [GrantAccess], groups: [approvers]}]}")
        .decided(voices())
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
          ReduceRetention: 1 more of group data
          GrantAccess, Any: 2 more of one of the groups data, security"#]]);
    several().decided([of_groups("bob", &["security"])]).check(expect![[r#"
        held: 0/1 of ReduceRetention GrantAccess Any
          ReduceRetention: 1 more of group data
          GrantAccess, Any: 1 more of one of the groups data, security
          until 2026-01-13T11:00:00Z"#]]);
    several().decided([of_groups("bob", &["security", "data"])]).check(expect![[r#"
        held: 1/2 of ReduceRetention GrantAccess Any
          GrantAccess, Any: 1 more of one of the groups data, security
          until 2026-01-13T11:00:00Z"#]]);
    several().decided([of_groups("bob", &["security"]), of_groups("carol", &["security"])]).check(expect![[
        r#"
            held: 0/1 of ReduceRetention GrantAccess Any
              ReduceRetention: 1 more of group data
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
    for (numbers, voices) in [
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
        let change = change(&rules(numbers)).decided(voices.iter().enumerate().map(by));
        let gate = print(&change.gate());
        let line = gate.lines().next().unwrap_or_default();
        table.push_str(&format!("{numbers:?} by {voices:?}: {line}\n"));
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
fn a_rejection_holds() {
    change(ONE).decided([rejection("bob", "too early")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          rejected by bob: too early"#]]);
    change(ONE).decided([approval("carol"), rejection("bob", "too early")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: too early
          until 2026-01-13T11:00:00Z"#]]);
    change(ONE).decided([approval("bob"), rejection("bob", "I was wrong")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: I was wrong
          until 2026-01-13T11:00:00Z"#]]);
    let silent = Voice { comment: None, ..rejection("bob", "") };
    change(ONE).decided([silent]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          rejected by bob: no reason"#]]);
}

#[test]
fn a_rejection_does_not_lapse() {
    let old = Voice { at: at(-30 * 86_400), ..rejection("bob", "too early") };
    change(ONE).decided([old, approval("carol")]).check(expect![[r#"
        held: 1/1 of ReduceRetention
          rejected by bob: too early
          until 2026-01-13T11:00:00Z"#]]);
}

#[test]
fn the_first_rejection_is_told() {
    let early = || Voice { at: at(-9000), ..rejection("bob", "too early") };
    change(ONE).decided([early(), rejection("carol", "too much")]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          rejected by bob: too early"#]]);
    change(ONE).decided([rejection("carol", "too much"), early()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers
          rejected by bob: too early"#]]);
}

/// Whoever was refused an approval names the one who refused as an author, which asks for no other content.
#[test]
fn nobody_is_silenced_by_being_named() {
    let silenced = || {
        change(ONE).asked_by(&["alice"], &["bob"]).decided([
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
          it is not known who asked for this change, because the webhook was away: say who wrote it, in the annotation eventcenter.io/authored-by, and you have asked for it
          ReduceRetention: 1 more of group approvers
          rejected by bob: too early"#]]);
}

#[test]
fn only_who_could_approve_rejects() {
    let stranger = Voice { decision: Decision::Reject, ..of_groups("bob", &["others"]) };
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
    let of_another = Voice { hash: hash("other").to_string(), ..rejection("bob", "not that one") };
    change(ONE).decided([of_another, approval("carol")]).check(expect!["open: approved by carol"]);
    let before = Voice { generation: 2, ..rejection("bob", "not then") };
    change(ONE).decided([before, approval("carol")]).check(expect!["open: approved by carol"]);
}

#[test]
fn what_nobody_has_asked_for_is_approved_by_nobody() {
    let mut unknown = change(ONE).decided([approval("bob")]);
    unknown.request = None;
    unknown.check(expect![[r#"
        held: 0/1 of ReduceRetention
          it is not known who asked for this change, because the webhook was away: say who wrote it, in the annotation eventcenter.io/authored-by, and you have asked for it
          ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn glass_is_broken_by_who_may() {
    const GLASS: &str = "{breakGlass: [oncall], rules: [{changes: [ReduceRetention], groups: [approvers]}]}";
    change(GLASS).broken_glass("alice", &["oncall"]).check(expect!["open: alice because it burns"]);
    change(GLASS).broken_glass("alice", &["approvers"]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    // The group was taken out of the list.
    change(ONE).broken_glass("alice", &["oncall"]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
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
          Any: 1 more of group approvers"#]]);
}

#[test]
fn approvals_ahead_count_where_changes_are_denied() {
    let ahead = || Voice { generation: 2, ..approval("bob") };
    change(DENY).decided([ahead()]).check(expect!["open: approved by bob"]);
    change(DENY).decided([approval("bob")]).check(expect!["open: approved by bob"]);
    change(ONE).decided([ahead()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(DENY).decided([Voice { generation: 1, ..approval("bob") }]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(DENY).decided([Voice { uid: None, ..ahead() }]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(DENY).decided([Voice { uid: None, generation: 0, ..approval("bob") }]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(DENY).asked_by(&["bob"], &[]).decided([ahead()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    change(DENY).decided([ahead(), Voice { generation: 2, ..rejection("carol", "no") }]).check(expect![[
        r#"
        held: 1/1 of ReduceRetention
          rejected by carol: no
          until 2026-01-13T11:00:00Z"#
    ]]);
}

#[test]
fn what_does_not_exist_yet_is_approved_without_a_uid() {
    let ahead = || Voice { uid: None, generation: 0, ..approval("bob") };
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
          ReduceRetention: 1 more of group approvers"#]]);
    made(Some("u1"), 1, ONE).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
}

#[test]
fn an_approval_is_of_one_action() {
    const DELETE: &str = "{rules: [{changes: [Delete], groups: [approvers]}]}";
    let deletion = |rules: &str, voice: Voice| {
        let mut deletion =
            change(rules).touching(&[GovernedChange::Delete, GovernedChange::Any]).decided([voice]);
        deletion.action = ApprovalAction::Delete;
        deletion
    };
    let of_deletion = || Voice { action: ApprovalAction::Delete, ..approval("bob") };
    deletion(DELETE, approval("bob")).check(expect![[r#"
        held: 0/1 of Delete
          Delete: 1 more of group approvers"#]]);
    deletion(DELETE, of_deletion()).check(expect!["open: approved by bob"]);
    deletion(DELETE, Voice { action: ApprovalAction::Delete, ..approval("alice") }).check(expect![[r#"
        held: 0/1 of Delete
          Delete: 1 more of group approvers"#]]);
    change(ONE).decided([of_deletion()]).check(expect![[r#"
        held: 0/1 of ReduceRetention
          ReduceRetention: 1 more of group approvers"#]]);
    // Nothing is deleted on approvals of what was there before.
    deletion(&DELETE.replace("{rules", "{mode: Deny, rules"), Voice { generation: 2, ..of_deletion() })
        .check(expect![[r#"
            held: 0/1 of Delete
              Delete: 1 more of group approvers"#]]);
    // The controllers do not know who deletes.
    let mut by_nobody = deletion(DELETE, of_deletion());
    by_nobody.request = Some(asked_by(&[], &[]));
    by_nobody.check(expect!["open: approved by bob"]);
}

/// A ChangeApproval as the webhook stores it.
fn stored(by: &str) -> ChangeApproval {
    let spec = ChangeApprovalSpec {
        target: ApprovalTarget {
            kind: GovernedKind::EventTopic,
            name: "orders".into(),
            uid: Some("u1".into()),
            generation: Some(3),
        },
        action: ApprovalAction::Apply,
        spec_hash: hash("new").to_string(),
        decision: Decision::Approve,
        comment: Some("fine".into()),
        approver: Some(Approver { username: by.into(), groups: groups(&["approvers"]), revocable: false }),
        at: Some(at(-3600)),
        seal: None,
    };
    let mut stored = ChangeApproval::new("a1", spec);
    stored.metadata.namespace = Some("shop".into());
    stored.metadata.creation_timestamp = Some(Time(at(-3599)));
    seal(&mut stored, '1');
    stored
}

fn seal(approval: &mut ChangeApproval, by: char) {
    let approver = approval.spec.approver.clone().unwrap_or_default();
    let seal = key(by).seal(&statement("shop", approval, &approver, approval.spec.at.unwrap_or_default()));
    approval.spec.seal = Some(seal);
}

/// Whether somebody is heard after this was done to a ChangeApproval.
fn is_heard(tamper: impl FnOnce(&mut ChangeApproval)) -> bool {
    let mut approval = stored("bob");
    tamper(&mut approval);
    Voice::verified(&approval, &orders(), &PublicKeys::read(&key('1').public())).is_some()
}

#[test]
fn what_is_sealed_is_heard() {
    let voice = Voice::verified(&stored("bob"), &orders(), &PublicKeys::read(&key('1').public()));
    assert_eq!(voice, Some(Voice { comment: Some("fine".into()), ..approval("bob") }));
    assert_eq!(Voice::verified(&stored("bob"), &orders(), &PublicKeys::default()), None);
}

#[test]
fn what_was_written_past_the_webhook_is_not_heard() {
    assert!(is_heard(|_| {}));
    assert!(is_heard(|approval| approval.metadata.name = Some("another".into())));
    assert!(!is_heard(|approval| approval.spec.seal = None));
    assert!(!is_heard(|approval| seal(approval, '2')));
    assert!(!is_heard(|approval| approval.spec.approver = None));
    assert!(!is_heard(|approval| approval.spec.at = None));
    assert!(!is_heard(|approval| approval.spec.at = Some(at(0))));
    assert!(!is_heard(|approval| approval.spec.approver = Some(Approver::default())));
    assert!(!is_heard(|approval| approval.spec.approver.iter_mut().for_each(|by| by.groups.clear())));
    assert!(!is_heard(|approval| approval.spec.comment = None));
    assert!(!is_heard(|approval| approval.spec.decision = Decision::Reject));
    assert!(!is_heard(|approval| approval.spec.action = ApprovalAction::Delete));
    assert!(!is_heard(|approval| approval.spec.spec_hash = hash("other").to_string()));
    assert!(!is_heard(|approval| approval.spec.target.generation = Some(4)));
    assert!(!is_heard(|approval| approval.spec.target.generation = None));
    assert!(!is_heard(|approval| approval.spec.target.uid = None));
    assert!(!is_heard(|approval| approval.spec.target.uid = Some("u2".into())));
}

#[test]
fn an_approval_of_another_resource_is_not_heard() {
    assert!(!is_heard(|approval| approval.metadata.namespace = Some("other".into())));
    assert!(!is_heard(|approval| {
        approval.spec.target.name = "other".into();
        seal(approval, '1');
    }));
    // Sealed for a resource of the same name elsewhere, and copied.
    let mut elsewhere = orders();
    elsewhere.namespace = "other".into();
    let mut copied = stored("bob");
    copied.metadata.namespace = Some("other".into());
    let keys = PublicKeys::read(&key('1').public());
    assert_eq!(Voice::verified(&copied, &elsewhere, &keys), None);
    assert_eq!(Voice::verified(&stored("bob"), &elsewhere, &keys), None);
}

#[test]
fn an_approval_that_goes_is_not_heard() {
    let goes = Some(Time(at(0)));
    assert!(!is_heard(|approval| approval.metadata.deletion_timestamp = goes));
}

/// Taken back, and put back by somebody who had kept it while the webhook was away.
#[test]
fn an_approval_that_was_made_again_is_not_heard() {
    let made = |seconds: i64| Some(Time(at(-3600 + seconds)));
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = None), "in admission");
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = made(60)));
    assert!(is_heard(|approval| approval.metadata.creation_timestamp = made(-60)));
    assert!(!is_heard(|approval| approval.metadata.creation_timestamp = made(61)));
    assert!(!is_heard(|approval| approval.metadata.creation_timestamp = made(-61)));
}
