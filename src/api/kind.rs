//! The table of kinds: everything that lists the product's resources reads it.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{ChangeApproval, EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};

/// API group of every resource of the product.
pub const GROUP: &str = "eventcenter.io";

/// One kind of custom resource.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// The `kind`, such as `EventTopic`.
    pub name: &'static str,
    /// The plural in lower case, as in the resource's URL.
    pub plural: &'static str,
    /// The short name that `kubectl` accepts.
    pub short_name: &'static str,
    /// Whether its objects live in a namespace.
    pub scope: Scope,
    /// Whether a tenant's approval rules may cover its changes.
    pub governance: Governance,
    /// Whether admission completes an object before it is validated.
    pub mutation: Mutation,
    /// Builds the CustomResourceDefinition from the type; see [`KindInfo::custom_resource_definition`].
    pub definition: fn() -> CustomResourceDefinition,
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In no namespace.
    Cluster,
    /// In a namespace.
    Namespaced,
}

/// Whether approval rules apply to a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Governance {
    /// Changes may need approval.
    Governed,
    /// Changes never need approval.
    Free,
}

/// Which requests the mutating webhook receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// None.
    Never,
    /// Creations only.
    OnCreate,
    /// Creations and updates.
    OnWrite,
}

/// The kinds of the product, in the order in which their definitions are installed.
const KINDS: &[KindInfo] = &[
    KindInfo {
        name: "Tenant",
        plural: "tenants",
        short_name: "ectenant",
        scope: Scope::Cluster,
        governance: Governance::Free,
        mutation: Mutation::Never,
        definition: Tenant::crd,
    },
    KindInfo {
        name: "KafkaCluster",
        plural: "kafkaclusters",
        short_name: "eckafka",
        scope: Scope::Cluster,
        governance: Governance::Free,
        mutation: Mutation::Never,
        definition: KafkaCluster::crd,
    },
    KindInfo {
        name: "EventTopic",
        plural: "eventtopics",
        short_name: "etopic",
        scope: Scope::Namespaced,
        governance: Governance::Governed,
        mutation: Mutation::OnWrite,
        definition: EventTopic::crd,
    },
    KindInfo {
        name: "TaskTemplate",
        plural: "tasktemplates",
        short_name: "ttpl",
        scope: Scope::Namespaced,
        governance: Governance::Governed,
        mutation: Mutation::OnWrite,
        definition: TaskTemplate::crd,
    },
    KindInfo {
        name: "ScheduledTask",
        plural: "scheduledtasks",
        short_name: "stask",
        scope: Scope::Namespaced,
        governance: Governance::Governed,
        mutation: Mutation::OnWrite,
        definition: ScheduledTask::crd,
    },
    KindInfo {
        name: "ChangeApproval",
        plural: "changeapprovals",
        short_name: "ecapproval",
        scope: Scope::Namespaced,
        governance: Governance::Free,
        mutation: Mutation::OnCreate,
        definition: ChangeApproval::crd,
    },
];

/// The kinds of an operator that has more of them than the product.
static ADDITIONAL_KINDS: OnceLock<Vec<KindInfo>> = OnceLock::new();

/// All kinds, in the order in which their definitions are installed.
pub fn kinds() -> impl Iterator<Item = &'static KindInfo> {
    KINDS.iter().chain(ADDITIONAL_KINDS.get().into_iter().flatten())
}

/// The custom resource definitions in the order in which they are installed.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    kinds().map(KindInfo::custom_resource_definition).collect()
}

/// The status of a resource that no controller has seen. Without it, tools that follow kstatus (Flux, Argo CD, `kubectl wait`)
/// take a resource without conditions for a finished one.
const INITIAL_STATUS: &str = r#"{"observedGeneration": -1}"#;

fn set_initial_status(definition: &mut CustomResourceDefinition) {
    let initial = serde_json::from_str(INITIAL_STATUS).expect("written above as JSON");
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let status = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("status"));
        if let Some(status) = status {
            status.default = Some(JSON(Clone::clone(&initial)));
        }
    }
}

/// Adds kinds to those of the product. Has an effect once, before anything reads the table.
pub fn add_kinds(kinds: Vec<KindInfo>) {
    ADDITIONAL_KINDS.get_or_init(|| kinds);
}

impl KindInfo {
    /// Finds a kind as `kubectl` would: by kind, plural, singular or short name, in any case, with or without version and
    /// group, such as `etopic` or `eventtopics.v1alpha1.eventcenter.io`.
    #[must_use]
    pub fn find(word: &str) -> Option<&'static Self> {
        let folded = word.to_ascii_lowercase();
        let name = folded.strip_suffix(GROUP).and_then(|name| name.strip_suffix('.')).unwrap_or(&folded);
        let name = name.strip_suffix(".v1alpha1").unwrap_or(name);
        kinds().find(|kind| kind.is_named(name))
    }

    /// The CustomResourceDefinition.
    #[must_use]
    pub fn custom_resource_definition(&self) -> CustomResourceDefinition {
        let mut definition = (self.definition)();
        set_initial_status(&mut definition);
        definition
    }

    /// The kinds whose changes may need approval.
    pub fn governed() -> impl Iterator<Item = &'static Self> {
        kinds().filter(|kind| kind.governance == Governance::Governed)
    }

    /// The identity of this kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind(Cow::Borrowed(self.name))
    }

    fn is_named(&self, word: &str) -> bool {
        [self.name, self.plural, self.short_name].iter().any(|name| name.eq_ignore_ascii_case(word))
    }
}

/// The `kind` of a resource. Serialized as its name, such as `EventTopic`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// The kind of a Rust type.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>() -> Self {
        Self(K::kind(&()))
    }

    /// The name, such as `EventTopic`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The row of the table, if this kind has one.
    #[must_use]
    pub fn info(&self) -> Option<&'static KindInfo> {
        kinds().find(|kind| kind.name == self.0)
    }

    /// Whether changes of this kind may need approval.
    #[must_use]
    pub fn is_governed(&self) -> bool {
        self.info().is_some_and(|kind| kind.governance == Governance::Governed)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The custom resources only name governed kinds.
impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = KindInfo::governed().map(|kind| kind.name).collect();
        json_schema!({"type": "string", "enum": names})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_the_definitions() {
        for kind in kinds() {
            let definition = kind.custom_resource_definition();
            let names = definition.spec.names;
            assert_eq!(names.kind, kind.name);
            assert_eq!(names.plural, kind.plural, "{}", kind.name);
            assert_eq!(names.short_names, Some(vec![kind.short_name.to_owned()]), "{}", kind.name);
            let scope = if kind.scope == Scope::Cluster { "Cluster" } else { "Namespaced" };
            assert_eq!(definition.spec.scope, scope, "{}", kind.name);
        }
    }

    #[test]
    fn a_kind_is_found_by_the_names_that_kubectl_accepts() {
        for word in [
            "EventTopic",
            "eventtopic",
            "EVENTTOPICS",
            "etopic",
            "eventtopics.eventcenter.io",
            "eventtopics.v1alpha1.eventcenter.io",
        ] {
            assert_eq!(KindInfo::find(word).map(|kind| kind.name), Some("EventTopic"), "{word}");
        }
        assert!(KindInfo::find("topic").is_none());
    }
}
