//! Tests of access plans.

use super::*;
use crate::domain::testing::{tenants, topic};
use expect_test::{Expect, expect};

fn shop() -> std::sync::Arc<TenantFacts> {
    std::sync::Arc::clone(tenants(&[("shop", "{namespaces: [shop]}")]).of_namespace("shop").expect("its own"))
}

fn name() -> TopicName {
    "shop.orders".parse().expect("a name")
}

/// `User:a Read`, `User:a Read @shop.g`; `!User:a Write` denies; `User:a Read ~10.0.0.1` has a host.
fn kafka(text: &str) -> BTreeSet<AclBinding> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let principal = words.next().expect("a principal");
        let mut acl = AclBinding {
            resource: ResourcePattern::Topic("shop.orders".into()),
            principal: principal.trim_start_matches('!').into(),
            host: "*".into(),
            operation: words.next().expect("an operation").into(),
            allows: !principal.starts_with('!'),
        };
        match words.next().map(|word| word.split_at(1)) {
            Some(("@", group)) => acl.resource = ResourcePattern::group(group),
            Some((_, host)) => acl.host = host.into(),
            None => {}
        }
        acl
    };
    text.split(',').filter(|text| !text.trim().is_empty()).map(line).collect()
}

fn print_acl(acl: &TopicAcl) -> String {
    let group = acl.group.as_ref().map(|group| format!(" @{group}")).unwrap_or_default();
    format!("{} {}{group}", acl.principal, operation_name(acl.operation))
}

fn print(plan: &Plan) -> String {
    let mut lines = Vec::new();
    lines.extend(plan.create.iter().map(|acl| format!("create {}", print_acl(acl))));
    lines.extend(plan.delete.iter().map(|acl| format!("delete {}", print_acl(acl))));
    lines.extend(plan.foreign.iter().flatten().map(|acl| format!("foreign {acl}")));
    if plan.foreign.is_none() {
        lines.push("foreign unknown".into());
    }
    if let Some(found) = &plan.drift {
        lines.extend(found.describe().iter().map(|sentence| format!("{:?} {sentence}", found.action)));
    }
    if lines.is_empty() { "nothing".into() } else { lines.join("\n") }
}

struct Case {
    applied: bool,
    settled: bool,
    others: &'static [&'static str],
}

const NEW: Case = Case { applied: false, settled: true, others: &[] };
const APPLIED: Case = Case { applied: true, ..NEW };

impl Case {
    fn check(&self, yaml: &str, in_kafka: &str, expected: Expect) {
        let topic = topic(yaml);
        let (declared, ours, kafka, name) =
            (declared_acls(&topic), owned_acls(&topic, &shop()), kafka(in_kafka), name());
        let facts = Facts {
            topic: &name,
            existing: &kafka,
            owned: &ours,
            is_applied: self.applied,
            is_settled: self.settled,
        };
        let wanted = |acl: &TopicAcl| self.others.contains(&print_acl(acl).as_str());
        let plan = plan(&declared, topic.spec.drift_policy, &facts, wanted);
        expected.assert_eq(&print(&plan));
    }
}

const READ: &str = "access: [{principal: 'User:a', operations: [Read]}]";
const READ_IN_GROUP: &str =
    "access: [{principal: 'User:a', operations: [Read], groups: [shop.g, 'shop.h*']}]";

fn with_status(access: &str, acls: &str) -> String {
    format!("{{{access}, status: {{acls: [{acls}]}}}}")
}

const A_READS: &str = "{principal: 'User:a', operation: Read}";
const A_READS_IN_G: &str = "{principal: 'User:a', operation: Read, group: shop.g}";

#[test]
fn declared_acls_are_created() {
    NEW.check("{}", "", expect!["nothing"]);
    NEW.check(READ, "", expect!["create User:a Read"]);
    NEW.check(
        "access: [{principal: 'User:a', operations: [Read, Write, DescribeConfigs], groups: [shop.g]}, {principal: 'User:b', operations: [Describe]}]",
        "User:a Write",
        expect![[r#"
            create User:a Read
            create User:a Read @shop.g
            create User:a DescribeConfigs
            create User:b Describe"#]],
    );
    NEW.check(READ_IN_GROUP, "User:a Read, User:a Read @shop.g, User:a Read @shop.h*", expect!["nothing"]);
    NEW.check(
        READ_IN_GROUP,
        "User:a Read, User:a Read @shop.h",
        expect![[r#"
            create User:a Read @shop.g
            create User:a Read @shop.h*"#]],
    );
}

#[test]
fn owned_acls_are_deleted_once_undeclared() {
    let ours = with_status("partitions: 1", &format!("{A_READS}, {A_READS_IN_G}"));
    NEW.check(
        &ours,
        "User:a Read, User:a Read @shop.g, User:b Read",
        expect![[r#"
            delete User:a Read
            delete User:a Read @shop.g
            foreign User:b Allow Read from *"#]],
    );
    NEW.check(&ours, "", expect!["nothing"]);
    NEW.check("{}", "User:a Read", expect!["foreign User:a Allow Read from *"]);
}

#[test]
fn a_group_acl_that_another_topic_declares_stays() {
    let ours = with_status("partitions: 1", &format!("{A_READS}, {A_READS_IN_G}"));
    let others = Case { others: &["User:a Read", "User:a Read @shop.g"], ..NEW };
    others.check(&ours, "User:a Read, User:a Read @shop.g", expect!["delete User:a Read"]);
}

#[test]
fn foreign_acls_are_reported_and_kept() {
    NEW.check(
        READ,
        "User:a Read, User:eve Write, !User:bob All, User:a Read ~10.0.0.1",
        expect![[r#"
            foreign User:a Allow Read from 10.0.0.1
            foreign User:bob Deny All from *
            foreign User:eve Allow Write from *"#]],
    );
}

#[test]
fn at_most_20_foreign_acls_are_reported() {
    let many: Vec<String> = (0..30).map(|number| format!("User:{number:02} Read")).collect();
    let (kafka, name) = (kafka(&many.join(",")), name());
    let none = BTreeSet::new();
    let facts = Facts { topic: &name, existing: &kafka, owned: &none, is_applied: true, is_settled: true };
    let plan = plan(&none, DriftPolicy::Correct, &facts, |_| false);
    let foreign = plan.foreign.expect("known");
    assert_eq!((foreign.len(), foreign[0].as_str()), (20, "User:00 Allow Read from *"));
}

#[test]
fn drift_of_acls_is_corrected_or_reported() {
    let ours = with_status(READ_IN_GROUP, A_READS);
    APPLIED.check(
        &ours,
        "User:a Read @shop.g",
        expect![[r#"
            create User:a Read
            create User:a Read @shop.h*
            Corrected User:a lost Read: its ACL was deleted
            Corrected User:a lost group shop.h*: its ACL was deleted"#]],
    );
    let reported = with_status(&format!("driftPolicy: Report, {READ}"), A_READS);
    APPLIED.check(&reported, "", expect!["Reported User:a lost Read: its ACL was deleted"]);
    NEW.check(&reported, "", expect!["create User:a Read"]);
}

/// Shortly after a change Kafka may return the old state: then everything is created and deleted once more, which is
/// idempotent.
#[test]
fn an_unsettled_state_is_not_trusted() {
    let unsettled = Case { settled: false, applied: true, others: &[] };
    let ours = with_status(READ, A_READS_IN_G);
    unsettled.check(
        &ours,
        "User:a Read, User:b Read",
        expect![[r#"
            create User:a Read
            delete User:a Read @shop.g
            foreign unknown"#]],
    );
}

#[test]
fn a_status_gives_no_right_to_groups_of_other_tenants() {
    NEW.check(
        &with_status("partitions: 1", "{principal: 'User:a', operation: Read, group: bank.g}"),
        "User:a Read @bank.g",
        expect!["nothing"],
    );
}

fn refused(yaml: &str, expected: Expect) {
    expected.assert_eq(&match check(&topic(yaml), &shop()) {
        Ok(()) => "allowed".into(),
        Err(refusal) => refusal.to_string(),
    });
}

#[test]
fn groups_must_have_the_tenants_prefix() {
    let groups =
        |groups: &str| format!("access: [{{principal: 'User:a', operations: [Read], groups: [{groups}]}}]");
    refused(&groups("shop.g, 'shop.*', 'shop.h*', shop."), expect!["allowed"]);
    refused(
        &groups("bank.g"),
        expect![
            "InvalidResource: spec.access: group bank.g of User:a does not begin with shop., the prefix of tenant shop, so it could be another tenant's: write shop.bank.g, or remove it"
        ],
    );
    for group in ["'*'", "'shop*'", "'sh*'", "shopping.g", "SHOP.g"] {
        assert!(check(&topic(&groups(group)), &shop()).is_err(), "{group}");
    }
}

#[test]
fn the_number_of_acls_is_limited() {
    let users = |number: usize| {
        let users: Vec<String> = (0..number)
            .map(|user| {
                format!("{{principal: 'User:{user}', operations: [Read, Write, Describe, DescribeConfigs]}}")
            })
            .collect();
        format!("access: [{}]", users.join(", "))
    };
    refused(&users(250), expect!["allowed"]);
    refused(
        &users(251),
        expect![
            "InvalidResource: spec.access: 1004 ACLs exceed the maximum of 1000: use group prefixes (a trailing `*`), or grant access to fewer users in this resource"
        ],
    );
    refused(
        r#"access: [{principal: "User:\0", operations: [Read]}]"#,
        expect![
            "InvalidResource: spec.access: a principal contains a NUL character, which Kafka does not accept: remove it"
        ],
    );
}

#[test]
fn access_for_every_user_is_a_warning() {
    let all = topic(
        "access: [{principal: 'User:*', operations: [Read, Describe]}, {principal: 'User:a*', operations: [Read]}]",
    );
    assert_eq!(
        warnings(&all),
        [
            "spec.access: User:* allows Read, Describe to every authenticated Kafka user: list the users, unless this is intended"
        ]
    );
}

fn acls() -> impl proptest::strategy::Strategy<Value = BTreeSet<TopicAcl>> {
    use proptest::prelude::*;
    let operation = prop::sample::select(vec![AccessOperation::Read, AccessOperation::Write]);
    let group = prop::option::of(prop::sample::select(vec!["shop.g".to_owned(), "shop.*".to_owned()]));
    let acl = ("User:[ab]", operation, group).prop_map(|(principal, operation, group)| TopicAcl {
        principal,
        operation,
        group,
    });
    prop::collection::btree_set(acl, 0..6)
}

proptest::proptest! {
    /// For any declared, owned and existing ACLs: after the plan, declared ones exist, owned ones that are not declared do
    /// not, foreign ones are unchanged, and nothing is left to do.
    #[test]
    fn a_plan_reaches_its_goal(
        (wanted, ours, others) in (acls(), acls(), acls()),
        applied: bool,
        settled: bool,
    ) {
        let name = name();
        let in_kafka = |acls: &BTreeSet<TopicAcl>| -> BTreeSet<AclBinding> {
            acls.iter().map(|acl| AclBinding::of(acl, &name)).collect()
        };
        let foreign: BTreeSet<TopicAcl> = others.difference(&ours).cloned().collect();
        let mut kafka: BTreeSet<AclBinding> = in_kafka(&others);
        let facts = Facts { topic: &name, existing: &kafka, owned: &ours, is_applied: applied, is_settled: settled };
        let first = plan(&wanted, DriftPolicy::Correct, &facts, |_| false);
        proptest::prop_assert!(first.create.is_subset(&first.status_before), "written before it is made");
        proptest::prop_assert!(first.delete.is_subset(&ours), "only ours is taken away");
        kafka = &(&kafka - &in_kafka(&first.delete)) | &in_kafka(&first.create);
        proptest::prop_assert!(in_kafka(&wanted).is_subset(&kafka));
        proptest::prop_assert!(in_kafka(&foreign).is_subset(&kafka));
        proptest::prop_assert!(in_kafka(&(&ours - &wanted)).is_disjoint(&kafka));
        let facts = Facts { topic: &name, existing: &kafka, owned: &first.status_after, is_applied: true, is_settled: true };
        let second = plan(&wanted, DriftPolicy::Correct, &facts, |_| false);
        proptest::prop_assert!(second.create.is_empty() && second.delete.is_empty() && second.drift.is_none());
        proptest::prop_assert_eq!(&second.status_after, &first.status_after);
    }
}
