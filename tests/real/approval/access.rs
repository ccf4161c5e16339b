//! Access that needs approval, at a Kafka that has an authorizer.

use std::collections::BTreeSet;

use eventcenter_kafka_admin::AclBindingFilter;

use super::shop::{ONE, Shop};
use crate::support::{Stage, until};

/// Waits until Kafka allows exactly these something about what belongs to the test.
async fn allowed(s: &Shop, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|user| format!("User:{user}")).collect();
    let looked = until(async || {
        let mut found = s.t.stage.kafka.acls(&AclBindingFilter::default()).await;
        found.retain(|acl| acl.name.starts_with(&s.t.prefix));
        let found: BTreeSet<String> = found.into_iter().map(|acl| acl.principal).collect();
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
    looked.await.unwrap_or_else(|seen| panic!("{expected:?} should be allowed something: {seen}"));
}

fn spec(access: &str) -> String {
    format!("{{cluster: secure, access: [{access}]}}")
}

const READS: &str = "{principal: 'User:reader', operations: [Read]}";
const WRITES: &str = "{principal: 'User:writer', operations: [Write]}";

#[tokio::test]
async fn who_is_not_approved_is_not_let_in_and_who_is_stays() {
    let s = Shop::on(Stage::secure(), ONE).await;
    s.ask("orders", &spec(READS)).await;
    s.waits("orders").await;
    allowed(&s, &[]).await;
    s.approve("orders", "bob").await;
    s.t.ready("orders").await;
    allowed(&s, &["reader"]).await;

    // Another one in its place.
    s.ask("orders", &spec(WRITES)).await;
    s.waits("orders").await;
    s.visited("orders").await;
    allowed(&s, &["reader"]).await;
    s.approve("orders", "bob").await;
    s.t.ready("orders").await;
    allowed(&s, &["writer"]).await;

    // What goes takes its access along, whatever waits.
    s.ask("orders", &spec(READS)).await;
    s.waits("orders").await;
    s.t.remove("orders").await;
    allowed(&s, &[]).await;
}

#[tokio::test]
async fn a_consumer_group_is_not_kept_open_by_what_waits() {
    let s = Shop::on(Stage::secure(), ONE).await;
    let group = format!("{{principal: 'User:reader', operations: [Read], groups: ['{}g']}}", s.t.prefix);
    s.made("orders", &spec(&group)).await;
    allowed(&s, &["reader"]).await;
    // Somebody would like to have the group too.
    s.ask("others", &spec(&group)).await;
    s.waits("others").await;
    s.made("orders", &spec("")).await;
    allowed(&s, &[]).await;
    s.approve("others", "bob").await;
    s.t.ready("others").await;
    allowed(&s, &["reader"]).await;
}
