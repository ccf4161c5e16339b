//! Whether a user may decide, printed.

use super::*;
use crate::api::{ApprovalTarget, ChangeApprovalSpec, Decision, EventTopic, Kind};
use crate::domain::approval::testing::{groups, hash, orders, requested_by, rules};
use expect_test::{Expect, expect};

const RULES: &str = "{breakGlass: [oncall], robots: ['system:serviceaccount:ci:bot'], \
                     rules: [{changes: [Any], groups: [owners, approvers]}]}";
const DENY: &str = "{mode: Deny, rules: [{changes: [Any], groups: [approvers]}]}";

/// Bob, who may, approves what alice has asked for.
struct Case {
    rules: Rules,
    target: DecisionTarget,
    username: &'static str,
    groups: Vec<String>,
    has_approve_verb: bool,
    action: ApprovalAction,
    decision: Decision,
    hash: SpecHash,
}

/// The good case, after this was done to it.
fn check(change: impl FnOnce(&mut Case), expected: Expect) {
    let mut case = Case {
        rules: rules(RULES),
        target: DecisionTarget {
            subject: orders(),
            hash: Some(hash("new")),
            takeover_hash: None,
            request: Some(requested_by(&["alice"], &["Carol <carol@example.com>"])),
        },
        username: "bob",
        groups: groups(&["approvers", "system:authenticated"]),
        has_approve_verb: true,
        action: ApprovalAction::Apply,
        decision: Decision::Approve,
        hash: hash("new"),
    };
    change(&mut case);
    let approval = ChangeApproval::new(
        "a1",
        ChangeApprovalSpec {
            target: ApprovalTarget {
                kind: Kind::of::<EventTopic>(),
                name: "orders".into(),
                uid: None,
                generation: None,
            },
            action: case.action,
            spec_hash: case.hash.to_string(),
            takeover_hash: None,
            decision: case.decision,
            comment: None,
            approver: None,
            at: None,
            seal: None,
        },
    );
    let by = DecidingUser {
        username: case.username,
        groups: &case.groups,
        has_approve_verb: case.has_approve_verb,
    };
    let answer = match check_eligibility(&approval, &case.target, by, &case.rules) {
        Ok(()) => "allowed".into(),
        Err(refusal) => refusal.to_string(),
    };
    expected.assert_eq(&answer);
}

#[test]
fn another_user_may_decide() {
    check(|_| {}, expect!["allowed"]);
    check(|case| case.decision = Decision::Reject, expect!["allowed"]);
    check(|case| case.groups = groups(&["owners"]), expect!["allowed"]);
}

#[test]
fn there_are_no_rules() {
    check(
        |case| case.rules = Rules::default(),
        expect![
            "ApprovalNotAllowed: the tenant of namespace shop has no approval rules for EventTopics, so there is nothing to approve"
        ],
    );
}

#[test]
fn the_verb_is_missing() {
    check(
        |case| case.has_approve_verb = false,
        expect![
            "ApprovalNotAllowed: bob may not approve EventTopic orders: that takes the verb approve on it, which the ClusterRole eventcenter-approver grants"
        ],
    );
}

#[test]
fn service_accounts_are_listed() {
    check(
        |case| case.username = "system:serviceaccount:ci:other",
        expect![
            "ApprovalNotAllowed: system:serviceaccount:ci:other is a service account: approvals are made by people, unless the tenant lists it in spec.approval.robots"
        ],
    );
    check(|case| case.username = "system:serviceaccount:ci:bot", expect!["allowed"]);
    check(
        |case| {
            case.username = "system:serviceaccount:ci:bot";
            case.target.request = Some(requested_by(&["system:serviceaccount:ci:deployer"], &[]));
        },
        expect![
            "ApprovalNotAllowed: system:serviceaccount:ci:bot requested or wrote this change (system:serviceaccount:ci:deployer): another person has to decide"
        ],
    );
}

#[test]
fn a_group_is_missing() {
    check(
        |case| case.groups = groups(&["others"]),
        expect![
            "ApprovalNotAllowed: bob is in none of the groups that may approve for this tenant: approvers, owners"
        ],
    );
    check(
        |case| case.groups = Vec::new(),
        expect![
            "ApprovalNotAllowed: bob is in none of the groups that may approve for this tenant: approvers, owners"
        ],
    );
    // Who may break glass may not approve for that.
    check(
        |case| case.groups = groups(&["oncall"]),
        expect![
            "ApprovalNotAllowed: bob is in none of the groups that may approve for this tenant: approvers, owners"
        ],
    );
}

#[test]
fn the_content_is_another_by_now() {
    check(
        |case| case.target.hash = Some(hash("newer")),
        expect![
            "ApprovalOutdated: spec.specHash: the content of EventTopic orders is 5339aa7a45713db230a17c0b89196595912570b9f0c53615e5681101f81f8a9d now, which is not what this decides on: look at it again (eventctl diff EventTopic orders -n shop)"
        ],
    );
    check(
        |case| {
            case.target.hash = Some(hash("newer"));
            case.action = ApprovalAction::Delete;
            case.rules = rules(DENY);
        },
        expect![
            "ApprovalOutdated: spec.specHash: the content of EventTopic orders is 5339aa7a45713db230a17c0b89196595912570b9f0c53615e5681101f81f8a9d now, which is not what this decides on: look at it again (eventctl diff EventTopic orders -n shop)"
        ],
    );
}

#[test]
fn there_is_no_such_resource() {
    check(
        |case| case.target.hash = None,
        expect!["ApprovalOutdated: spec.target.name: there is no EventTopic orders in namespace shop"],
    );
}

#[test]
fn requesters_cannot_decide_on_their_own_change() {
    check(
        |case| case.username = "alice",
        expect![
            "ApprovalNotAllowed: alice requested or wrote this change (alice for Carol <carol@example.com>): another person has to decide"
        ],
    );
    check(
        |case| case.username = "carol",
        expect![
            "ApprovalNotAllowed: carol requested or wrote this change (alice for Carol <carol@example.com>): another person has to decide"
        ],
    );
    check(
        |case| case.username = "oidc:Alice@example.com",
        expect![
            "ApprovalNotAllowed: oidc:Alice@example.com requested or wrote this change (alice for Carol <carol@example.com>): another person has to decide"
        ],
    );
    check(
        |case| {
            case.username = "alice";
            case.decision = Decision::Reject;
        },
        expect![
            "ApprovalNotAllowed: alice requested or wrote this change (alice for Carol <carol@example.com>): another person has to decide"
        ],
    );
    check(
        |case| {
            case.username = "alice";
            case.rules = rules(DENY);
        },
        expect![
            "ApprovalNotAllowed: alice requested or wrote this change (alice for Carol <carol@example.com>): another person has to decide"
        ],
    );
}

#[test]
fn an_unknown_requester_prevents_approval() {
    check(
        |case| case.target.request = None,
        expect![
            "ApprovalNotAllowed: the requester of EventTopic orders is unknown, because the webhook did not see the change: let another user request it and name its author in the annotation eventcenter.io/authored-by"
        ],
    );
}

#[test]
fn a_deletion_has_its_own_requester() {
    let deletion = |case: &mut Case| {
        case.action = ApprovalAction::Delete;
        case.username = "alice";
    };
    check(deletion, expect!["allowed"]);
    check(
        |case| {
            deletion(case);
            case.target.request = None;
        },
        expect!["allowed"],
    );
}

#[test]
fn changes_are_approved_ahead_where_they_are_denied() {
    let ahead = |case: &mut Case| {
        case.rules = rules(DENY);
        case.target.hash = Some(hash("old"));
        case.target.request = None;
    };
    check(ahead, expect!["allowed"]);
    check(
        |case| {
            ahead(case);
            case.target.hash = None;
        },
        expect!["allowed"],
    );
    check(
        |case| {
            ahead(case);
            case.groups = groups(&["others"]);
        },
        expect![
            "ApprovalNotAllowed: bob is in none of the groups that may approve for this tenant: approvers"
        ],
    );
}
