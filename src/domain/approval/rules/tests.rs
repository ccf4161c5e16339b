//! Rules, read and asked.

use super::*;
use crate::api::{Approval, EventTopic};
use crate::domain::approval::testing::{at, groups, rules};
use expect_test::{Expect, expect};

fn read(yaml: &str) -> Result<Rules, Refusal> {
    let declared: Approval = serde_yaml::from_str(yaml).expect("an approval");
    Rules::parse(Some(&declared))
}

fn check(yaml: &str, expected: Expect) {
    expected.assert_eq(&match read(yaml) {
        Err(refusal) => refusal.to_string(),
        Ok(rules) => {
            let rule = |rule: &Rule| {
                let missing = rule.missing(&rule.changes, rule.approvals).expect("a rule needs approvals");
                format!("{:?} of {:?}: {missing}", rule.changes, rule.kinds)
            };
            let shown: Vec<String> = rules.rules.iter().map(rule).collect();
            format!("{:?} for {:#}\n{}", rules.mode, rules.valid_for, shown.join("\n"))
        }
    });
}

#[test]
fn defaults() {
    check(
        "{rules: [{changes: [Any], groups: [a]}]}",
        expect![[r#"
            Hold for 168h
            {Any} of {}: Any needs 1 more from group a"#]],
    );
    assert_eq!(Rules::parse(None), Ok(Rules::default()));
}

#[test]
fn what_is_declared() {
    check(
        "{mode: Deny, validFor: 2w, rules: [{changes: [Create, Delete], kinds: [EventTopic], approvals: 3, groups: [b, a]}, \
         {changes: [Any], approvals: -1, groups: [c]}, {changes: [Any], approvals: 0, groups: [c]}]}",
        expect![[r#"
            Deny for 336h
            {Create, Delete} of {EventTopic}: Create, Delete need 3 more from one of the groups a, b
            {Any} of {}: Any needs 1 more from group c
            {Any} of {}: Any needs 1 more from group c"#]],
    );
}

#[test]
fn an_invalid_duration_is_refused() {
    let mut table = String::new();
    for text in ["soon", "unlimited", "0d", "99999999999999999w"] {
        let shown = read(&format!("{{validFor: {text}, rules: []}}")).map(|rules| rules.valid_for);
        table.push_str(&match shown {
            Ok(valid_for) => format!("{text}: {valid_for:#}\n"),
            Err(refusal) => format!("{refusal}\n"),
        });
    }
    expect![[r#"
        InvalidResource: spec.approval.validFor: "soon" is not a duration: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "unlimited" is not a duration: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "0d" is not a duration: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "99999999999999999w" is not a duration: write a number and its unit (s, m, h, d or w), such as 7d
    "#]].assert_eq(&table);
}

#[test]
fn a_rule_about_a_kind_that_needs_no_approval_is_refused() {
    for kind in ["Tenant", "eventtopic"] {
        let refusal = read(&format!(
            "{{rules: [{{changes: [Any], groups: [a]}}, {{changes: [Any], kinds: [{kind}], groups: [a]}}]}}"
        ))
        .expect_err("a rule that covers nothing");
        assert_eq!(
            refusal.to_string(),
            format!(
                "InvalidResource: spec.approval.rules[1].kinds: changes of {kind}s need no approval: name another kind, or omit kinds to cover all"
            )
        );
    }
}

#[test]
fn rules_match_changes() {
    let rules = rules(
        "{rules: [{changes: [Create, GrantAccess], groups: [a]}, {changes: [Any], kinds: [EventTopic], groups: [b]}, \
         {changes: [Delete], groups: [c]}]}",
    );
    let mut table = String::new();
    for changes in [
        &[][..],
        &[GovernedChange::Any],
        &[GovernedChange::Create, GovernedChange::Any],
        &[GovernedChange::Delete],
        &[GovernedChange::ReduceRetention],
        &[GovernedChange::Create, GovernedChange::GrantAccess, GovernedChange::Delete, GovernedChange::Any],
    ] {
        let set: BTreeSet<GovernedChange> = changes.iter().copied().collect();
        let touched = rules.matching(&Kind::of::<EventTopic>(), &set);
        let shown: Vec<String> =
            touched.iter().filter_map(|rule| Some(rule.missing(&set, rule.approvals)?.to_string())).collect();
        table.push_str(&format!("{changes:?}: {}\n", shown.join("; ")));
    }
    expect![[r#"
        []: 
        [Any]: Any needs 1 more from group b
        [Create, Any]: Create needs 1 more from group a; Any needs 1 more from group b
        [Delete]: Any needs 1 more from group b; Delete needs 1 more from group c
        [ReduceRetention]: Any needs 1 more from group b
        [Create, GrantAccess, Delete, Any]: Create, GrantAccess need 1 more from group a; Any needs 1 more from group b; Delete needs 1 more from group c
    "#]]
    .assert_eq(&table);
    assert!(rules.govern(&Kind::of::<EventTopic>()));
    assert!(!Rules::default().govern(&Kind::of::<EventTopic>()));
}

#[test]
fn only_named_groups_are_relevant() {
    let rules = rules(
        "{breakGlass: [oncall], rules: [{changes: [Create], groups: [b, a]}, {changes: [Delete], groups: [a, c]}]}",
    );
    assert_eq!(rules.approver_groups().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(
        rules.relevant_groups(&groups(&["system:authenticated", "oncall", "c", "a", "A", "c"])),
        ["a", "c", "oncall"]
    );
    assert!(rules.relevant_groups(&groups(&["x"])).is_empty());
}

#[test]
fn permissions_by_group() {
    const BOT: &str = "system:serviceaccount:ci:bot";
    let rules = rules(
        "{robots: ['system:serviceaccount:ci:bot'], automation: ['system:serviceaccount:argocd:a'], breakGlass: [oncall], \
         rules: [{changes: [Any], groups: [a]}]}",
    );
    assert!(rules.accepts_approver("alice") && rules.accepts_approver(BOT));
    assert!(!rules.accepts_approver("system:serviceaccount:ci:other"));
    assert!(rules.is_automation("system:serviceaccount:argocd:a") && !rules.is_automation(BOT));
    assert!(rules.may_break_glass(&groups(&["a", "oncall"])) && !rules.may_break_glass(&groups(&["a"])));
    assert!(!Rules::default().may_break_glass(&groups(&["oncall"])));
}

#[test]
fn an_approval_expires() {
    let rules = rules("{validFor: 90s, rules: []}");
    assert_eq!(rules.expiry(at(0)), at(90));
    assert_eq!(rules.expiry(Timestamp::MAX), Timestamp::MAX);
}
