//! ACLs: creating, describing and deleting them, also on a broker without an authorizer.

use eventcenter_kafka_admin::{
    AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, BrokerError, ErrorCode,
    PatternType, RequestError, ResourceType,
};

use crate::support::{TIMEOUT, client, error_code, error_message, eventually, sasl_client, unique_name};

fn admin() -> AdminClient {
    sasl_client("admin", "admin-secret", |_| {})
}

fn allow_binding(
    principal: &str,
    operation: AclOperation,
    resource_type: ResourceType,
    name: &str,
) -> AclBinding {
    AclBinding {
        resource_type,
        name: name.into(),
        pattern_type: PatternType::Literal,
        principal: principal.into(),
        host: "*".into(),
        operation,
        permission_type: AclPermissionType::Allow,
    }
}

fn name_filter(resource_type: ResourceType, name: &str) -> AclBindingFilter {
    AclBindingFilter {
        resource_type: Some(resource_type),
        name: Some(name.into()),
        ..AclBindingFilter::default()
    }
}

/// Waits until exactly these ACLs match the filter: a broker learns of changes with a delay.
async fn await_acls(client: &AdminClient, filter: &AclBindingFilter, expected: &[AclBinding]) {
    let mut expected = expected.to_vec();
    expected.sort();
    eventually("the ACLs", || async {
        let mut found = client.describe_acls(filter, TIMEOUT).await.expect("a response");
        found.sort();
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn acls_are_created_described_and_deleted() {
    let client = admin();
    let name = unique_name("acl");
    let read = allow_binding("User:alice", AclOperation::Read, ResourceType::Topic, &name);
    let write = allow_binding("User:bob", AclOperation::Write, ResourceType::Topic, &name);
    let denied = AclBinding {
        permission_type: AclPermissionType::Deny,
        host: "10.0.0.1".into(),
        ..allow_binding("User:CN=eve,O=Öst & Co", AclOperation::All, ResourceType::Topic, &name)
    };
    let prefixed = AclBinding { pattern_type: PatternType::Prefixed, ..read.clone() };
    let group = allow_binding("User:alice", AclOperation::Read, ResourceType::Group, &name);
    let all = [read.clone(), write.clone(), denied.clone(), prefixed.clone(), group.clone()];
    let created = client.create_acls(&all, TIMEOUT).await.expect("a response");
    assert_eq!(created, vec![Ok(()); 5]);
    assert_eq!(
        client.create_acls(&all, TIMEOUT).await,
        Ok(vec![Ok(()); 5]),
        "creating existing ACLs succeeds"
    );

    let topic = [read.clone(), write.clone(), denied.clone(), prefixed.clone()];
    await_acls(&client, &name_filter(ResourceType::Topic, &name), &topic).await;
    await_acls(&client, &name_filter(ResourceType::Group, &name), std::slice::from_ref(&group)).await;
    let literal = AclBindingFilter {
        pattern_type: Some(PatternType::Literal),
        ..name_filter(ResourceType::Topic, &name)
    };
    await_acls(&client, &literal, &[read.clone(), write.clone(), denied.clone()]).await;
    await_acls(&client, &read.clone().into(), std::slice::from_ref(&read)).await;

    let missing = allow_binding("User:nobody", AclOperation::Read, ResourceType::Topic, &name);
    let filters = [write.clone().into(), missing.into(), denied.clone().into()];
    let deleted = client.delete_acls(&filters, TIMEOUT).await.expect("a response");
    assert_eq!(deleted, [Ok(vec![write]), Ok(vec![]), Ok(vec![denied])]);
    await_acls(&client, &name_filter(ResourceType::Topic, &name), &[read, prefixed]).await;
    let rest = [name_filter(ResourceType::Topic, &name), name_filter(ResourceType::Group, &name)];
    let deleted = client.delete_acls(&rest, TIMEOUT).await.expect("a response");
    assert_eq!(deleted.iter().map(|acls| acls.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>(), [2, 1]);
    await_acls(&client, &name_filter(ResourceType::Topic, &name), &[]).await;
}

#[tokio::test]
async fn an_invalid_acl_does_not_affect_the_others() {
    let client = admin();
    let name = unique_name("acl");
    let good = allow_binding("User:alice", AclOperation::Read, ResourceType::Topic, &name);
    let without_type = allow_binding("alice", AclOperation::Read, ResourceType::Topic, &name);
    let nameless = allow_binding("User:alice", AclOperation::Read, ResourceType::Topic, "");
    let results =
        client.create_acls(&[without_type, good.clone(), nameless], TIMEOUT).await.expect("a response");
    assert!(results[0].is_err() && results[1].is_ok(), "{results:?}");
    assert_eq!(error_message(&results[2]), "Invalid empty resource name");
    client.delete_acls(&[good.into()], TIMEOUT).await.expect("a response");
}

#[tokio::test]
async fn a_missing_authorizer_is_reported() {
    let client = client();
    let acl = allow_binding("User:alice", AclOperation::Read, ResourceType::Topic, "orders");
    let created = client.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect("a response");
    assert_eq!(error_code(&created[0]), ErrorCode::SECURITY_DISABLED);
    assert_eq!(error_message(&created[0]), "No Authorizer is configured.");
    let deleted = client.delete_acls(&[acl.clone().into()], TIMEOUT).await.expect("a response");
    assert_eq!(error_code(&deleted[0]), ErrorCode::SECURITY_DISABLED);
    let error = client.describe_acls(&acl.into(), TIMEOUT).await.expect_err("no authorizer");
    assert!(matches!(error, RequestError::Failed { code: ErrorCode::SECURITY_DISABLED, .. }), "{error}");
}

#[tokio::test]
async fn a_missing_authorization_is_reported() {
    let bob = sasl_client("bob", "bob-secret", |_| {});
    let acl = allow_binding("User:bob", AclOperation::All, ResourceType::Topic, "orders");
    let created = bob.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect("a response");
    assert!(created[0].as_ref().is_err_and(BrokerError::is_authorization), "{created:?}");
    let deleted = bob.delete_acls(&[acl.clone().into()], TIMEOUT).await.expect("a response");
    assert!(deleted[0].as_ref().is_err_and(BrokerError::is_authorization), "{deleted:?}");
    let error = bob.describe_acls(&acl.into(), TIMEOUT).await.expect_err("no right");
    assert!(
        matches!(error, RequestError::Failed { code: ErrorCode::CLUSTER_AUTHORIZATION_FAILED, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn invalid_input_is_refused_before_sending() {
    let client = client();
    let acl = allow_binding("User:alice", AclOperation::Unknown, ResourceType::Topic, "orders");
    let error = client.create_acls(&[acl], TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"CreateAcls: "orders": Invalid operation"#);
    let acl = allow_binding("User:\0", AclOperation::Read, ResourceType::Topic, "orders");
    let error = client.create_acls(std::slice::from_ref(&acl), TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"CreateAcls: "orders": a string with a NUL byte"#);
    let error = client.describe_acls(&acl.into(), TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"DescribeAcls: "orders": a string with a NUL byte"#);
    let many = vec![AclBindingFilter::default(); 2_001];
    let error = client.delete_acls(&many, TIMEOUT).await.expect_err("invalid");
    assert_eq!(error.to_string(), r#"DeleteAcls: "the batch": 2001 ACLs, more than 2000"#);
    assert_eq!(client.create_acls(&[], TIMEOUT).await, Ok(vec![]));
    assert_eq!(client.delete_acls(&[], TIMEOUT).await, Ok(vec![]));
}

/// The number of ACLs of a large installation.
#[tokio::test]
async fn ten_thousand_acls_fit_into_one_response() {
    let client = admin();
    let name = unique_name("many");
    let host = "192.0.2.77";
    let all: Vec<AclBinding> = (0..10_000)
        .map(|number| {
            let principal = format!("User:CN=somebody-with-a-long-name-{number},OU=department,O=company");
            let acl = allow_binding(
                &principal,
                AclOperation::Read,
                ResourceType::Topic,
                &format!("{name}-{}", number % 1_000),
            );
            AclBinding { host: host.into(), ..acl }
        })
        .collect();
    for batch in all.chunks(2_000) {
        let created = client.create_acls(batch, TIMEOUT).await.expect("a response");
        assert!(created.iter().all(Result::is_ok));
    }
    let topics = AclBindingFilter { resource_type: Some(ResourceType::Topic), ..AclBindingFilter::default() };
    let all_described = || async {
        let found = client.describe_acls(&topics, TIMEOUT).await.expect("a response");
        let count = found.iter().filter(|acl| acl.name.starts_with(&name)).count();
        (count == all.len()).then_some(())
    };
    eventually("all ACLs", all_described).await;
    let filter = AclBindingFilter { host: Some(host.into()), ..topics };
    let deleted = client.delete_acls(&[filter], TIMEOUT).await.expect("a response");
    assert_eq!(deleted[0].as_ref().map(Vec::len), Ok(all.len()));
}
