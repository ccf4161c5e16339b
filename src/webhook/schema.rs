//! Judges the schemas of a change: whether they are usable and compatible with the registered ones.
//!
//! Registered schemas are read when a schema changes, which is rare, and not kept in memory.

use eventcenter_sdk::Reason;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;

use super::cache::Snapshot;
use super::context::ReviewContext;
use crate::api::{EventTopic, EventType, SCHEMA_LABEL};
use crate::domain::admission::{Change, Verdict, summarize};
use crate::domain::registration::{
    DeclaredSchema, Revision, Source, is_newest, is_transitive, parse_schemas, plan_registration,
};
use crate::domain::{ObjectRef, Refusal};
use crate::kubernetes::WriteError;

/// Judges the schemas of an EventTopic that this change adds.
pub(super) async fn judge_topic(change: &Change<'_, EventTopic>, context: &ReviewContext) -> Vec<Refusal> {
    let kubernetes = &context.kubernetes;
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(_) => return Vec::new(),
    };
    let known = |declared: &EventType| old.is_some_and(|old| old.spec.event_types.contains(declared));
    let changed: Vec<&EventType> = new.spec.event_types.iter().filter(|declared| !known(declared)).collect();
    if changed.iter().all(|declared| Source::of(declared) == Source::None) {
        return Vec::new();
    }
    let texts = match kubernetes.get_schema_texts(new, changed.iter().copied()).await {
        Ok(texts) => texts,
        Err(error) => return vec![unreadable(&error)],
    };
    let (declared, refused) = one_at_a_time(|| parse_schemas(changed, |from| texts.get(from).cloned())).await;
    let refusals: Vec<Refusal> = refused.into_iter().map(|(_, refusal)| refusal).collect();
    if !refusals.is_empty() {
        return refusals;
    }
    match old {
        Some(old) if one_at_a_time(|| is_compatible_with_stored(old, new, &declared)).await => Vec::new(),
        // A new resource may take over a Kafka topic with registered schemas.
        _ => compare(new, &declared, context).await,
    }
}

/// Whether new schemas are compatible with those of the stored resource, if these are the registered ones. Then nothing has
/// to be read.
fn is_compatible_with_stored(old: &EventTopic, new: &EventTopic, declared: &[DeclaredSchema]) -> bool {
    let compatibility = new.spec.compatibility.unwrap_or_default();
    if is_transitive(compatibility.mode) {
        return false;
    }
    let status = old.status.as_ref().map(|status| status.event_types.as_slice()).unwrap_or_default();
    let (before, _) = parse_schemas(old.spec.event_types.iter().filter(|old| old.schema.is_some()), |_| None);
    let revisions: Vec<Revision> = before
        .iter()
        .filter(|old| is_newest(old, status))
        .map(|old| Revision::for_schema(&old.id, &old.document))
        .collect();
    let all_known = declared.iter().all(|new| revisions.iter().any(|old| old.id == new.id));
    all_known && plan_registration(new, declared, &revisions, compatibility).refusals.is_empty()
}

/// Judges a ConfigMap with schemas: each topic that uses it, as if the topic had changed.
pub(super) async fn judge_config_map(
    change: &Change<'_, ConfigMap>,
    topics: &[EventTopic],
    context: &ReviewContext,
) -> Verdict {
    let new = match *change {
        Change::Create(new) | Change::Update { new, .. } => new,
        Change::Delete(_) => return Verdict::default(),
    };
    if new.labels().get(SCHEMA_LABEL).is_none_or(|value| value != "true") {
        let topics = summarize(topics.iter().map(ObjectRef::of));
        let warnings = topics.map(|topics| {
            format!("metadata.labels: without {SCHEMA_LABEL}: \"true\" it is no longer read for EventTopics {topics}")
        });
        return Verdict { refusals: Vec::new(), warnings: warnings.into_iter().collect() };
    }
    let (name, data) = (new.name_any(), new.data.clone().unwrap_or_default());
    let mut refusals = Vec::new();
    for topic in topics {
        let uses = |declared: &&EventType| matches!(Source::of(declared), Source::ConfigMap(from) if from.name == name);
        let used: Vec<&EventType> = topic.spec.event_types.iter().filter(uses).collect();
        let (declared, refused) =
            one_at_a_time(|| parse_schemas(used, |from| data.get(&from.key).cloned())).await;
        let mut found: Vec<Refusal> = refused.into_iter().map(|(_, refusal)| refusal).collect();
        if found.is_empty() {
            found = compare(topic, &declared, context).await;
        }
        let about = ObjectRef::of(topic);
        refusals.extend(found.into_iter().map(|refusal| {
            Refusal::new(
                refusal.reason,
                format!("data, which EventTopic {about} uses for schemas: {}", refusal.message()),
            )
        }));
    }
    Verdict { refusals, warnings: Vec::new() }
}

/// The topics that use schemas of a ConfigMap, which are in its namespace.
pub(super) fn topics_using(change: &Change<'_, ConfigMap>, snapshot: &Snapshot) -> Vec<EventTopic> {
    let map = match *change {
        Change::Create(map) | Change::Update { new: map, .. } | Change::Delete(map) => map,
    };
    let (namespace, name) = (map.namespace().unwrap_or_default(), map.name_any());
    let uses = |topic: &&EventTopic| {
        let mut sources = topic.spec.event_types.iter().map(Source::of);
        sources.any(|source| matches!(source, Source::ConfigMap(from) if from.name == name))
    };
    snapshot.topics_in(&namespace).filter(uses).cloned().collect()
}

async fn compare(topic: &EventTopic, declared: &[DeclaredSchema], context: &ReviewContext) -> Vec<Refusal> {
    // Without a valid Kafka topic the resource is refused for that.
    let history = context.cache.read(|snapshot| snapshot.catalog.schema_history(topic)).flatten();
    let Some(history) = history else { return Vec::new() };
    let history = match context.kubernetes.list_cached_schema_revisions(topic, &history).await {
        Ok(history) => history,
        Err(error) => return vec![unreadable(&error)],
    };
    let compatibility = topic.spec.compatibility.unwrap_or_default();
    one_at_a_time(|| {
        let revisions: Vec<Revision> = history
            .into_iter()
            .filter_map(|stored| Revision::from_data(stored.name, stored.number, &stored.data))
            .collect();
        plan_registration(topic, declared, &revisions, compatibility).refusals
    })
    .await
}

/// Runs one check of schemas at a time. It takes up to a tenth of a second; meanwhile reviews without schemas use the
/// other processors and threads.
async fn one_at_a_time<T>(work: impl FnOnce() -> T) -> T {
    static PERMIT: Semaphore = Semaphore::const_new(1);
    let _permit = PERMIT.acquire().await;
    block_in_place(work)
}

/// The refusal if schemas cannot be read.
fn unreadable(error: &WriteError) -> Refusal {
    tracing::warn!(%error, "cannot check a schema");
    Refusal::new(Reason::Internal, "the registered schemas cannot be read at the moment: try again")
}
