//! The declarations in memory: the [`Catalog`], and as much of each resource as it takes to rebuild it when tenants or
//! clusters change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use futures::{Stream, StreamExt};
use kube::Resource as _;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use parking_lot::RwLock;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::api::{EventTopic, EventTopicStatus, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};
use crate::domain::Catalog;
use crate::domain::ObjectRef;
use crate::domain::cluster::Clusters;
use crate::domain::tenant::Tenants;
use crate::kubernetes::KubeClient;

/// The state that changes are judged against.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What all declarations together say.
    pub(super) catalog: Catalog,
    /// The tenants.
    pub(super) tenants: KindStore<Tenant>,
    /// The Kafka clusters.
    pub(super) clusters: KindStore<KafkaCluster>,
    topics: KindStore<EventTopic>,
    /// The tasks and templates of an incomplete list; the catalog has those of the previous one until it is complete.
    listed_tasks: BTreeSet<ObjectRef>,
    listed_templates: BTreeSet<ObjectRef>,
}

/// The objects of a kind that could be deserialized.
#[derive(Debug)]
pub(super) struct KindStore<K> {
    objects: BTreeMap<ObjectRef, K>,
    /// The objects of an incomplete list; the previous ones are valid until it is complete.
    listing: Option<BTreeMap<ObjectRef, K>>,
}

impl<K> Default for KindStore<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), listing: None }
    }
}

/// The effect of a watch event.
#[derive(Debug, PartialEq, Eq)]
enum Changed {
    Nothing,
    One(ObjectRef),
    Removed(ObjectRef),
    All,
}

impl<K: kube::Resource<DynamicType = ()>> KindStore<K> {
    /// The resources.
    pub(super) fn iter(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }

    /// Replaces all objects. An object that cannot be deserialized keeps its previous version.
    fn replace(&mut self, listed: Vec<DeserializeGuard<K>>) {
        let mut before = std::mem::take(&mut self.objects);
        self.objects = listed
            .into_iter()
            .filter_map(|guard| {
                let key = ObjectRef::of(&guard);
                guard.0.ok().or_else(|| before.remove(&key)).map(|resource| (key, resource))
            })
            .collect();
    }

    /// Applies a watch event. An object that cannot be deserialized keeps its previous version, as in the controllers.
    fn apply(&mut self, event: Event<DeserializeGuard<K>>, strip: impl Fn(K) -> K) -> Changed {
        match event {
            Event::Init => {
                self.listing = Some(BTreeMap::new());
                Changed::Nothing
            }
            Event::InitApply(guard) => {
                if let (Some(listing), Ok(resource)) = (&mut self.listing, guard.0) {
                    listing.insert(ObjectRef::of(&resource), strip(resource));
                }
                Changed::Nothing
            }
            Event::InitDone => {
                self.objects = self.listing.take().unwrap_or_default();
                Changed::All
            }
            Event::Apply(guard) => match guard.0 {
                Ok(resource) => {
                    let key = ObjectRef::of(&resource);
                    self.objects.insert(key.clone(), strip(resource));
                    Changed::One(key)
                }
                Err(_) => Changed::Nothing,
            },
            Event::Delete(guard) => {
                let key = ObjectRef::of(&guard);
                self.objects.remove(&key);
                Changed::Removed(key)
            }
        }
    }
}

impl Snapshot {
    /// The EventTopics in a namespace, reduced by [`strip`].
    pub(super) fn topics_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a EventTopic> {
        self.catalog.topics_in(namespace).filter_map(|resource| self.topics.objects.get(resource))
    }

    fn replace_platform(
        &mut self,
        tenants: Vec<DeserializeGuard<Tenant>>,
        clusters: Vec<DeserializeGuard<KafkaCluster>>,
    ) {
        self.tenants.replace(tenants);
        self.clusters.replace(clusters);
        self.catalog.set_tenants(Tenants::of(self.tenants.iter()), self.topics.iter());
        self.catalog.set_clusters(Clusters::of(self.clusters.iter()), self.topics.iter());
    }

    fn tenant(&mut self, event: Event<DeserializeGuard<Tenant>>) -> bool {
        let changed = self.tenants.apply(event, |tenant| tenant);
        if changed != Changed::Nothing {
            self.catalog.set_tenants(Tenants::of(self.tenants.iter()), self.topics.iter());
        }
        changed == Changed::All
    }

    fn cluster(&mut self, event: Event<DeserializeGuard<KafkaCluster>>) -> bool {
        let changed = self.clusters.apply(event, |cluster| cluster);
        if changed != Changed::Nothing {
            self.catalog.set_clusters(Clusters::of(self.clusters.iter()), self.topics.iter());
        }
        changed == Changed::All
    }

    fn topic(&mut self, event: Event<DeserializeGuard<EventTopic>>) -> bool {
        match self.topics.apply(event, strip) {
            Changed::Nothing => {}
            Changed::One(key) => {
                if let Some(topic) = self.topics.objects.get(&key) {
                    self.catalog.upsert(topic);
                }
            }
            Changed::Removed(key) => drop(self.catalog.remove(&key)),
            Changed::All => {
                self.catalog.replace_all(self.topics.iter());
                return true;
            }
        }
        false
    }
}

impl Snapshot {
    fn task(&mut self, event: Event<DeserializeGuard<ScheduledTask>>) -> bool {
        let tasks = self.catalog.tasks_mut();
        match event {
            Event::Init => self.listed_tasks.clear(),
            Event::InitApply(guard) => {
                self.listed_tasks.insert(ObjectRef::of(&guard));
                guard.0.iter().for_each(|task| tasks.set_task(task, &task.spec));
            }
            Event::InitDone => {
                tasks.retain_tasks(&std::mem::take(&mut self.listed_tasks));
                return true;
            }
            Event::Apply(guard) => guard.0.iter().for_each(|task| tasks.set_task(task, &task.spec)),
            Event::Delete(guard) => tasks.remove_task(&ObjectRef::of(&guard)),
        }
        false
    }

    fn template(&mut self, event: Event<DeserializeGuard<TaskTemplate>>) -> bool {
        let tasks = self.catalog.tasks_mut();
        let mut set = |guard: &DeserializeGuard<TaskTemplate>| {
            if let Ok(template) = &guard.0 {
                tasks.set_template(&ObjectRef::of(template), &template.spec);
            }
        };
        match event {
            Event::Init => self.listed_templates.clear(),
            Event::InitApply(guard) => {
                self.listed_templates.insert(ObjectRef::of(&guard));
                set(&guard);
            }
            Event::InitDone => {
                tasks.retain_templates(&std::mem::take(&mut self.listed_templates));
                return true;
            }
            Event::Apply(guard) => set(&guard),
            Event::Delete(guard) => drop(tasks.remove_template(&ObjectRef::of(&guard))),
        }
        false
    }
}

/// Drops the fields of a topic that the catalog does not use, which is most of it.
fn strip(mut topic: EventTopic) -> EventTopic {
    let is_of_product = |key: &str| key.starts_with(concat!("eventcenter.io", "/"));
    let meta = topic.meta_mut();
    meta.labels = None;
    meta.owner_references = None;
    meta.finalizers = None;
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.retain(|key, _| is_of_product(key));
    }
    let spec = &mut topic.spec;
    (spec.owner, spec.description) = (None, None);
    spec.ignore_config = Vec::new();
    for declared in &mut spec.event_types {
        (declared.description, declared.schema) = (None, None);
    }
    spec.event_types.shrink_to_fit();
    topic.status = topic.status.map(|status| EventTopicStatus {
        cluster: status.cluster,
        topic_name: status.topic_name,
        partitions: status.partitions,
        config: status.config,
        ..EventTopicStatus::default()
    });
    topic
}

/// Number of kinds that the snapshot contains.
const KINDS: usize = 5;

/// The snapshot, and whether it is complete.
#[derive(Debug)]
pub(super) struct Cache {
    snapshot: RwLock<Snapshot>,
    /// Which kinds have been listed: tenants, clusters, topics, templates, tasks.
    listed: watch::Sender<[bool; KINDS]>,
    /// Notifies of each change.
    changed: watch::Sender<()>,
    /// When the last refresh began.
    refreshed: Mutex<Option<Instant>>,
}

impl Default for Cache {
    fn default() -> Self {
        let (listed, changed) = (watch::Sender::new([false; KINDS]), watch::Sender::new(()));
        Self { snapshot: RwLock::default(), listed, changed, refreshed: Mutex::default() }
    }
}

impl Cache {
    /// Reads the snapshot; `None` until all resources have been listed.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> Option<T> {
        if *self.listed.borrow() != [true; KINDS] {
            return None;
        }
        Some(read(&self.snapshot.read()))
    }

    /// Notifies of each change from now on.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Lists tenants and clusters, because the watches may be behind the API server. Callers at the same time share the next
    /// list request.
    pub(super) async fn refresh(&self, kubernetes: &KubeClient) {
        let requested = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|began| began >= requested) {
            return;
        }
        let began = Instant::now();
        match tokio::try_join!(kubernetes.list::<Tenant>(), kubernetes.list::<KafkaCluster>()) {
            Ok((tenants, clusters)) => {
                self.snapshot.write().replace_platform(tenants, clusters);
                *refreshed = Some(began);
            }
            Err(error) => tracing::warn!(%error, "refreshing tenants and clusters"),
        }
    }

    /// Waits until all resources have been listed once.
    pub(super) async fn wait_until_synced(&self) {
        self.wait_until_listed(|listed| *listed == [true; KINDS]).await;
    }

    async fn wait_until_listed(&self, enough: impl FnMut(&[bool; KINDS]) -> bool) {
        // The sender is owned by `self`, so it is never closed.
        drop(self.listed.subscribe().wait_for(enough).await);
    }

    /// Maintains the snapshot until dropped.
    pub(super) async fn follow(&self, kubernetes: &KubeClient) {
        let topics = async {
            // The Kafka topic of a resource, and its owner, depend on tenants and clusters.
            self.wait_until_listed(|listed| listed[0] && listed[1]).await;
            self.follow_kind(2, kubernetes.watch(), Snapshot::topic).await;
        };
        tokio::join!(
            self.follow_kind(0, kubernetes.watch(), Snapshot::tenant),
            self.follow_kind(1, kubernetes.watch(), Snapshot::cluster),
            topics,
            self.follow_kind(3, kubernetes.watch(), Snapshot::template),
            self.follow_kind(4, kubernetes.watch(), Snapshot::task)
        );
    }

    async fn follow_kind<K: kube::Resource<DynamicType = ()> + Debug>(
        &self,
        kind: usize,
        events: impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>>,
        apply: fn(&mut Snapshot, Event<DeserializeGuard<K>>) -> bool,
    ) {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let is_listed = apply(&mut self.snapshot.write(), event);
                    self.changed.send_replace(());
                    if is_listed {
                        self.listed.send_modify(|listed| listed[kind] = true);
                    }
                }
                Err(error) => tracing::warn!(kind = %K::kind(&()), %error, "watching"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{clusters, tenants, topic};

    const FULL: &str = r#"{
        partitions: 3, retention: {time: 7d, size: 1Gi}, config: {max.message.bytes: 5, flush.ms: 1},
        owner: {team: a}, description: long, deletionPolicy: Delete, ignoreConfig: [segment.ms],
        annotations: {eventcenter.io/paused: "true", example.com/other: x},
        eventTypes: [{name: Order.Created.v1, description: long, schema: {type: object}}],
        access: [{principal: "User:a", operations: [Read]}],
        status: {
            topicName: shop.orders, cluster: main, partitions: 3, replicas: 1, config: {flush.ms: "1"},
            acls: [{principal: "User:b", operation: Read}], topicId: x, foreignAcls: [y],
            eventTypes: [{name: Order.Created.v1, version: 1, revision: 1, schemaHash: aa}]
        }
    }"#;

    /// The catalog uses none of the stripped fields.
    #[test]
    fn stripping_does_not_change_the_catalog() {
        let whole = topic(FULL);
        let print = |topic: &EventTopic| {
            let mut catalog = Catalog::default();
            catalog.set_tenants(
                tenants(&[("shop", "{namespaces: [shop], quotas: {topics: 5}}")]),
                std::iter::empty(),
            );
            catalog.set_clusters(clusters(&[("main", true)]), std::iter::empty());
            catalog.upsert(topic);
            let permission = format!("{:?}", catalog.reserve(topic));
            (format!("{catalog:?}"), permission.split_whitespace().next().map(String::from))
        };
        let stripped = strip(whole.clone());
        assert_eq!(print(&stripped), print(&whole));
        let size = |topic: &EventTopic| serde_json::to_string(topic).expect("JSON").len();
        assert!(size(&stripped) < size(&whole) * 3 / 4, "{} of {}", size(&stripped), size(&whole));
    }

    #[test]
    fn previous_objects_stay_until_a_list_is_complete() {
        let guarded = |name: &str| DeserializeGuard(Ok(topic(&format!("name: {name}"))));
        let mut store = KindStore::<EventTopic>::default();
        let names = |store: &KindStore<EventTopic>| -> Vec<String> {
            store.iter().filter_map(|topic| topic.metadata.name.clone()).collect()
        };
        for event in [Event::Init, Event::InitApply(guarded("a")), Event::InitApply(guarded("b"))] {
            assert_eq!(store.apply(event, strip), Changed::Nothing);
        }
        assert_eq!(store.apply(Event::InitDone, strip), Changed::All);
        assert_eq!(names(&store), ["a", "b"]);
        store.apply(Event::Init, strip);
        store.apply(Event::InitApply(guarded("c")), strip);
        assert_eq!(names(&store), ["a", "b"], "the previous ones stay");
        assert_eq!(store.apply(Event::InitDone, strip), Changed::All);
        assert_eq!(names(&store), ["c"]);
        assert!(matches!(store.apply(Event::Delete(guarded("c")), strip), Changed::Removed(_)));
        assert!(names(&store).is_empty());
    }
}
