//! Checks manifests as the API server and the webhook would if they were applied.
//!
//! Tenants, KafkaClusters and ConfigMaps among the manifests make up the catalog; EventTopics are created in it one
//! after the other, the oldest first, or change an earlier state of the manifests. A resource without a
//! `creationTimestamp` is younger than one with it, and than those listed before it. Objects of other API groups are
//! ignored.
//!
//! The valid parts of a resource with mistakes are used, so that one mistake does not cause others.

mod cel;
mod change;
mod field_path;
mod metadata;
mod shape;
mod task;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use change::change_of;
pub use field_path::{FieldPath, Segment};
use shape::Shape;
use task::Tasks;

use super::admission::{self, Change, Verdict};
use super::age::age;
use super::cluster::Clusters;
use super::event_type::TypeId;
use super::registration::{self, DeclaredSchema, Revision, plan_registration};
use super::tenant::Tenants;
use super::{Catalog, Refusal};
use crate::api::{
    self, EventTopic, GROUP, KafkaCluster, KafkaClusterSpec, SCHEMA_LABEL, ScheduledTask, TaskTemplate,
    Tenant,
};

/// An object in a file.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// The object.
    pub object: &'a Value,
    /// Keys that occur more than once in the same mapping; `object` has the last value.
    pub repeated_keys: Vec<FieldPath>,
}

/// The diagnostics of one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The position of the manifest among all of them.
    pub manifest: usize,
    /// Kind, namespace and name of its object.
    pub resource: String,
    /// Empty if the object is accepted as it is.
    pub diagnostics: Vec<Diagnostic>,
}

/// A mistake or a warning, with its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the object is refused because of it.
    pub severity: Severity,
    /// The field. A missing field is reported at its parent.
    pub field: FieldPath,
    /// Field, rule and remedy, as sentences.
    pub message: String,
}

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The object would be refused.
    Refusal(Reason),
    /// The object would be accepted with a warning.
    Warning,
}

impl Diagnostic {
    fn refusal(reason: Reason, field: FieldPath, message: String) -> Self {
        Self { severity: Severity::Refusal(reason), field, message }
    }

    /// Whether the object is refused because of it.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.severity, Severity::Refusal(_))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Refusal(reason) => write!(f, "refused: {reason}: {}", self.message),
            Severity::Warning => write!(f, "warning: {}", self.message),
        }
    }
}

/// Checks manifests. `before` is the applied state, if it is known: then changes are checked, and new schemas are
/// compared with the applied ones. Returns a report for each object of the product's API group, in the order of the
/// manifests.
///
/// Without any KafkaCluster among them, the named ones and a default are assumed to exist.
#[must_use]
pub fn lint(manifests: &[Manifest<'_>], before: &[Manifest<'_>]) -> Vec<Report> {
    let definitions = Definitions::compile();
    let old = Folder::read(before, &[], &definitions);
    let mut folder = Folder::read(manifests, before, &definitions);
    let mut catalog = Catalog::default();
    catalog.set_tenants(Tenants::of(folder.tenants.iter().map(|(_, tenant)| tenant)), std::iter::empty());
    catalog.set_clusters(Clusters::of(&folder.clusters()), std::iter::empty());
    let mut verdicts = Vec::new();
    for (index, (manifest, tenant)) in folder.tenants.iter().enumerate() {
        let older = folder.tenants[..index].iter().map(|(_, other)| other);
        verdicts.push((*manifest, admission::tenant(&Change::Create(tenant), older, &catalog)));
    }
    for (manifest, cluster) in &folder.kafka_clusters {
        verdicts.push((*manifest, admission::kafka_cluster(&Change::Create(cluster), &catalog)));
    }
    for (manifest, topic) in &folder.topics {
        let change = change_of(&old.topics, topic);
        let earlier = match change {
            Change::Update { old, .. } => Some(old),
            _ => None,
        };
        let mut verdict = admission::topic(&change, &catalog);
        let earlier = earlier.map(|earlier| (earlier, &old.texts));
        verdict.refusals.extend(check_schemas(topic, &folder.texts, earlier));
        catalog.upsert(topic);
        verdicts.push((*manifest, verdict));
    }
    verdicts.extend(folder.declared_tasks().judge(old.declared_tasks(), &mut catalog));
    for (manifest, verdict) in verdicts {
        folder.add(manifest, verdict);
    }
    let report = |(manifest, diagnostics): (usize, Vec<Diagnostic>)| {
        let object = manifests[manifest].object;
        Report { manifest, resource: describe(object), diagnostics }
    };
    folder.diagnostics.into_iter().map(report).collect()
}

/// Checks one manifest by its definition only, as the API server does before it calls the webhook: unknown fields, types,
/// values, and rules about a single object.
#[must_use]
pub fn check_definition(manifest: &Manifest<'_>) -> Vec<Diagnostic> {
    Definitions::compile().check(manifest, None)
}

/// Texts of ConfigMaps, by namespace, name and key.
type Texts = HashMap<(String, String, String), String>;

fn check_schemas(topic: &EventTopic, texts: &Texts, before: Option<(&EventTopic, &Texts)>) -> Vec<Refusal> {
    let (declared, refused) = read_schemas(topic, texts);
    let revisions: Vec<Revision> = before
        .map(|(topic, texts)| read_schemas(topic, texts).0)
        .unwrap_or_default()
        .into_iter()
        .map(|old| Revision::for_schema(&old.id, &old.document))
        .collect();
    let compatibility = topic.spec.compatibility.unwrap_or_default();
    let refused = refused.into_iter().map(|(_, refusal)| refusal);
    refused.chain(plan_registration(topic, &declared, &revisions, compatibility).refusals).collect()
}

fn read_schemas(topic: &EventTopic, texts: &Texts) -> (Vec<DeclaredSchema>, Vec<(TypeId, Refusal)>) {
    let namespace = topic.namespace().unwrap_or_default();
    registration::parse_schemas(&topic.spec.event_types, |from| {
        texts.get(&(namespace.clone(), from.name.clone(), from.key.clone())).cloned()
    })
}

/// The definitions of the product's kinds, by kind.
struct Definitions(BTreeMap<String, Definition>);

struct Definition {
    api_version: String,
    is_namespaced: bool,
    shape: Shape,
}

impl Definitions {
    fn compile() -> Self {
        let definitions = api::definitions().into_iter().map(|definition| {
            let version = definition.spec.versions.first().map(|version| version.name.as_str());
            let compiled = Definition {
                api_version: format!("{GROUP}/{}", version.unwrap_or_default()),
                is_namespaced: definition.spec.scope == "Namespaced",
                shape: Shape::of(&definition),
            };
            (definition.spec.names.kind, compiled)
        });
        Self(definitions.collect())
    }

    /// Checks an object as the API server does before it calls the webhook.
    fn check(&self, manifest: &Manifest<'_>, old: Option<&Value>) -> Vec<Diagnostic> {
        let refusal = |(field, message)| Diagnostic::refusal(Reason::InvalidResource, field, message);
        let kind = text(manifest.object, "/kind");
        let Some(definition) = self.0.get(kind) else {
            let kinds: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let message =
                format!("kind: there is no kind {kind} in {GROUP}: write one of {}", kinds.join(", "));
            return vec![refusal((FieldPath::default().key("kind"), message))];
        };
        let mut wrong = Vec::new();
        if text(manifest.object, "/apiVersion") != definition.api_version {
            let message =
                format!("apiVersion: there is no such version of {kind}: write {}", definition.api_version);
            wrong.push((FieldPath::default().key("apiVersion"), message));
        }
        wrong.extend(manifest.repeated_keys.iter().map(|field| {
            (field.clone(), format!("{field}: the key occurs more than once: remove all but one"))
        }));
        wrong.extend(metadata::check(manifest.object, definition.is_namespaced));
        wrong.extend(definition.shape.check(manifest.object, old));
        wrong.into_iter().map(refusal).collect()
    }
}

/// The manifests by kind, each with its position among all of them, the oldest first.
#[derive(Default)]
struct Folder {
    tenants: Vec<(usize, Tenant)>,
    kafka_clusters: Vec<(usize, KafkaCluster)>,
    topics: Vec<(usize, EventTopic)>,
    templates: Vec<(usize, TaskTemplate)>,
    tasks: Vec<(usize, ScheduledTask)>,
    texts: Texts,
    diagnostics: BTreeMap<usize, Vec<Diagnostic>>,
}

impl Folder {
    fn read(manifests: &[Manifest<'_>], before: &[Manifest<'_>], definitions: &Definitions) -> Self {
        let mut folder = Self::default();
        let before: HashMap<_, _> = before.iter().map(|old| (describe(old.object), old.object)).collect();
        for (index, manifest) in manifests.iter().enumerate() {
            let object = manifest.object;
            if text(object, "/apiVersion").split('/').next() == Some(GROUP) {
                let old = before.get(&describe(object)).copied();
                folder.diagnostics.insert(index, definitions.check(manifest, old));
                match text(object, "/kind") {
                    "Tenant" => folder.parse(index, object, |folder| &mut folder.tenants),
                    "KafkaCluster" => folder.parse(index, object, |folder| &mut folder.kafka_clusters),
                    "EventTopic" => folder.parse(index, object, |folder| &mut folder.topics),
                    "TaskTemplate" => folder.parse(index, object, |folder| &mut folder.templates),
                    "ScheduledTask" => folder.parse(index, object, |folder| &mut folder.tasks),
                    _ => {}
                }
            } else if text(object, "/kind") == "ConfigMap" {
                folder.read_schemas(object);
            }
        }
        folder.tenants.sort_by_cached_key(|(_, tenant)| age(tenant));
        folder.kafka_clusters.sort_by_cached_key(|(_, cluster)| age(cluster));
        folder.topics.sort_by_cached_key(|(_, topic)| age(topic));
        folder.tasks.sort_by_cached_key(|(_, task)| age(task));
        folder
    }

    fn read_schemas(&mut self, config_map: &Value) {
        if text(config_map, &format!("/metadata/labels/{}", SCHEMA_LABEL.replace('/', "~1"))) != "true" {
            return;
        }
        let place = |pointer: &str| text(config_map, pointer).to_owned();
        for (key, value) in config_map.pointer("/data").and_then(Value::as_object).into_iter().flatten() {
            let place = (place("/metadata/namespace"), place("/metadata/name"), key.clone());
            self.texts.insert(place, value.as_str().unwrap_or_default().to_owned());
        }
    }

    /// Parses a resource. A resource without a uid gets one that makes it younger than earlier ones with the same time.
    fn parse<K>(&mut self, index: usize, object: &Value, list: fn(&mut Self) -> &mut Vec<(usize, K)>)
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        match serde_json::from_value::<K>(object.clone()) {
            Ok(mut resource) => {
                resource.meta_mut().uid.get_or_insert_with(|| format!("{index:08}"));
                list(self).push((index, resource));
            }
            // The schema check has already reported it.
            Err(error) => {
                let diagnostics = self.diagnostics.entry(index).or_default();
                if diagnostics.is_empty() {
                    let field = FieldPath::default();
                    diagnostics.push(Diagnostic::refusal(Reason::InvalidResource, field, error.to_string()));
                }
            }
        }
    }

    fn declared_tasks(&self) -> Tasks<'_> {
        Tasks { tasks: &self.tasks, templates: &self.templates }
    }

    fn clusters(&self) -> Vec<KafkaCluster> {
        if !self.kafka_clusters.is_empty() {
            return self.kafka_clusters.iter().map(|(_, cluster)| cluster.clone()).collect();
        }
        let of_tenants = self.tenants.iter().flat_map(|(_, tenant)| &tenant.spec.clusters);
        let of_topics = self.topics.iter().filter_map(|(_, topic)| topic.spec.cluster.as_ref());
        let named = of_tenants.chain(of_topics).map(|name| assumed_cluster(name, false));
        named.chain([assumed_cluster("default", true)]).collect()
    }

    /// Adds the webhook's verdict. Refusals of fields that already have a mistake are omitted: most of them report the
    /// same again.
    fn add(&mut self, manifest: usize, verdict: Verdict) {
        let diagnostics = self.diagnostics.entry(manifest).or_default();
        let has_mistakes = !diagnostics.is_empty();
        for refusal in verdict.refusals {
            let field = refusal.field.as_deref().map(FieldPath::parse).unwrap_or_default();
            if !diagnostics.iter().any(|mistake| mistake.field.overlaps(&field)) {
                diagnostics.push(Diagnostic::refusal(refusal.reason, field, refusal.message()));
            }
        }
        if !has_mistakes {
            diagnostics.extend(verdict.warnings.into_iter().map(|message| Diagnostic {
                severity: Severity::Warning,
                field: FieldPath::default(),
                message,
            }));
        }
    }
}

fn assumed_cluster(name: &str, default: bool) -> KafkaCluster {
    let spec = KafkaClusterSpec { bootstrap_servers: Vec::new(), default, tls: None, sasl: None };
    KafkaCluster::new(name, spec)
}

/// The text at a JSON pointer (RFC 6901); empty if there is none.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Kind, namespace and name of an object.
fn describe(object: &Value) -> String {
    let kind = text(object, "/kind");
    let name = match text(object, "/metadata/name") {
        "" => "without a name",
        name => name,
    };
    match text(object, "/metadata/namespace") {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests;
