//! Reconciles Kafka's ACLs with the access that an EventTopic declares.

use std::borrow::Cow;
use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use tokio::time::Instant;

use super::super::context::Context;
use super::super::effect::{EffectError, ToFailure};
use super::super::last_seen::{LastSeen, changed_at_by_status, is_settled};
use super::super::seen_acls::TopicAcls;
use super::super::status::write_status;
use super::kafka_topic;
use crate::api::{EventTopic, TopicAcl};
use crate::domain::audit::Action;
use crate::domain::topic::access::{
    AccessReport, AclBinding, Facts, Plan, ResourcePattern, declared_acls, is_applied, manages_access, plan,
};
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Declared, Identity, access};
use crate::domain::{Failure, ObjectRef, Refusal};
use crate::kafka::{Error, Kafka};
use crate::kubernetes::WriteError;

/// Reads the ACLs of a topic and applies the necessary changes. Returns the resource with the status written meanwhile;
/// no report if the topic declares no access.
pub(super) async fn enforce<'t>(
    topic: &'t EventTopic,
    identity: &Identity,
    declaration: &Declared,
    kafka: &Kafka,
    context: &Context,
) -> Result<(Cow<'t, EventTopic>, Option<AccessReport>), WriteError> {
    if !manages_access(topic) {
        context.access.remove(identity);
        return Ok((Cow::Borrowed(topic), None));
    }
    let (wanted, ours) = (declared_acls(topic), context.services.catalog.lock().acls(topic));
    let groups: BTreeSet<ResourcePattern> =
        wanted.union(&ours).filter_map(|acl| acl.group.as_deref().map(ResourcePattern::group)).collect();
    let now = Instant::now();
    let changed_at = match context.access.get(identity) {
        Some(last) => last.changed_at(),
        None => changed_at_by_status(topic, context.services.now(), now),
    };
    let is_settled = is_settled(changed_at, now, context.options.settle_time);
    let found = match kafka.describe_acls(&identity.topic, groups.clone()).await {
        Ok(found) => found,
        Err(error) => {
            let report = failed(&error.into(), ours, identity, context);
            if report.is_unenforced() {
                let acls = LastSeen::new(None, None, Instant::now());
                context.access.set(identity, TopicAcls { groups, acls });
            }
            return Ok((Cow::Borrowed(topic), Some(report)));
        }
    };
    let facts = Facts {
        topic: &identity.topic,
        existing: &found,
        owned: &ours,
        is_applied: is_applied(topic),
        is_settled,
    };
    let this = ObjectRef::of(topic);
    let plan = {
        let catalog = context.services.catalog.lock();
        plan(&wanted, declaration.drift, &facts, |acl| catalog.is_wanted_elsewhere(identity, acl, &this))
    };
    let topic = write_ahead(topic, identity, &plan, context).await?;
    if let Err(error) = apply(&plan, &topic, identity, &this, kafka, context).await {
        let report = failed(&error, plan.status_before, identity, context);
        return Ok((topic, Some(report)));
    }
    let is_changed = !plan.create.is_empty() || !plan.delete.is_empty();
    let changed_at = if is_changed { Some(Instant::now()) } else { changed_at };
    let acls = if is_settled {
        let after = &(&found - &in_kafka(&plan.delete, identity)) | &in_kafka(&plan.create, identity);
        LastSeen::new(Some(&after), changed_at, Instant::now())
    } else {
        LastSeen::unknown(changed_at, Instant::now())
    };
    context.access.set(identity, TopicAcls { groups, acls });
    let report =
        AccessReport { acls: plan.status_after, foreign: plan.foreign, drift: plan.drift, failure: None };
    Ok((topic, Some(report)))
}

/// Writes the planned ACLs to the status before they are created, so that a reconcile after a crash knows their owner.
async fn write_ahead<'t>(
    topic: &'t EventTopic,
    identity: &Identity,
    plan: &Plan,
    context: &Context,
) -> Result<Cow<'t, EventTopic>, WriteError> {
    let mut status = topic.status.clone().unwrap_or_default();
    if plan.create.iter().all(|acl| status.acls.contains(acl)) {
        return Ok(Cow::Borrowed(topic));
    }
    status.cluster = Some(identity.cluster.to_string());
    status.topic_name = Some(identity.topic.to_string());
    status.acls = plan.status_before.iter().cloned().collect();
    write_status(&context.services, &context.topics.queue, topic, &status).await?;
    Ok(Cow::Owned(EventTopic { status: Some(status), ..topic.clone() }))
}

/// Applies the changes. A failed creation does not stop the deletions; the first failure is returned.
async fn apply(
    plan: &Plan,
    topic: &EventTopic,
    identity: &Identity,
    this: &ObjectRef,
    kafka: &Kafka,
    context: &Context,
) -> Result<(), EffectError<Error>> {
    let created = create_acls(&plan.create, topic, identity, kafka, context).await;
    let deleted = delete_acls(&plan.delete, topic, identity, kafka, context).await;
    created.and(deleted)?;
    // Another topic that now declares the ACL of a group may have read it before the deletion.
    let wanted_now: BTreeSet<TopicAcl> = {
        let catalog = context.services.catalog.lock();
        let groups = plan.delete.iter().filter(|acl| acl.group.is_some());
        groups.filter(|acl| catalog.is_wanted_elsewhere(identity, acl, this)).cloned().collect()
    };
    create_acls(&wanted_now, topic, identity, kafka, context).await
}

async fn create_acls(
    acls: &BTreeSet<TopicAcl>,
    topic: &EventTopic,
    identity: &Identity,
    kafka: &Kafka,
    context: &Context,
) -> Result<(), EffectError<Error>> {
    if acls.is_empty() {
        return Ok(());
    }
    let acls: Vec<AclBinding> = in_kafka(acls, identity).into_iter().collect();
    for acl in &acls {
        tracing::info!(topic = %identity.topic, cluster = %identity.cluster, change = %format_args!("{acl} on {:?}", acl.resource), "changing Kafka");
    }
    let create = kafka.create_acls(&identity.topic, &acls);
    context.services.effect(topic, Action::CreateAcls, describe(identity, &acls), create).await
}

async fn delete_acls(
    acls: &BTreeSet<TopicAcl>,
    topic: &EventTopic,
    identity: &Identity,
    kafka: &Kafka,
    context: &Context,
) -> Result<(), EffectError<Error>> {
    if acls.is_empty() {
        return Ok(());
    }
    let acls: Vec<AclBinding> = in_kafka(acls, identity).into_iter().collect();
    for acl in &acls {
        tracing::info!(topic = %identity.topic, cluster = %identity.cluster, change = %format_args!("no {acl} on {:?}", acl.resource), "changing Kafka");
    }
    let delete = kafka.delete_acls(&identity.topic, &acls);
    context.services.effect(topic, Action::DeleteAcls, describe(identity, &acls), delete).await
}

/// The ACLs for the audit record, one per line.
fn describe(identity: &Identity, acls: &[AclBinding]) -> String {
    let lines = acls.iter().map(|acl| format!("\n{acl} on {}", render_pattern(&acl.resource)));
    lines.fold(format!("access to Kafka topic {identity}:"), |text, line| text + &line)
}

fn render_pattern(object: &ResourcePattern) -> String {
    match object {
        ResourcePattern::Topic(name) => format!("topic {name}"),
        ResourcePattern::Group(name) => format!("consumer group {name}"),
        ResourcePattern::PrefixedGroup(name) => format!("consumer groups {name}*"),
    }
}

fn in_kafka(acls: &BTreeSet<TopicAcl>, identity: &Identity) -> BTreeSet<AclBinding> {
    acls.iter().map(|acl| AclBinding::of(acl, &identity.topic)).collect()
}

fn failed(
    error: &EffectError<Error>,
    acls: BTreeSet<TopicAcl>,
    identity: &Identity,
    context: &Context,
) -> AccessReport {
    context.access.remove(identity);
    let Failure { refusal, is_stalled } = error.to_failure();
    let refusal = match refusal.reason {
        Reason::AuthorizerMissing => access::authorizer_missing(),
        _ => refusal,
    };
    let foreign = (refusal.reason == Reason::AuthorizerMissing).then(Vec::new);
    AccessReport { acls, foreign, drift: None, failure: Some(Failure { refusal, is_stalled }) }
}

/// Deletes ACLs of a topic whose resource is deleted or whose access is stopped. Without an authorizer Kafka has none.
///
/// # Errors
/// Why the ACLs may still exist.
pub(super) async fn withdraw(
    acls: &BTreeSet<TopicAcl>,
    topic: &EventTopic,
    identity: &Identity,
    context: &Context,
) -> Result<(), Failure> {
    let kafka = kafka_topic::reach(identity, context)?;
    context.access.remove(identity);
    match delete_acls(acls, topic, identity, &kafka, context).await.map_err(|error| error.to_failure()) {
        Err(failure) if failure.refusal.reason != Reason::AuthorizerMissing => Err(failure),
        _ => Ok(()),
    }
}

/// Deletes all ACLs of a topic whose access is stopped, and reports the reason.
pub(super) async fn stop(
    topic: &EventTopic,
    identity: &Identity,
    refusal: Refusal,
    context: &Context,
) -> (Outcome, Option<AccessReport>) {
    if !manages_access(topic) {
        return (Outcome::Refused(refusal), None);
    }
    let (ours, withdrawn) = {
        let catalog = context.services.catalog.lock();
        (catalog.acls(topic), catalog.removable_acls(topic, identity))
    };
    let mut report = AccessReport {
        failure: Some(Failure { refusal: refusal.clone(), is_stalled: true }),
        ..AccessReport::default()
    };
    match withdraw(&withdrawn, topic, identity, context).await {
        Ok(()) => (Outcome::Refused(refusal), Some(report)),
        Err(failure) => {
            report.acls = ours;
            (Outcome::Failed(failure), Some(report))
        }
    }
}
