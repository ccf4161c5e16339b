//! Access that needs approval, at a Kafka with an authorizer.

use crate::stage;
use std::collections::BTreeSet;

use eventcenter_kafka_admin::AclBindingFilter;

use super::fixture::{ApprovalFixture, ONE_APPROVAL};
use crate::support::until;

/// Waits until exactly these users have ACLs for names with the test's prefix.
async fn wait_for_principals(s: &ApprovalFixture, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|user| format!("User:{user}")).collect();
    let polled = until(async || {
        let mut found = s.t.stage.kafka.acls(&AclBindingFilter::default()).await;
        found.retain(|acl| acl.name.starts_with(&s.t.prefix));
        let found: BTreeSet<String> = found.into_iter().map(|acl| acl.principal).collect();
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
    polled.await.unwrap_or_else(|seen| panic!("the principals are not {expected:?}: {seen}"));
}

fn spec(access: &str) -> String {
    format!("{{cluster: secure, access: [{access}]}}")
}

const READS: &str = "{principal: 'User:reader', operations: [Read]}";
const WRITES: &str = "{principal: 'User:writer', operations: [Write]}";

#[tokio::test]
async fn new_access_waits_for_approval_and_existing_access_stays() {
    let s = ApprovalFixture::on(stage::secure(), ONE_APPROVAL).await;
    s.request("orders", &spec(READS)).await;
    s.wait_until_pending("orders").await;
    wait_for_principals(&s, &[]).await;
    s.approve("orders", "bob").await;
    s.t.topic("orders").wait_until_ready().await;
    wait_for_principals(&s, &["reader"]).await;

    // A change to another user.
    s.request("orders", &spec(WRITES)).await;
    s.wait_until_pending("orders").await;
    s.wait_for_reconcile("orders").await;
    wait_for_principals(&s, &["reader"]).await;
    s.approve("orders", "bob").await;
    s.t.topic("orders").wait_until_ready().await;
    wait_for_principals(&s, &["writer"]).await;

    // The access of a deleted resource is revoked, whatever is pending.
    s.request("orders", &spec(READS)).await;
    s.wait_until_pending("orders").await;
    s.t.topic("orders").delete_and_wait().await;
    wait_for_principals(&s, &[]).await;
}

#[tokio::test]
async fn a_pending_change_does_not_keep_a_consumer_groups_access() {
    let s = ApprovalFixture::on(stage::secure(), ONE_APPROVAL).await;
    let group = format!("{{principal: 'User:reader', operations: [Read], groups: ['{}g']}}", s.t.prefix);
    s.apply_approved("orders", &spec(&group)).await;
    wait_for_principals(&s, &["reader"]).await;
    // Another topic requests the same group.
    s.request("others", &spec(&group)).await;
    s.wait_until_pending("others").await;
    s.apply_approved("orders", &spec("")).await;
    wait_for_principals(&s, &[]).await;
    s.approve("others", "bob").await;
    s.t.topic("others").wait_until_ready().await;
    wait_for_principals(&s, &["reader"]).await;
}
