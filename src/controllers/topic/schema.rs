//! Reads, checks and registers the schemas of a topic's event types.

use futures::StreamExt;
use kube::ResourceExt;

use super::super::context::Context;
use super::super::effect::EffectError;
use crate::api::{EventTopic, RegisteredType};
use crate::domain::audit::Action;
use crate::domain::backoff;
use crate::domain::registration::{
    DeclaredSchema, Revision, Source, Step, is_registered, parse_schemas, plan_registration,
};
use crate::domain::topic::status::Schemas;
use crate::error_chain::ErrorChain;
use crate::kubernetes::{StoredRevision, WriteError};

/// Registers new compatible schemas. `None` if the topic has no schemas.
///
/// After a crash between storing a revision and writing the status, the next reconcile finds the revision.
pub(super) async fn register_schemas(
    topic: &EventTopic,
    context: &Context,
) -> Result<Option<Schemas>, EffectError<WriteError>> {
    let status = topic.status.as_ref().map(|status| status.event_types.as_slice()).unwrap_or_default();
    let (declared, mut schemas) = read_declared(topic, status, context).await?;
    if declared.is_empty() && schemas.refusals.is_empty() && status.is_empty() {
        return Ok(None);
    }
    if schemas.refusals.is_empty() && is_registered(&declared, status) {
        return Ok(Some(Schemas { registered: status.to_vec(), refusals: Vec::new() }));
    }
    let history = context.services.catalog.lock().schema_history(topic);
    // The topic is valid if its schemas are registered.
    let Some(history) = history else { return Ok(Some(schemas)) };
    let stored = context.services.kubernetes.list_schema_revisions(topic, &history).await?;
    let revisions: Vec<Revision> = stored
        .iter()
        .filter_map(|stored| Revision::from_data(stored.name.clone(), stored.number, &stored.data))
        .collect();
    let compatibility = topic.spec.compatibility.unwrap_or_default();
    let registration = plan_registration(topic, &declared, &revisions, compatibility);
    for step in registration.steps {
        match step {
            Step::Register(revision) => {
                tracing::info!(event_type = %revision.id, revision = revision.number, "registering a schema");
                let what = format!(
                    "revision {} of the schema of {}, as ControllerRevision {}",
                    revision.number, revision.id, revision.object_name
                );
                let data = revision.to_data();
                let namespace = topic.namespace().unwrap_or_default();
                let stored =
                    StoredRevision { namespace, name: revision.object_name, number: revision.number, data };
                let create = context.services.kubernetes.create_schema_revision(topic, &history, stored);
                context.services.effect(topic, Action::RegisterSchema, what, create).await?;
            }
            Step::Delete { object_name } => {
                let what = format!("ControllerRevision {object_name}: the schema has enough newer revisions");
                let old = stored.iter().find(|stored| stored.name == object_name);
                let namespace = old.map(|old| old.namespace.as_str()).unwrap_or_default();
                let delete = context.services.kubernetes.delete_schema_revision(namespace, &object_name);
                context.services.effect(topic, Action::ForgetRevision, what, delete).await?;
            }
        }
    }
    schemas.registered.extend(registration.registered);
    schemas.refusals.extend(registration.refusals);
    Ok(Some(schemas))
}

/// Deletes the registered schemas of a Kafka topic that has been deleted.
pub(super) async fn delete_history(
    topic: &EventTopic,
    context: &Context,
) -> Result<(), EffectError<WriteError>> {
    let services = &context.services;
    let history = services.catalog.lock().schema_history(topic);
    let Some(history) = history else { return Ok(()) };
    for revision in services.kubernetes.list_schema_revisions(topic, &history).await? {
        let what = format!(
            "revision {} of a schema of a deleted Kafka topic, as ControllerRevision {}",
            revision.number, revision.name
        );
        let delete = services.kubernetes.delete_schema_revision(&revision.namespace, &revision.name);
        services.effect(topic, Action::ForgetRevision, what, delete).await?;
    }
    Ok(())
}

/// Makes the schemas that an older version has registered outlive their resources. Retries until that succeeds.
pub(in crate::controllers) async fn release_owned_revisions(context: &Context) {
    context.topics.wait_until_synced().await;
    while let Err(error) = try_release_owned_revisions(context).await {
        tracing::warn!(error = %ErrorChain(&error), "releasing the registered schemas from their resources; retrying");
        tokio::time::sleep(backoff::MIN_DELAY).await;
    }
}

async fn try_release_owned_revisions(context: &Context) -> Result<(), EffectError<WriteError>> {
    let services = &context.services;
    for revision in services.kubernetes.list_owned_schema_revisions().await? {
        let topics = context.topics.objects.state();
        let owner = topics.iter().filter_map(|topic| topic.0.as_ref().ok()).find(|topic| {
            topic.metadata.uid.as_ref() == Some(&revision.uid)
                && topic.metadata.namespace.as_ref() == Some(&revision.namespace)
        });
        let history = owner.and_then(|topic| services.catalog.lock().schema_history(topic));
        let (Some(topic), Some(history)) = (owner, history) else { continue };
        let what = format!("ControllerRevision {}: it belongs to the Kafka topic", revision.name);
        let release = services.kubernetes.release_schema_revision(&revision, &history);
        services.effect(topic, Action::KeepRevision, what, release).await?;
    }
    Ok(())
}

/// The valid declared schemas, and for each invalid one the refusal and the registered revision, if any.
async fn read_declared(
    topic: &EventTopic,
    status: &[RegisteredType],
    context: &Context,
) -> Result<(Vec<DeclaredSchema>, Schemas), WriteError> {
    let texts = context.services.kubernetes.get_schema_texts(topic, &topic.spec.event_types).await?;
    let (declared, refused) = parse_schemas(&topic.spec.event_types, |from| texts.get(from).cloned());
    let mut schemas = Schemas::default();
    for (id, refusal) in refused {
        let registered = status
            .iter()
            .find(|entry| entry.name == id.name.as_str() && entry.version == i64::from(id.version));
        schemas.registered.extend(registered.cloned());
        schemas.refusals.push(refusal);
    }
    Ok((declared, schemas))
}

/// Enqueues the topics that use schemas of a changed ConfigMap, until dropped.
pub(in crate::controllers) async fn watch_schemas(context: &Context) {
    let mut changed = std::pin::pin!(context.services.kubernetes.watch_schemas());
    while let Some((namespace, name)) = changed.next().await {
        for topic in context.topics.objects.state() {
            let uses_it = topic.namespace().as_deref() == Some(&namespace)
                && topic.0.as_ref().is_ok_and(|topic| {
                    let mut sources = topic.spec.event_types.iter().map(Source::of);
                    sources.any(|source| matches!(source, Source::ConfigMap(from) if from.name == name))
                });
            if uses_it {
                context.topics.queue.enqueue(Some(&namespace), &topic.name_any());
            }
        }
    }
}
