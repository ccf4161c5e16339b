//! Admission of KafkaClusters.

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use kube::ResourceExt;

use super::{Change, Verdict, summarize};
use crate::api::KafkaCluster;
use crate::domain::{Catalog, Refusal};

/// Validates a change of a KafkaCluster.
#[must_use]
pub fn kafka_cluster(change: &Change<'_, KafkaCluster>, catalog: &Catalog) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(old) => return delete(old, catalog),
    };
    if new.metadata.deletion_timestamp.is_some() || old.is_some_and(|old| old.spec == new.spec) {
        return Verdict::default();
    }
    if let Err(error) = new.name_any().parse::<ClusterName>() {
        return Verdict::refused(Refusal::at(Reason::InvalidResource, "metadata.name", error.to_string()));
    }
    let mut verdict = Verdict::default();
    if let Some(other) = catalog.clusters().default().filter(|other| other.as_ref() != new.name_any())
        && new.spec.default
    {
        verdict.warnings.push(format!("spec.default: KafkaCluster {other} is older and stays the default"));
    }
    if old.is_some_and(|old| old.spec.default) && !new.spec.default {
        verdict
            .warnings
            .push("spec.default: EventTopics without spec.cluster stay in this cluster and report an error until they name it".into());
    }
    if new.spec.sasl.is_some() && new.spec.tls.is_none() {
        verdict.warnings.push("spec.tls: without it the connection is not encrypted".into());
    }
    verdict
}

fn delete(old: &KafkaCluster, catalog: &Catalog) -> Verdict {
    let owned = old.name_any().parse().map(|name| catalog.owned(&name)).unwrap_or_default();
    let mut owners: Vec<_> = owned.into_iter().map(|(_, owner)| owner).collect();
    owners.sort();
    match summarize(owners.iter()) {
        None => Verdict::default(),
        Some(topics) => Verdict::refused(Refusal::new(
            Reason::ResourceInUse,
            format!(
                "EventTopics live in KafkaCluster {}: {topics}. Delete them first; their Kafka topics stay unless \
                 spec.deletionPolicy says otherwise",
                old.name_any()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::domain::testing::{catalog, topic};
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn cluster(name: &str, spec: &str) -> KafkaCluster {
        let mut spec: serde_json::Value = serde_yaml::from_str(spec).expect("YAML");
        spec["bootstrapServers"] = json!(["kafka:9092"]);
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a KafkaCluster")
    }

    fn check(change: &Change<'_, KafkaCluster>, expected: Expect) {
        let mut catalog = catalog(&[("shop", "namespaces: [shop]")], &[("main", true)]);
        catalog.upsert(&topic("{}"));
        expected.assert_eq(&print(&super::kafka_cluster(change, &catalog)));
    }

    #[test]
    fn a_cluster_with_topics_is_not_deleted() {
        check(
            &Change::Delete(&cluster("main", "{}")),
            expect![
                "refused: ResourceInUse: EventTopics live in KafkaCluster main: shop/orders. Delete them first; their Kafka topics stay unless spec.deletionPolicy says otherwise"
            ],
        );
        check(&Change::Delete(&cluster("empty", "{}")), expect!["allowed"]);
    }

    #[test]
    fn risks_are_warnings() {
        check(
            &Change::Create(&cluster("second", "default: true")),
            expect!["warning: spec.default: KafkaCluster main is older and stays the default"],
        );
        check(
            &Change::Create(&cluster("second", "{sasl: {secret: {name: a}}}")),
            expect!["warning: spec.tls: without it the connection is not encrypted"],
        );
        let (old, new) = (cluster("main", "default: true"), cluster("main", "{}"));
        check(
            &Change::Update { old: &old, new: &new },
            expect![
                "warning: spec.default: EventTopics without spec.cluster stay in this cluster and report an error until they name it"
            ],
        );
        check(
            &Change::Create(&cluster("a.b_c", "{}")),
            expect![
                "refused: InvalidResource: metadata.name: cluster name `a.b_c` contains '_'; use only lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part"
            ],
        );
    }
}
