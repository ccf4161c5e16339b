//! Test fixtures of the domain.

use serde_json::{Value, json};

use crate::api::{EventTopic, KafkaCluster, Tenant};
use crate::domain::Catalog;
use crate::domain::cluster::Clusters;
use crate::domain::tenant::Tenants;

/// An EventTopic `orders` in namespace `shop` from the fields of its spec. The keys `namespace`,
/// `annotations`, `finalizers`, `generation` and `status` go into metadata and status instead.
pub(crate) fn topic(yaml: &str) -> EventTopic {
    let mut spec: Value = serde_yaml::from_str(yaml).expect("YAML");
    let fields = spec.as_object_mut().expect("a mapping");
    let mut take = |name: &str| fields.remove(name);
    let name = take("name").unwrap_or(json!("orders"));
    let mut metadata = json!({
        "name": name,
        "namespace": take("namespace").unwrap_or(json!("shop")),
        "uid": format!("uid of {name}"),
        "generation": take("generation").unwrap_or(json!(1)),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    for key in ["annotations", "finalizers", "deletionTimestamp"] {
        if let Some(value) = take(key) {
            metadata[key] = value;
        }
    }
    let status = take("status");
    let mut object = json!({"metadata": metadata, "spec": spec});
    if let Some(status) = status {
        object["status"] = status;
    }
    serde_json::from_value(object).expect("an EventTopic")
}

/// A Tenant from its name, the second of its creation time, and its spec.
pub(crate) fn tenant(name: &str, second: usize, spec: &str) -> Tenant {
    let spec: Value = serde_yaml::from_str(spec).expect("YAML");
    let created = format!("2026-01-01T00:00:{second:02}Z");
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": created}, "spec": spec,
    }))
    .expect("a Tenant")
}

/// Tenants from name and spec, the oldest first.
pub(crate) fn tenants(specs: &[(&str, &str)]) -> Tenants {
    let tenants: Vec<Tenant> =
        specs.iter().enumerate().map(|(age, (name, spec))| tenant(name, age, spec)).collect();
    Tenants::of(&tenants)
}

/// Kafka clusters from name and whether each is the default.
pub(crate) fn clusters(names: &[(&str, bool)]) -> Clusters {
    let clusters: Vec<KafkaCluster> = names
        .iter()
        .map(|(name, default)| {
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"bootstrapServers": ["kafka:9092"], "default": default},
            }))
            .expect("a KafkaCluster")
        })
        .collect();
    Clusters::of(&clusters)
}

/// A catalog with tenants and clusters, without topics.
pub(crate) fn catalog(tenants: &[(&str, &str)], clusters: &[(&str, bool)]) -> Catalog {
    let mut catalog = Catalog::default();
    catalog.set_tenants(self::tenants(tenants), std::iter::empty());
    catalog.set_clusters(self::clusters(clusters), std::iter::empty());
    catalog
}
