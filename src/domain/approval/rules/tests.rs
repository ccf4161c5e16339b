//! Rules, read and asked.

use super::*;
use crate::api::Approval;
use crate::domain::approval::testing::{at, groups, rules};
use expect_test::{Expect, expect};

fn read(yaml: &str) -> Result<Rules, Refusal> {
    let declared: Approval = serde_yaml::from_str(yaml).expect("an approval");
    Rules::read(Some(&declared))
}

fn check(yaml: &str, expected: Expect) {
    expected.assert_eq(&match read(yaml) {
        Err(refusal) => refusal.to_string(),
        Ok(rules) => {
            let rule = |rule: &Rule| {
                format!("{:?} of {:?}: {} by {}", rule.changes, rule.kinds, rule.approvals, rule.by_whom())
            };
            let told: Vec<String> = rules.rules.iter().map(rule).collect();
            format!("{:?} for {:#}\n{}", rules.mode, rules.valid_for, told.join("\n"))
        }
    });
}

#[test]
fn defaults() {
    check(
        "{rules: [{changes: [Any], groups: [a]}]}",
        expect![[r#"
        Hold for 168h
        {Any} of {}: 1 by group a"#]],
    );
    assert_eq!(Rules::read(None), Ok(Rules::default()));
}

#[test]
fn what_is_declared() {
    check(
        "{mode: Deny, validFor: 2w, rules: [{changes: [Create, Delete], kinds: [EventTopic], approvals: 3, groups: [b, a]}, \
         {changes: [Any], approvals: -1, groups: [c]}, {changes: [Any], approvals: 0, groups: [c]}]}",
        expect![[r#"
            Deny for 336h
            {Create, Delete} of {EventTopic}: 3 by one of the groups a, b
            {Any} of {}: 1 by group c
            {Any} of {}: 1 by group c"#]],
    );
}

#[test]
fn a_time_that_is_none() {
    let mut table = String::new();
    for text in ["soon", "unlimited", "0d", "99999999999999999w"] {
        let told = read(&format!("{{validFor: {text}, rules: []}}")).map(|rules| rules.valid_for);
        table.push_str(&match told {
            Ok(valid_for) => format!("{text}: {valid_for:#}\n"),
            Err(refusal) => format!("{refusal}\n"),
        });
    }
    expect![[r#"
        InvalidResource: spec.approval.validFor: "soon" is not a time that an approval can count: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "unlimited" is not a time that an approval can count: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "0d" is not a time that an approval can count: write a number and its unit (s, m, h, d or w), such as 7d
        InvalidResource: spec.approval.validFor: "99999999999999999w" is not a time that an approval can count: write a number and its unit (s, m, h, d or w), such as 7d
    "#]].assert_eq(&table);
}

#[test]
fn what_a_change_touches() {
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
        let touched = rules.touched(GovernedKind::EventTopic, &set);
        let told: Vec<String> =
            touched.iter().map(|rule| format!("{} by {}", rule.about(&set), rule.by_whom())).collect();
        table.push_str(&format!("{changes:?}: {}\n", told.join("; ")));
    }
    expect![[r#"
        []: 
        [Any]: Any by group b
        [Create, Any]: Create by group a; Any by group b
        [Delete]: Any by group b; Delete by group c
        [ReduceRetention]: Any by group b
        [Create, GrantAccess, Delete, Any]: Create, GrantAccess by group a; Any by group b; Delete by group c
    "#]]
    .assert_eq(&table);
    assert!(rules.govern(GovernedKind::EventTopic));
    assert!(!Rules::default().govern(GovernedKind::EventTopic));
}

#[test]
fn only_groups_that_are_named_are_kept() {
    let rules = rules(
        "{breakGlass: [oncall], rules: [{changes: [Create], groups: [b, a]}, {changes: [Delete], groups: [a, c]}]}",
    );
    assert_eq!(rules.approvers().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(
        rules.of_interest(&groups(&["system:authenticated", "oncall", "c", "a", "A", "c"])),
        ["a", "c", "oncall"]
    );
    assert!(rules.of_interest(&groups(&["x"])).is_empty());
}

#[test]
fn who_may_what() {
    const BOT: &str = "system:serviceaccount:ci:bot";
    let rules = rules(
        "{robots: ['system:serviceaccount:ci:bot'], automation: ['system:serviceaccount:argocd:a'], breakGlass: [oncall], \
         rules: [{changes: [Any], groups: [a]}]}",
    );
    assert!(rules.is_admitted("alice") && rules.is_admitted(BOT));
    assert!(!rules.is_admitted("system:serviceaccount:ci:other"));
    assert!(rules.is_automation("system:serviceaccount:argocd:a") && !rules.is_automation(BOT));
    assert!(rules.may_break_glass(&groups(&["a", "oncall"])) && !rules.may_break_glass(&groups(&["a"])));
    assert!(!Rules::default().may_break_glass(&groups(&["oncall"])));
}

#[test]
fn a_decision_lapses() {
    let rules = rules("{validFor: 90s, rules: []}");
    assert_eq!(rules.lapse(at(0)), at(90));
    assert_eq!(rules.lapse(Timestamp::MAX), Timestamp::MAX);
}
