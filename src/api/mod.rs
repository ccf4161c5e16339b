//! The custom resources: types, defaults, validation rules, printer columns. No behaviour.
//!
//! Everything that can be said in an OpenAPI schema or in CEL is said here, so that the API
//! server itself refuses what is wrong and `kubectl explain` documents each field with its unit
//! and default. What needs more than one object to decide lives in [`crate::domain`].
//!
//! Deliberately absent: clients, clocks, and any function with an opinion. Every room may read
//! these types; this room reads nothing but the SDK.

#![allow(clippy::duplicated_attributes, reason = "each printer column repeats the names of its attributes")]
#![allow(unreachable_pub, reason = "kube's KubeSchema derive repeats the public struct inside a function")]

pub mod access;
pub mod approval;
pub mod change_approval;
pub mod event_topic;
pub mod event_type;
pub mod kafka_cluster;
pub mod kind;
pub mod status;
pub mod tenant;

pub use access::*;
pub use approval::*;
pub use change_approval::*;
pub use event_topic::*;
pub use event_type::*;
pub use kafka_cluster::*;
pub use kind::*;
pub use status::*;
pub use tenant::*;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator};

/// Set to `"true"`, the operator leaves the resource and what it stands for as they are.
pub const PAUSED: &str = "eventcenter.io/paused";

/// Set to `"false"`, the operator never touches what the resource stands for.
pub const MANAGED: &str = "eventcenter.io/managed";

/// Finalizer on topics of which something in Kafka has to go with them: the access to the topic, or
/// the topic itself. Others carry none.
pub const DELETE_FINALIZER: &str = "eventcenter.io/clean-up-kafka";

/// Set to `"true"` on a ConfigMap, EventTopics of its namespace may take schemas from it.
pub const SCHEMA_LABEL: &str = "eventcenter.io/schema";

/// Label of a registered revision of a schema: the uid of the EventTopic that it belongs to. A uid
/// fits into a label whatever the name is.
pub const REVISION_LABEL: &str = "eventcenter.io/event-topic-uid";

/// Who wrote a change that another one applies: a pipeline notes it from the commit.
pub const AUTHORED_BY: &str = "eventcenter.io/authored-by";

/// Why a change may not wait for approval; see [`Approval::break_glass`].
pub const BREAK_GLASS: &str = "eventcenter.io/break-glass";

/// Who has asked for what the resource declares, for people. Written by the webhook.
pub const REQUESTED_BY: &str = "eventcenter.io/requested-by";

/// Who has asked for what the resource declares, with the webhook's signature. Written by the webhook.
pub const REQUEST: &str = "eventcenter.io/request";

/// The verb of Kubernetes' RBAC that lets somebody approve changes of a kind.
pub const APPROVE: &str = "approve";

/// The verb of Kubernetes' RBAC that lets the operator, and nobody else, say what is approved.
pub const GOVERN: &str = "govern";

/// Label of a ControllerRevision that keeps an approved declaration: the uid of the resource.
pub const APPROVED_LABEL: &str = "eventcenter.io/approved-uid";

/// Conditions are a map keyed by type, so that server-side apply merges them one by one.
fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!(["type"]));
    schema.insert(
        "description".into(),
        "State of the resource as standard conditions. `Ready`, `Reconciling` and `Stalled` follow kstatus, \
         so that `kubectl wait`, Flux and Argo CD compute its health."
            .into(),
    );
    schema
}
