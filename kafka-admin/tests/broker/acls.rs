//! ACLs: making, seeing and removing them, and what a broker says that has none.

use eventcenter_kafka_admin::{
    Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource, AdminClient, BrokerError,
    ErrorCode, RequestError,
};

use crate::support::{TIMEOUT, client, code, eventually, message, sasl_client, unique};

fn admin() -> AdminClient {
    sasl_client("admin", "admin-secret", |_| {})
}

fn may(principal: &str, operation: AclOperation, resource: AclResource, name: &str) -> Acl {
    Acl {
        resource,
        name: name.into(),
        pattern: AclPattern::Literal,
        principal: principal.into(),
        host: "*".into(),
        operation,
        permission: AclPermission::Allow,
    }
}

fn named(resource: AclResource, name: &str) -> AclFilter {
    AclFilter { resource: Some(resource), name: Some(name.into()), ..AclFilter::default() }
}

/// Waits until exactly these pass a filter: a broker learns of changes a moment later.
async fn shown(client: &AdminClient, filter: &AclFilter, expected: &[Acl]) {
    let mut expected = expected.to_vec();
    expected.sort();
    eventually("the ACLs", || async {
        let mut found = client.describe_acls(filter, TIMEOUT).await.expect("an answer");
        found.sort();
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn acls_are_made_seen_and_removed() {
    let client = admin();
    let name = unique("acl");
    let read = may("User:alice", AclOperation::Read, AclResource::Topic, &name);
    let write = may("User:bob", AclOperation::Write, AclResource::Topic, &name);
    let denied = Acl {
        permission: AclPermission::Deny,
        host: "10.0.0.1".into(),
        ..may("User:CN=eve,O=Öst & Co", AclOperation::All, AclResource::Topic, &name)
    };
    let prefixed = Acl { pattern: AclPattern::Prefixed, ..read.clone() };
    let group = may("User:alice", AclOperation::Read, AclResource::Group, &name);
    let all = [read.clone(), write.clone(), denied.clone(), prefixed.clone(), group.clone()];
    let made = client.create_acls(&all, TIMEOUT).await.expect("an answer");
    assert_eq!(made, vec![Ok(()); 5]);
    assert_eq!(client.create_acls(&all, TIMEOUT).await, Ok(vec![Ok(()); 5]), "once more is fine");

    let topic = [read.clone(), write.clone(), denied.clone(), prefixed.clone()];
    shown(&client, &named(AclResource::Topic, &name), &topic).await;
    shown(&client, &named(AclResource::Group, &name), std::slice::from_ref(&group)).await;
    let literal = AclFilter { pattern: Some(AclPattern::Literal), ..named(AclResource::Topic, &name) };
    shown(&client, &literal, &[read.clone(), write.clone(), denied.clone()]).await;
    shown(&client, &read.clone().into(), std::slice::from_ref(&read)).await;

    let missing = may("User:nobody", AclOperation::Read, AclResource::Topic, &name);
    let filters = [write.clone().into(), missing.into(), denied.clone().into()];
    let removed = client.delete_acls(&filters, TIMEOUT).await.expect("an answer");
    assert_eq!(removed, [Ok(vec![write]), Ok(vec![]), Ok(vec![denied])]);
    shown(&client, &named(AclResource::Topic, &name), &[read, prefixed]).await;
    let rest = [named(AclResource::Topic, &name), named(AclResource::Group, &name)];
    let removed = client.delete_acls(&rest, TIMEOUT).await.expect("an answer");
    assert_eq!(removed.iter().map(|some| some.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>(), [2, 1]);
    shown(&client, &named(AclResource::Topic, &name), &[]).await;
}

#[tokio::test]
async fn one_bad_acl_does_not_disturb_the_others() {
    let client = admin();
    let name = unique("acl");
    let good = may("User:alice", AclOperation::Read, AclResource::Topic, &name);
    let nobody = may("alice", AclOperation::Read, AclResource::Topic, &name);
    let nameless = may("User:alice", AclOperation::Read, AclResource::Topic, "");
    let answers = client.create_acls(&[nobody, good.clone(), nameless], TIMEOUT).await.expect("an answer");
    assert!(answers[0].is_err() && answers[1].is_ok(), "{answers:?}");
    assert_eq!(message(&answers[2]), "Invalid empty resource name");
    client.delete_acls(&[good.into()], TIMEOUT).await.expect("an answer");
}

#[tokio::test]
async fn without_an_authorizer_that_is_said() {
    let client = client();
    let acl = may("User:alice", AclOperation::Read, AclResource::Topic, "orders");
    let made = client.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect("an answer");
    assert_eq!(code(&made[0]), ErrorCode::SECURITY_DISABLED);
    assert_eq!(message(&made[0]), "No Authorizer is configured.");
    let removed = client.delete_acls(&[acl.clone().into()], TIMEOUT).await.expect("an answer");
    assert_eq!(code(&removed[0]), ErrorCode::SECURITY_DISABLED);
    let error = client.describe_acls(&acl.into(), TIMEOUT).await.expect_err("no authorizer");
    assert!(matches!(error, RequestError::Failed { code: ErrorCode::SECURITY_DISABLED, .. }), "{error}");
}

#[tokio::test]
async fn without_the_right_that_is_said() {
    let bob = sasl_client("bob", "bob-secret", |_| {});
    let acl = may("User:bob", AclOperation::All, AclResource::Topic, "orders");
    let made = bob.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect("an answer");
    assert!(made[0].as_ref().is_err_and(BrokerError::is_authorization), "{made:?}");
    let removed = bob.delete_acls(&[acl.clone().into()], TIMEOUT).await.expect("an answer");
    assert!(removed[0].as_ref().is_err_and(BrokerError::is_authorization), "{removed:?}");
    let error = bob.describe_acls(&acl.into(), TIMEOUT).await.expect_err("no right");
    assert!(
        matches!(error, RequestError::Failed { code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before() {
    let client = client();
    let acl = may("User:alice", AclOperation::Unknown, AclResource::Topic, "orders");
    let error = client.create_acls(&[acl], TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"CreateAcls: "orders": Invalid operation"#);
    let acl = may("User:\0", AclOperation::Read, AclResource::Topic, "orders");
    let error = client.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"CreateAcls: "orders": a string with a NUL byte"#);
    let error = client.describe_acls(&acl.into(), TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"DescribeAcls: "orders": a string with a NUL byte"#);
    let many = vec![AclFilter::default(); 2_001];
    let error = client.delete_acls(&many, TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"DeleteAcls: "the batch": 2001 ACLs, more than 2000"#);
    assert_eq!(client.create_acls(&[], TIMEOUT).await, Ok(vec![]));
    assert_eq!(client.delete_acls(&[], TIMEOUT).await, Ok(vec![]));
}

/// As many ACLs as a large installation has come in one answer.
#[tokio::test]
async fn ten_thousand_acls_are_read_at_once() {
    let client = admin();
    let name = unique("many");
    let host = "192.0.2.77";
    let all: Vec<Acl> = (0..10_000)
        .map(|number| {
            let principal = format!("User:CN=somebody-with-a-long-name-{number},OU=department,O=company");
            let acl = may(
                &principal,
                AclOperation::Read,
                AclResource::Topic,
                &format!("{name}-{}", number % 1_000),
            );
            Acl { host: host.into(), ..acl }
        })
        .collect();
    for some in all.chunks(2_000) {
        let made = client.create_acls(some, TIMEOUT).await.expect("an answer");
        assert!(made.iter().all(Result::is_ok));
    }
    let topics = AclFilter { resource: Some(AclResource::Topic), ..AclFilter::default() };
    let ours = || async {
        let found = client.describe_acls(&topics, TIMEOUT).await.expect("an answer");
        let count = found.iter().filter(|acl| acl.name.starts_with(&name)).count();
        (count == all.len()).then_some(())
    };
    eventually("all of them", ours).await;
    let ours = AclFilter { host: Some(host.into()), ..topics };
    let removed = client.delete_acls(&[ours], TIMEOUT).await.expect("an answer");
    assert_eq!(removed[0].as_ref().map(Vec::len), Ok(all.len()));
}
