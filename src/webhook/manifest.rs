//! The webhook configurations that make the API server call the webhook.
//!
//! Match conditions (CEL) select the requests that can matter; the others never reach the webhook. Deletions do not depend on
//! it: finalizers can be removed, and a namespace can be deleted, while no replica runs. The webhook is called for deletions
//! too, so that their users are recorded; if no replica answers, the controllers alone decide whether data is deleted.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{
    AUTHORED_BY, BREAK_GLASS, GROUP, Governance, KindInfo, MANAGED, Mutation, PAUSED, REQUEST, REQUESTED_BY,
    SCHEMA_LABEL, Scope, kinds,
};

pub use super::policy::policies;

/// How the API server reaches the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Through a Service, port 443.
    Service {
        /// Its namespace, which is the operator's.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// At a URL of scheme, host and port only.
    Url(String),
}

/// The settings of the configurations.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of both.
    pub name: String,
    /// How the API server reaches the webhook.
    pub address: Address,
    /// `NAMESPACE/NAME` of the Certificate whose CA cert-manager injects.
    pub certificate: Option<String>,
}

/// Timeout of a review in the API server. A review takes milliseconds, a schema at most a tenth of a second, and the
/// record at most `--audit-timeout`; the rest is a reserve for a busy machine.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The object is not being deleted: during deletion only finalizers are removed.
const LIVING: &str = "request.operation == 'DELETE' ? !has(oldObject.metadata.deletionTimestamp) : \
                      !has(object.metadata.deletionTimestamp)";

/// The spec changes, not only metadata such as labels, finalizers and owners.
const SPEC: &str = "request.operation != 'UPDATE' || !has(object.spec) || !has(oldObject.spec) || \
                    object.spec != oldObject.spec";

/// An owner is added, changed or removed. The garbage collector deletes an object whose owners do not exist.
const OWNERS: &str = "object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences";

/// A finalizer of the operator is removed.
fn finalizer_is_removed() -> String {
    format!(
        "oldObject.metadata.?finalizers.orValue([]).exists(finalizer, finalizer.startsWith('{GROUP}/') && \
         !(finalizer in object.metadata.?finalizers.orValue([])))"
    )
}

/// One of these annotations is added, changed or removed.
pub(super) fn differ(keys: &[&str]) -> String {
    format!(
        "['{}'].exists(key, object.metadata.?annotations[?key] != oldObject.metadata.?annotations[?key])",
        keys.join("', '")
    )
}

/// The ValidatingWebhookConfiguration and the MutatingWebhookConfiguration.
#[must_use]
pub fn configurations(wanted: &Wanted) -> Vec<Value> {
    let deletable: Vec<&str> =
        kinds().filter(|kind| kind.scope == Scope::Namespaced).map(|kind| kind.plural).collect();
    let mut validating: Vec<Value> = kinds().filter_map(|kind| declarations(wanted, kind)).collect();
    validating.push(deletions(wanted, "deletions", rule(&deletable, json!(["DELETE"]))));
    validating.extend(kinds().filter(|kind| is_decision(kind)).map(|kind| decisions(wanted, kind)));
    validating.extend([schemas(wanted, json!(["CREATE", "UPDATE"])), schemas(wanted, json!(["DELETE"]))]);
    // Another webhook may change an object after ours; the annotations are about what is stored.
    let mutating: Vec<Value> = kinds()
        .filter_map(|kind| match kind.mutation {
            Mutation::Never => None,
            Mutation::OnWrite => Some(annotations(wanted, kind)),
            Mutation::OnCreate => Some(decisions(wanted, kind)),
        })
        .map(|mut webhook| {
            webhook["reinvocationPolicy"] = json!("IfNeeded");
            webhook
        })
        .collect();
    vec![
        configuration(wanted, "ValidatingWebhookConfiguration", &validating),
        configuration(wanted, "MutatingWebhookConfiguration", &mutating),
    ]
}

/// Whether the objects of a kind are decisions, which are immutable.
fn is_decision(kind: &KindInfo) -> bool {
    kind.mutation == Mutation::OnCreate
}

/// Changes of a declaration, including deletions of cluster-scoped kinds, on which no namespace deletion depends.
fn declarations(wanted: &Wanted, kind: &KindInfo) -> Option<Value> {
    if is_decision(kind) {
        return None;
    }
    let operations = match kind.scope {
        Scope::Cluster => json!(["CREATE", "UPDATE", "DELETE"]),
        Scope::Namespaced => json!(["CREATE", "UPDATE"]),
    };
    let changed = match kind.governance {
        Governance::Governed => format!("{SPEC} || {} || {OWNERS}", differ(&[PAUSED, MANAGED, BREAK_GLASS])),
        Governance::Free => SPEC.to_owned(),
    };
    let conditions = json!([condition("not-being-deleted", LIVING), condition("changed", &changed)]);
    let name = format!("{}.{GROUP}", kind.plural);
    Some(webhook(wanted, &name, rule(&[kind.plural], operations), conditions))
}

/// Adds the annotations that name the requesters of a governed resource, and the finalizer.
fn annotations(wanted: &Wanted, kind: &KindInfo) -> Value {
    let annotations = differ(&[AUTHORED_BY, BREAK_GLASS, REQUESTED_BY, REQUEST]);
    let changed = format!("{SPEC} || {annotations} || {}", finalizer_is_removed());
    let conditions = json!([condition("not-being-deleted", LIVING), condition("asks", &changed)]);
    let rule = rule(&[kind.plural], json!(["CREATE", "UPDATE"]));
    webhook(wanted, &format!("{}.{GROUP}", kind.plural), rule, conditions)
}

/// Deletions that must not depend on the webhook. The controllers check the deletion of data again; of other deletions only
/// the user would not be recorded.
fn deletions(wanted: &Wanted, name: &str, rule: Value) -> Value {
    let conditions = json!([condition("not-being-deleted", LIVING)]);
    let mut webhook = webhook(wanted, &format!("{name}.{GROUP}"), rule, conditions);
    webhook["failurePolicy"] = json!("Ignore");
    webhook
}

/// Decisions on changes.
fn decisions(wanted: &Wanted, kind: &KindInfo) -> Value {
    let rule = rule(&[kind.plural], json!(["CREATE"]));
    webhook(wanted, &format!("{}.{GROUP}", kind.plural), rule, json!([]))
}

fn rule(kinds: &[&str], operations: Value) -> Value {
    json!({"apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": kinds, "operations": operations})
}

/// ConfigMaps with schemas, in separate webhooks, so that no other request depends on them. They can always be deleted:
/// the registered schemas remain, and a namespace can be deleted in any order.
fn schemas(wanted: &Wanted, operations: Value) -> Value {
    let changed = format!(
        "request.operation != 'UPDATE' || object.?data != oldObject.?data || \
         object.metadata.?labels[?'{SCHEMA_LABEL}'] != oldObject.metadata.?labels[?'{SCHEMA_LABEL}']"
    );
    let conditions = json!([condition("not-being-deleted", LIVING), condition("changed", &changed)]);
    let deletes = operations == json!(["DELETE"]);
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
        "operations": operations, "scope": "Namespaced",
    });
    let mut webhook = match deletes {
        true => deletions(wanted, "schema-deletions", rule),
        false => webhook(wanted, &format!("schemas.{GROUP}"), rule, conditions),
    };
    webhook["objectSelector"] = json!({"matchLabels": {SCHEMA_LABEL: "true"}});
    let mut excluded = vec!["kube-system", "kube-public", "kube-node-lease"];
    if let Address::Service { namespace, .. } = &wanted.address {
        excluded.push(namespace);
    }
    webhook["namespaceSelector"] = json!({"matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded},
    ]});
    webhook
}

fn condition(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

/// One webhook. It has no path: the replicas write paths with tokens, and applying the manifest again does not remove them.
fn webhook(wanted: &Wanted, name: &str, rule: Value, conditions: Value) -> Value {
    let client = match &wanted.address {
        Address::Service { namespace, name } => {
            json!({"service": {"namespace": namespace, "name": name, "port": 443}})
        }
        Address::Url(url) => json!({"url": url}),
    };
    json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": "Fail",
        "matchConditions": conditions,
        "matchPolicy": "Equivalent",
        "rules": [rule],
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": TIMEOUT.as_secs(),
    })
}

fn configuration(wanted: &Wanted, kind: &str, webhooks: &[Value]) -> Value {
    let mut metadata = json!({"name": wanted.name});
    if let Some(certificate) = &wanted.certificate {
        metadata["annotations"] = json!({"cert-manager.io/inject-ca-from": certificate});
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "webhooks": webhooks,
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
        ValidatingWebhookConfiguration,
    };
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn same<T: Serialize + DeserializeOwned>(document: &Value) {
        let typed: T = serde_json::from_value(document.clone()).expect("Kubernetes knows it");
        assert_eq!(json!(typed), *document, "a field is misspelt");
    }

    #[test]
    fn every_field_is_known_to_kubernetes() {
        let service = Address::Service { namespace: "system".into(), name: "webhook".into() };
        for address in [service, Address::Url("https://127.0.0.1:1".into())] {
            let certificate = Some("system/webhook".into());
            let documents = configurations(&Wanted { name: "eventcenter".into(), address, certificate });
            same::<ValidatingWebhookConfiguration>(&documents[0]);
            same::<MutatingWebhookConfiguration>(&documents[1]);
        }
        for document in policies() {
            match document["kind"].as_str() {
                Some("ValidatingAdmissionPolicy") => same::<ValidatingAdmissionPolicy>(&document),
                Some("ValidatingAdmissionPolicyBinding") => {
                    same::<ValidatingAdmissionPolicyBinding>(&document)
                }
                kind => panic!("{kind:?}"),
            }
        }
    }

    /// The webhooks cannot block the operator or the control plane.
    #[test]
    fn only_kinds_of_the_product_and_labelled_configmaps_are_reviewed() {
        let address = Address::Service { namespace: "system".into(), name: "webhook".into() };
        for document in configurations(&Wanted { name: "x".into(), address, certificate: None }) {
            for webhook in document["webhooks"].as_array().expect("webhooks") {
                let rule = &webhook["rules"][0];
                // The controllers check deletions again, so an unavailable webhook does not block the deletion of a
                // namespace.
                let deletes_topics = rule["operations"] == json!(["DELETE"]);
                assert_eq!(webhook["failurePolicy"], if deletes_topics { "Ignore" } else { "Fail" });
                let resource = rule["resources"][0].as_str().expect("a resource");
                assert!(!resource.contains(['/', '*']), "{resource}");
                if rule["apiGroups"] != json!([GROUP]) {
                    assert_eq!((&rule["apiGroups"], resource), (&json!([""]), "configmaps"));
                    assert_eq!(webhook["objectSelector"]["matchLabels"][SCHEMA_LABEL], "true");
                    let excluded = &webhook["namespaceSelector"]["matchExpressions"][0]["values"];
                    assert!(excluded.as_array().is_some_and(|names| names.contains(&json!("system"))));
                }
            }
        }
    }
}
