//! Reads, checks and registers the schemas of a topic's event types.

use futures::StreamExt;
use kube::ResourceExt;

use super::super::context::Context;
use super::super::effect::EffectError;
use crate::api::{EventTopic, RegisteredType};
use crate::domain::audit::Action;
use crate::domain::registration::{
    DeclaredSchema, Revision, Source, Step, is_registered, parse_schemas, plan_registration,
};
use crate::domain::topic::status::Schemas;
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
    let history = context.services.kubernetes.list_schema_revisions(topic).await?;
    let revisions: Vec<Revision> = history
        .into_iter()
        .filter_map(|stored| Revision::from_data(stored.name, stored.number, &stored.data))
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
                let stored = StoredRevision { name: revision.object_name, number: revision.number, data };
                let create = context.services.kubernetes.create_schema_revision(topic, stored);
                context.services.effect(topic, Action::RegisterSchema, what, create).await?;
            }
            Step::Delete { object_name } => {
                let what = format!("ControllerRevision {object_name}: the schema has enough newer revisions");
                let delete = context.services.kubernetes.delete_schema_revision(topic, &object_name);
                context.services.effect(topic, Action::ForgetRevision, what, delete).await?;
            }
        }
    }
    schemas.registered.extend(registration.registered);
    schemas.refusals.extend(registration.refusals);
    Ok(Some(schemas))
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
