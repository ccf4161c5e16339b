//! A folder of manifests, judged as the webhook would judge it if it were applied.
//!
//! Tenants, KafkaClusters and ConfigMaps among the manifests make up the catalog; EventTopics are
//! created in it one after the other, or change what an older state of the folder has. Objects of
//! other kinds are passed over. What the definitions say in CEL is not checked here: much of it is
//! said again by the rules that are.

mod shape;

use std::collections::HashMap;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResourceExt, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shape::Shape;

use super::admission::{self, Change, Verdict};
use super::cluster::Clusters;
use super::event_type::TypeId;
use super::registration::{self, Declaration, Revision, register};
use super::tenant::Tenants;
use super::{Catalog, Refusal};
use crate::api::{EventTopic, GROUP, KafkaCluster, SCHEMA_LABEL, Tenant};
use crate::domain::ObjectRef;

/// A manifest and where it is from.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// For people: a file, and the number of the document in it.
    pub origin: String,
    /// The object.
    pub object: Value,
}

/// What is found of one manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Where the manifest is from.
    pub origin: String,
    /// Its kind, namespace and name.
    pub subject: String,
    /// What is said of it.
    pub verdict: Verdict,
}

/// Judges manifests. `before` is what was applied until now, if that is known: then changes are
/// judged, and new schemas are compared with those. Returns what is found of each EventTopic, Tenant
/// and KafkaCluster, in the order of the manifests.
///
/// Where no KafkaCluster is among them, those that are named are taken to be there, and one that is
/// the default.
#[must_use]
pub fn lint(manifests: &[Manifest], before: &[Manifest]) -> Vec<Finding> {
    let folder = Folder::read(manifests);
    let mut catalog = Catalog::default();
    catalog.set_tenants(Tenants::of(folder.tenants.iter().map(|(_, tenant)| tenant)), std::iter::empty());
    catalog.set_clusters(Clusters::of(&folder.clusters()), std::iter::empty());
    let old = Folder::read(before);
    let mut findings = folder.findings;
    for (place, tenant) in &folder.tenants {
        let others = folder.tenants.iter().map(|(_, other)| other);
        findings.push((*place, admission::tenant(&Change::Create(tenant), others, &catalog)));
    }
    for (place, cluster) in &folder.kafka_clusters {
        findings.push((*place, admission::kafka_cluster(&Change::Create(cluster), &catalog)));
    }
    for (place, topic) in &folder.topics {
        let was =
            old.topics.iter().map(|(_, old)| old).find(|old| ObjectRef::of(*old) == ObjectRef::of(topic));
        let change = match was {
            Some(old) => Change::Update { old, new: topic },
            None => Change::Create(topic),
        };
        let mut verdict = admission::topic(&change, &catalog);
        verdict.refusals.extend(schemas(topic, &folder.texts, was.map(|was| (was, &old.texts))));
        catalog.upsert(topic);
        findings.push((*place, verdict));
    }
    findings.sort_by_key(|(place, _)| *place);
    let named = |place: usize| (manifests[place].origin.clone(), subject(&manifests[place].object));
    findings
        .into_iter()
        .map(|(place, verdict)| {
            let (origin, subject) = named(place);
            Finding { origin, subject, verdict }
        })
        .collect()
}

/// Texts of ConfigMaps, by namespace, name and key.
type Texts = HashMap<(String, String, String), String>;

fn schemas(topic: &EventTopic, texts: &Texts, before: Option<(&EventTopic, &Texts)>) -> Vec<Refusal> {
    let (declared, refused) = declarations(topic, texts);
    let revisions: Vec<Revision> = before
        .map(|(topic, texts)| declarations(topic, texts).0)
        .unwrap_or_default()
        .into_iter()
        .map(|old| Revision::of(&old.id, &old.document))
        .collect();
    let compatibility = topic.spec.compatibility.unwrap_or_default();
    let refused = refused.into_iter().map(|(_, refusal)| refusal);
    refused.chain(register(topic, &declared, &revisions, compatibility).refusals).collect()
}

fn declarations(topic: &EventTopic, texts: &Texts) -> (Vec<Declaration>, Vec<(TypeId, Refusal)>) {
    let namespace = topic.namespace().unwrap_or_default();
    registration::read(&topic.spec.event_types, |from| {
        texts.get(&(namespace.clone(), from.name.clone(), from.key.clone())).cloned()
    })
}

/// The manifests by kind, each with its place among all of them.
#[derive(Default)]
struct Folder {
    tenants: Vec<(usize, Tenant)>,
    kafka_clusters: Vec<(usize, KafkaCluster)>,
    topics: Vec<(usize, EventTopic)>,
    texts: Texts,
    findings: Vec<(usize, Verdict)>,
}

impl Folder {
    fn read(manifests: &[Manifest]) -> Self {
        let mut folder = Self::default();
        let shapes =
            [Tenant::crd(), KafkaCluster::crd(), EventTopic::crd()].map(|definition| Shape::of(&definition));
        let [tenant, kafka_cluster, event_topic] = &shapes;
        for (place, manifest) in manifests.iter().enumerate() {
            let object = &manifest.object;
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let ours = text("/apiVersion").split('/').next() == Some(GROUP);
            match text("/kind") {
                "Tenant" if ours => folder.add(place, object, tenant, |folder| &mut folder.tenants),
                "KafkaCluster" if ours => {
                    folder.add(place, object, kafka_cluster, |folder| &mut folder.kafka_clusters)
                }
                "EventTopic" if ours => folder.add(place, object, event_topic, |folder| &mut folder.topics),
                "ConfigMap"
                    if text(&format!("/metadata/labels/{}", SCHEMA_LABEL.replace('/', "~1"))) == "true" =>
                {
                    let data = object.pointer("/data").and_then(Value::as_object).into_iter().flatten();
                    for (key, value) in data {
                        let place =
                            (text("/metadata/namespace").into(), text("/metadata/name").into(), key.clone());
                        folder.texts.insert(place, value.as_str().unwrap_or_default().to_owned());
                    }
                }
                _ if ours => {
                    let detail = format!("there is no kind {} in {GROUP}: correct it", text("/kind"));
                    let refusal = Refusal::at(Reason::InvalidResource, "kind", detail);
                    folder.findings.push((place, Verdict::refused(refusal)));
                }
                _ => {}
            }
        }
        folder
    }

    /// Reads one resource as the API server would, and makes it younger than those before.
    fn add<K>(
        &mut self,
        place: usize,
        object: &Value,
        shape: &Shape,
        kept: fn(&mut Self) -> &mut Vec<(usize, K)>,
    ) where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let wrong = shape.wrong(object);
        let invalid = |message: String| Refusal::new(Reason::InvalidResource, message);
        if !wrong.is_empty() {
            let refusals = wrong.into_iter().map(invalid).collect();
            self.findings.push((place, Verdict { refusals, warnings: Vec::new() }));
            return;
        }
        match serde_json::from_value::<K>(object.clone()) {
            Ok(mut resource) => {
                let second = i64::try_from(place).unwrap_or(i64::MAX);
                resource.meta_mut().creation_timestamp = Timestamp::from_second(second).ok().map(Time);
                resource.meta_mut().uid = Some(format!("{place:08}"));
                kept(self).push((place, resource));
            }
            Err(error) => self.findings.push((place, Verdict::refused(invalid(error.to_string())))),
        }
    }

    fn clusters(&self) -> Vec<KafkaCluster> {
        if !self.kafka_clusters.is_empty() {
            return self.kafka_clusters.iter().map(|(_, cluster)| cluster.clone()).collect();
        }
        let of_tenants = self.tenants.iter().flat_map(|(_, tenant)| &tenant.spec.clusters);
        let of_topics = self.topics.iter().filter_map(|(_, topic)| topic.spec.cluster.as_ref());
        let named = of_tenants.chain(of_topics).map(|name| assumed(name, false));
        named.chain([assumed("default", true)]).collect()
    }
}

fn assumed(name: &str, default: bool) -> KafkaCluster {
    let spec = crate::api::KafkaClusterSpec { bootstrap_servers: Vec::new(), default, tls: None, sasl: None };
    KafkaCluster::new(name, spec)
}

fn subject(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or("without a name");
    match text("/metadata/namespace") {
        Some(namespace) => format!("{} {namespace}/{name}", text("/kind").unwrap_or_default()),
        None => format!("{} {name}", text("/kind").unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde::Deserialize;

    fn manifests(yaml: &str) -> Vec<Manifest> {
        serde_yaml::Deserializer::from_str(yaml)
            .enumerate()
            .map(|(number, document)| {
                let object = Value::deserialize(document).expect("YAML");
                Manifest { origin: format!("{}", number + 1), object }
            })
            .collect()
    }

    fn check(before: &str, now: &str, expected: Expect) {
        let found = lint(&manifests(now), &manifests(before));
        let lines: Vec<String> = found
            .iter()
            .map(|finding| {
                format!("{} {}: {}", finding.origin, finding.subject, admission::print(&finding.verdict))
            })
            .collect();
        expected.assert_eq(&lines.join("\n"));
    }

    const TENANT: &str = "
apiVersion: eventcenter.io/v1alpha1
kind: Tenant
metadata: {name: shop}
spec: {namespaces: [shop], quotas: {topics: 1}}
";

    fn topic(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: eventcenter.io/v1alpha1\nkind: EventTopic\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn a_good_folder() {
        check(
            "",
            &[TENANT, &topic("orders", "{owner: {team: a}}"), "---\nkind: Namespace\n"].concat(),
            expect![[r#"
                1 Tenant shop: allowed
                2 EventTopic shop/orders: allowed"#]],
        );
    }

    #[test]
    fn rules_are_kept_in_the_order_of_the_files() {
        check(
            "",
            &[TENANT, &topic("a", "{owner: {team: a}}"), &topic("b", "{}")].concat(),
            expect![[r#"
            1 Tenant shop: allowed
            2 EventTopic shop/a: allowed
            3 EventTopic shop/b: refused: TenantQuotaExceeded: metadata: tenant shop may have 1 topics (its quotas.topics), 1 are taken and this topic asks for 1 more: delete one that is no longer needed, or ask the platform's administrator for a larger quota"#]],
        );
        check(
            "",
            &topic("orders", "{}"),
            expect![
                "1 EventTopic shop/orders: refused: TenantNotFound: namespace shop belongs to no tenant: ask the platform's administrator to add it to spec.namespaces of a Tenant that is Ready"
            ],
        );
    }

    #[test]
    fn what_the_definition_does_not_know_is_told() {
        check(
            "",
            &[TENANT, &topic("orders", "{partitons: 3, partitions: three, retention: {tme: 1d}}")].concat(),
            expect![[r#"
                1 Tenant shop: allowed
                2 EventTopic shop/orders: refused: InvalidResource: spec.partitons: there is no such field: correct its name, or remove it
                refused: InvalidResource: spec.retention.tme: there is no such field: correct its name, or remove it
                refused: InvalidResource: spec.partitions: "three" is not of type "integer""#]],
        );
        check(
            "",
            "apiVersion: eventcenter.io/v1alpha1\nkind: EventTopics\nmetadata: {name: a}\n",
            expect![
                "1 EventTopics a: refused: InvalidResource: kind: there is no kind EventTopics in eventcenter.io: correct it"
            ],
        );
    }

    #[test]
    fn changes_are_judged_against_what_was() {
        let with = |schema: &str| {
            topic(
                "orders",
                &format!("{{owner: {{team: a}}, eventTypes: [{{name: Order.Paid.v1, schema: {schema}}}]}}"),
            )
        };
        check(
            &[TENANT, &with("{type: object}")].concat(),
            &[TENANT, &with("{type: object, required: [id]}")].concat(),
            expect![[r#"
                1 Tenant shop: allowed
                2 EventTopic shop/orders: refused: SchemaIncompatible: spec.eventTypes: the schema of Order.Paid.v1 is not compatible with the registered revisions: REQUIRED_PROPERTY_ADDED at /required: a property became required: nothing -> "id" (BACKWARD, revision 1); make it optional and let consumers do without it, or register the next major version beside this one"#]],
        );
    }

    #[test]
    fn schemas_come_from_the_config_maps_beside_them() {
        let map = |label: &str| {
            format!(
                "---\nkind: ConfigMap\nmetadata: {{name: schemas, namespace: shop, labels: {{eventcenter.io/schema: \"{label}\"}}}}\ndata: {{a.json: '{{\"type\": 7}}'}}\n"
            )
        };
        let from = topic(
            "orders",
            "{owner: {team: a}, eventTypes: [{name: Order.Paid.v1, schemaFrom: {configMapKeyRef: {name: schemas, key: a.json}}}]}",
        );
        check(
            "",
            &[TENANT, &map("true"), &from].concat(),
            expect![[r#"
            1 Tenant shop: allowed
            3 EventTopic shop/orders: refused: SchemaInvalid: spec.eventTypes: Order.Paid.v1: key a.json of ConfigMap schemas: /type: 7 is not a type; name one type or several different ones"#]],
        );
        check(
            "",
            &[TENANT, &map("no"), &from].concat(),
            expect![[r#"
            1 Tenant shop: allowed
            3 EventTopic shop/orders: refused: SchemaNotFound: spec.eventTypes: Order.Paid.v1: schemaFrom: there is no key a.json in a ConfigMap schemas of this namespace with the label eventcenter.io/schema: "true": make it, or correct the reference"#]],
        );
    }
}
