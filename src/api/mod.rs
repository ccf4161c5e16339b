//! The custom resources: types, defaults, validation rules, printer columns. No behaviour.
//!
//! Rules that an OpenAPI schema or CEL can express are here, so that the API server itself refuses invalid objects and
//! `kubectl explain` documents each field with its unit and default. Rules that depend on several objects are in
//! [`crate::domain`].
//!
//! Deliberately absent: clients, clocks, and decisions. Every module may use these types; this one uses only the SDK.

#![allow(clippy::duplicated_attributes, reason = "each printer column repeats the names of its attributes")]
#![allow(unreachable_pub, reason = "kube's KubeSchema derive repeats the public struct inside a function")]

pub mod access;
pub mod approval;
pub mod change_approval;
pub mod event_topic;
pub mod event_type;
pub mod kafka_cluster;
pub mod kind;
pub mod scheduled_task;
pub mod status;
pub mod task_schedule;
pub mod task_target;
pub mod task_template;
pub mod tenant;

pub use access::*;
pub use approval::*;
pub use change_approval::*;
pub use event_topic::*;
pub use event_type::*;
pub use kafka_cluster::*;
pub use kind::*;
pub use scheduled_task::*;
pub use status::*;
pub use task_schedule::*;
pub use task_target::*;
pub use task_template::*;
pub use tenant::*;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{Schema, SchemaGenerator};

/// Set to `"true"`, the operator does not change the resource's Kafka topic and ACLs.
pub const PAUSED: &str = "eventcenter.io/paused";

/// Set to `"false"`, the operator does not manage the resource's Kafka topic and ACLs.
pub const MANAGED: &str = "eventcenter.io/managed";

/// Finalizer of EventTopics whose deletion deletes something in Kafka: ACLs, or the Kafka topic. Others have none.
pub const DELETE_FINALIZER: &str = "eventcenter.io/clean-up-kafka";

/// Set to `"true"` on a ConfigMap, EventTopics of its namespace may use its schemas.
pub const SCHEMA_LABEL: &str = "eventcenter.io/schema";

/// Label of a registered revision of a schema: the uid of the EventTopic that declared it. Unlike a name, a uid always fits
/// into a label.
pub const REVISION_LABEL: &str = "eventcenter.io/event-topic-uid";

/// Label of a registered revision of a schema: a hash of its Kafka topic, to which the revision belongs.
pub const KAFKA_TOPIC_LABEL: &str = "eventcenter.io/kafka-topic";

/// The author of a change that another user applies: a pipeline sets it from the commit.
pub const AUTHORED_BY: &str = "eventcenter.io/authored-by";

/// Why a change takes effect without approval; see [`Approval::break_glass`].
pub const BREAK_GLASS: &str = "eventcenter.io/break-glass";

/// The requester of the declared spec, for people. Written by the webhook.
pub const REQUESTED_BY: &str = "eventcenter.io/requested-by";

/// The requester of the declared spec, with the webhook's signature. Written by the webhook.
pub const REQUEST: &str = "eventcenter.io/request";

/// The user who deletes a governed resource, with the webhook's signature. Written by the webhook.
pub const DELETION_REQUEST: &str = "eventcenter.io/deletion-request";

/// Runs a ScheduledTask once for each value.
pub const TRIGGER: &str = "eventcenter.io/trigger";

/// Label of CronJobs, Jobs and pods of a ScheduledTask: its uid.
pub const TASK_LABEL: &str = "eventcenter.io/task-uid";

/// Annotation of a Job: the id of its run.
pub const RUN_ID: &str = "eventcenter.io/run-id";

/// Annotation of a Job: the number of the attempt that it is, from 1.
pub const ATTEMPT: &str = "eventcenter.io/attempt";

/// Annotation of a CronJob that the operator suspended: why it makes the Jobs itself.
pub const SUSPENDED_BECAUSE: &str = "eventcenter.io/suspended-because";

/// The RBAC verb that lets a user approve changes of a kind.
pub const APPROVE: &str = "approve";

/// The RBAC verb that lets only the operator write what is approved.
pub const GOVERN: &str = "govern";

/// The RBAC verb that lets an administrator withdraw the decision of another user.
pub const WITHDRAW: &str = "withdraw";

/// Label of a ControllerRevision that stores an approved spec: the uid of the resource.
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
