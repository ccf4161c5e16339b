//! Makes Kafka's ACLs what a topic's resource declares.

use std::borrow::Cow;
use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use tokio::time::Instant;

use super::super::Context;
use super::super::acl_resync::Left;
use super::super::connections::ClusterState;
use super::super::effect::{EffectError, ToFailure};
use super::super::status::write_status;
use super::kafka_topic;
use crate::api::{EventTopic, TopicAcl};
use crate::domain::audit::Action;
use crate::domain::topic::access::{
    AccessReport, AclBinding, Facts, Plan, ResourcePattern, concerns, declared, is_applied, plan,
};
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Declared, Identity, access};
use crate::domain::{Failure, ObjectRef, Refusal};
use crate::kafka::{Error, Kafka};
use crate::kubernetes::WriteError;

/// Looks at the ACLs of a topic and changes what has to be changed. Returns the resource with the
/// status that was written on the way; nothing is said of access where none is declared.
pub(super) async fn enforce<'t>(
    topic: &'t EventTopic,
    identity: &Identity,
    declaration: &Declared,
    kafka: &Kafka,
    context: &Context,
) -> Result<(Cow<'t, EventTopic>, Option<AccessReport>), WriteError> {
    if !concerns(topic) {
        context.access.forget(identity);
        return Ok((Cow::Borrowed(topic), None));
    }
    let (wanted, ours) = (declared(topic), context.services.catalog.lock().acls(topic));
    let groups: BTreeSet<ResourcePattern> =
        wanted.union(&ours).filter_map(|acl| acl.group.as_deref().map(ResourcePattern::group)).collect();
    let settled = context.access.is_settled(identity, Instant::now());
    let found = match kafka.describe_acls(&identity.topic, groups.clone()).await {
        Ok(found) => found,
        Err(error) => {
            let report = failed(&error.into(), ours, identity, context);
            if report.is_unenforced() {
                context.access.visited(identity, Left::knowing(groups, None, false, Instant::now()));
            }
            return Ok((Cow::Borrowed(topic), Some(report)));
        }
    };
    let facts =
        Facts { topic: &identity.topic, kafka: &found, ours: &ours, applied: is_applied(topic), settled };
    let this = ObjectRef::of(topic);
    let plan = {
        let catalog = context.services.catalog.lock();
        plan(&wanted, declaration.drift, &facts, |acl| catalog.others_want(identity, acl, &this))
    };
    let topic = write_ahead(topic, identity, &plan, context).await?;
    if let Err(error) = apply(&plan, &topic, identity, &this, kafka, context).await {
        let report = failed(&error, plan.ahead, identity, context);
        return Ok((topic, Some(report)));
    }
    let changed = !plan.create.is_empty() || !plan.delete.is_empty();
    let left = if settled {
        let after = &(&found - &in_kafka(&plan.delete, identity)) | &in_kafka(&plan.create, identity);
        Left::knowing(groups, Some(&after), changed, Instant::now())
    } else {
        Left::unknown(groups, changed, Instant::now())
    };
    context.access.visited(identity, left);
    let report = AccessReport { acls: plan.after, foreign: plan.foreign, drift: plan.drift, failure: None };
    Ok((topic, Some(report)))
}

/// Notes in the status what is about to be made, so that whoever comes after a kill knows whose it is.
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
    status.acls = plan.ahead.iter().cloned().collect();
    write_status(&context.services, &context.topics.queue, topic, &status).await?;
    Ok(Cow::Owned(EventTopic { status: Some(status), ..topic.clone() }))
}

/// Makes the changes. What cannot be made does not keep what has to go; the first failure is told.
async fn apply(
    plan: &Plan,
    topic: &EventTopic,
    identity: &Identity,
    this: &ObjectRef,
    kafka: &Kafka,
    context: &Context,
) -> Result<(), EffectError<Error>> {
    let made = allow(&plan.create, topic, identity, kafka, context).await;
    let taken = take_away(&plan.delete, topic, identity, kafka, context).await;
    made.and(taken)?;
    // Whoever began to want a group's ACL meanwhile may have seen it before it went.
    let wanted_now: BTreeSet<TopicAcl> = {
        let catalog = context.services.catalog.lock();
        let groups = plan.delete.iter().filter(|acl| acl.group.is_some());
        groups.filter(|acl| catalog.others_want(identity, acl, this)).cloned().collect()
    };
    allow(&wanted_now, topic, identity, kafka, context).await
}

async fn allow(
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
    let allow = kafka.create_acls(&identity.topic, &acls);
    context.services.effect(topic, Action::CreateAcls, describe(identity, &acls), allow).await
}

async fn take_away(
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
    let withdraw = kafka.delete_acls(&identity.topic, &acls);
    context.services.effect(topic, Action::DeleteAcls, describe(identity, &acls), withdraw).await
}

/// The ACLs in the record of an effect, a line each.
fn describe(identity: &Identity, acls: &[AclBinding]) -> String {
    let lines = acls.iter().map(|acl| format!("\n{acl} on {}", named(&acl.resource)));
    lines.fold(format!("access to Kafka topic {identity}:"), |text, line| text + &line)
}

fn named(object: &ResourcePattern) -> String {
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
    context.access.forget(identity);
    let Failure { refusal, is_stalled } = error.to_failure();
    let refusal = match refusal.reason {
        Reason::AuthorizerMissing => access::unenforced(),
        _ => refusal,
    };
    let foreign = (refusal.reason == Reason::AuthorizerMissing).then(Vec::new);
    AccessReport { acls, foreign, drift: None, failure: Some(Failure { refusal, is_stalled }) }
}

/// Takes ACLs of a topic away, because its resource goes or may not be used any more. Where Kafka
/// has no authorizer there are none.
///
/// # Errors
/// Why they are still there, and whether somebody has to act.
pub(super) async fn withdraw(
    acls: &BTreeSet<TopicAcl>,
    topic: &EventTopic,
    identity: &Identity,
    context: &Context,
) -> Result<(), Failure> {
    let kafka = match context.connections.reach(&identity.cluster) {
        ClusterState::Available(kafka) => kafka,
        ClusterState::Unavailable(reason) => return Err(kafka_topic::unavailable(identity, reason)),
        ClusterState::Unknown => return Err(kafka_topic::unavailable(identity, Reason::Progressing)),
    };
    context.access.forget(identity);
    match take_away(acls, topic, identity, &kafka, context).await.map_err(|error| error.to_failure()) {
        Err(failure) if failure.refusal.reason != Reason::AuthorizerMissing => Err(failure),
        _ => Ok(()),
    }
}

/// Takes all access to a topic away that must not be used any more, for that reason.
pub(super) async fn stop(
    topic: &EventTopic,
    identity: &Identity,
    refusal: Refusal,
    context: &Context,
) -> (Outcome, Option<AccessReport>) {
    if !concerns(topic) {
        return (Outcome::Refused(refusal), None);
    }
    let (ours, going) = {
        let catalog = context.services.catalog.lock();
        (catalog.acls(topic), catalog.withdrawn(topic, identity))
    };
    let mut report = AccessReport {
        failure: Some(Failure { refusal: refusal.clone(), is_stalled: true }),
        ..AccessReport::default()
    };
    match withdraw(&going, topic, identity, context).await {
        Ok(()) => (Outcome::Refused(refusal), Some(report)),
        Err(failure) => {
            report.acls = ours;
            (Outcome::Failed(failure), Some(report))
        }
    }
}
