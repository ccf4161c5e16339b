//! What a task does.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a task does. Exactly one of `container`, `http` and `event` is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.container), has(self.http), has(self.event)].filter(x, x).size() == 1")
        .message("spec.target: set exactly one of container, http and event"),
)]
pub struct TaskTarget {
    /// Runs a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerTarget>,
    /// Calls an HTTP server, without a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Box<HttpTarget>>,
    /// Publishes an event, without a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Box<EventTarget>>,
}

/// A pod that a task runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerTarget {
    /// The pod template, as in a Kubernetes Job. `restartPolicy` defaults to `Never`. `command`, `args` and values of `env` of
    /// its containers may contain `$(params.NAME)`, `$(run.id)`, `$(run.scheduledTime)`, `$(run.attempt)`, `$(run.trigger)`,
    /// `$(task.name)` and `$(task.namespace)`; values of `env` also `$(event.id)`, `$(event.type)`, `$(event.source)`,
    /// `$(event.subject)`, `$(event.time)` and `$(event.data)` of a task that runs on events.
    #[schemars(schema_with = "pod_template")]
    pub template: Value,
}

/// The API server's own schema of a pod template has half a megabyte; the webhook validates it instead.
fn pod_template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "metadata": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        },
    })
}

/// An HTTP call.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpTarget {
    /// The method. Defaults to `POST`.
    #[serde(default)]
    pub method: HttpMethod,

    /// The address, `http` or `https`. The tenant's `spec.callbacks.hosts` must allow its host. Path and query may contain
    /// `$(params.NAME)` and the other references of a pod template; their values are percent-encoded.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("spec.target.http.url: write an address that begins with https:// or http://"))]
    pub url: String,

    /// Headers of the request. `Idempotency-Key` is the id of the run. Defaults to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub headers: Vec<HttpHeader>,

    /// The body; may contain the same references. In a JSON body their values are escaped, except for `$(event.data)` outside of
    /// quotes, which is JSON itself. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,

    /// Expected status codes of the response, such as `204` or `2xx`. Other responses are failures. Defaults to `2xx`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(regex(pattern = r"^[1-5]([0-9][0-9]|xx)$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub expected_status: Vec<String>,

    /// Sends the token of a ServiceAccount as bearer token. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<ServiceAccountToken>,
}

/// Method of an HTTP call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    /// `GET`.
    #[serde(rename = "GET")]
    Get,
    /// `HEAD`.
    #[serde(rename = "HEAD")]
    Head,
    /// `POST`.
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// `PUT`.
    #[serde(rename = "PUT")]
    Put,
    /// `PATCH`.
    #[serde(rename = "PATCH")]
    Patch,
    /// `DELETE`.
    #[serde(rename = "DELETE")]
    Delete,
}

impl HttpMethod {
    /// The method as in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A header of an HTTP call.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.value) != has(self.valueFrom)").message("spec.target.http.headers: set either value or valueFrom"),
)]
pub struct HttpHeader {
    /// Name of the header.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_|~-]+$"))]
    pub name: String,
    /// Its value; may contain references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value is read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<HeaderSource>,
}

/// Where the value of a header is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderSource {
    /// A key of a Secret in the namespace of the task. Whoever writes the task must be allowed to read the Secret.
    pub secret_key_ref: SecretKey,
    /// Text before the value, such as `Bearer `. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub prefix: Option<String>,
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The token of a ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountToken {
    /// Name of a ServiceAccount in the namespace of the task. The tenant must list it in `spec.tasks.serviceAccounts`, and
    /// whoever writes the task must be allowed to create its tokens.
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: String,
    /// Audience of the token: the server that it is sent to. A server of this audience accepts the token.
    #[schemars(length(min = 1, max = 512))]
    pub audience: String,
}

/// An event that a task publishes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTarget {
    /// Name of the EventTopic, in the namespace of the task.
    #[schemars(length(min = 1, max = 253))]
    pub topic: String,
    /// Type of the event, which the topic must declare if it declares any.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 255))]
    pub event_type: String,
    /// Key of the Kafka record; may contain references. Defaults to the name of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub key: Option<String>,
    /// Data of the event. Its strings may contain references; one that is `$(event.data)` becomes the data of the event that the
    /// task runs for. Defaults to an empty object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "event_data")]
    pub data: Option<Value>,
}

fn event_data(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
