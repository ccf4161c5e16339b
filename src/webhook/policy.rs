//! What the API server keeps by itself, in CEL: it holds while no webhook is installed.
//!
//! A policy sees what the API server has in its caches, so two changes at the same moment may both
//! pass. The controllers settle that; what a policy refuses is what lasts.

use serde_json::{Value, json};

use super::manifest::differ;
use crate::api::{APPROVED_LABEL, AUTHORED_BY, BREAK_GLASS, GOVERN, GROUP, MANAGED, REQUEST, REQUESTED_BY};

/// The ValidatingAdmissionPolicies and their bindings.
#[must_use]
pub fn policies() -> Vec<Value> {
    let tenants = "tenants-are-apart";
    let topics = "topics-stay-what-they-are";
    vec![
        policy(
            tenants,
            json!({
                "failurePolicy": "Fail",
                // Each other tenant in turn: the change has to be right beside all of them.
                "paramKind": {"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Tenant"},
                "matchConstraints": {"resourceRules": [rule("tenants", &["CREATE", "UPDATE"])]},
                "variables": [
                    variable("another", "params.metadata.name != object.metadata.name"),
                    variable("prefix", &prefix("object")),
                    variable("theirs", &prefix("params")),
                    variable("moved", &format!("oldObject == null || variables.prefix != {}", prefix("oldObject"))),
                    // Only what is new is held against anybody: an old dispute can be settled step by step.
                    variable(
                        "claimed",
                        "object.spec.?namespaces.orValue([]).filter(name, oldObject == null || \
                         !(name in oldObject.spec.?namespaces.orValue([])))",
                    ),
                    variable(
                        "taken",
                        "variables.claimed.filter(name, name in params.spec.?namespaces.orValue([]))",
                    ),
                ],
                "validations": [
                    {
                        "expression": "!variables.another || variables.taken.size() == 0",
                        "messageExpression": "'ResourceConflict: spec.namespaces: ' + variables.taken.join(', ') + \
                            ' belongs to tenant ' + params.metadata.name + '. Take it out of one of the two tenants'",
                        "reason": "Invalid",
                    },
                    {
                        "expression": "!variables.another || !variables.moved || \
                            !(variables.prefix.startsWith(variables.theirs) || \
                            variables.theirs.startsWith(variables.prefix))",
                        "messageExpression": "'ResourceConflict: spec.topicPrefix: ' + variables.prefix + \
                            ' overlaps with ' + variables.theirs + ' of tenant ' + params.metadata.name + \
                            ': choose a prefix that is not the beginning of another\\'s, nor begins with one'",
                        "reason": "Invalid",
                    },
                ],
            }),
        ),
        binding(tenants, Some(json!({"selector": {}, "parameterNotFoundAction": "Allow"}))),
        policy(
            topics,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule("eventtopics/status", &["UPDATE"])]},
                "validations": [stays("topicName"), stays("cluster")],
            }),
        ),
        binding(topics, None),
    ]
    .into_iter()
    .chain(approvals())
    .collect()
}

/// What approvals hang on. Nobody believes what is not sealed; these keep others from taking away what is, and
/// from putting an older one in its place.
fn approvals() -> [Value; 8] {
    let (stamps, decisions) = ("stamps-are-the-webhooks", "decisions-are-ones-own");
    let (records, revisions) = ("approval-is-the-operators", "approved-revisions-are-the-operators");
    let governs = format!(
        "authorizer.group('{GROUP}').resource('eventtopics').namespace(request.namespace).check('{GOVERN}').allowed()"
    );
    [
        policy(
            stamps,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule("eventtopics", &["UPDATE"])]},
                "validations": [{
                    "expression": format!(
                        "!({}) || object.spec != oldObject.spec || {}",
                        differ(&[REQUESTED_BY, REQUEST]),
                        differ(&[AUTHORED_BY, BREAK_GLASS]),
                    ),
                    "message": format!(
                        "NotSupported: metadata.annotations: {REQUESTED_BY} and {REQUEST} say who asked for what is declared, \
                         and stay while that does. Leave them as they are"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(stamps, None),
        policy(
            decisions,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule("changeapprovals", &["CREATE"])]},
                "validations": [{
                    // A sealed one that was taken back is not put there again by somebody who has kept a copy.
                    "expression": "object.spec.?approver.?username.orValue(request.userInfo.username) == \
                                   request.userInfo.username",
                    "message": "ApprovalNotAllowed: spec.approver: a decision is made by whoever decides. Leave the field out",
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(decisions, None),
        policy(
            records,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule("eventtopics/status", &["UPDATE"])]},
                "validations": [{
                    "expression": format!(
                        "(object.?status.?approved == oldObject.?status.?approved && \
                         object.?status.?pending == oldObject.?status.?pending) || {governs}"
                    ),
                    "message": format!(
                        "NotSupported: status.approved, status.pending: what is approved is said by whoever has the verb \
                         {GOVERN} on eventtopics, which is the operator. Approve a change by a ChangeApproval"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(records, None),
        policy(
            revisions,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [{
                        "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["controllerrevisions"],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                    }],
                    "objectSelector": {"matchExpressions": [{"key": APPROVED_LABEL, "operator": "Exists"}]},
                },
                // The garbage collector and whoever empties a namespace, whichever name they have.
                "matchConditions": [{
                    "name": "not-the-control-plane",
                    "expression": "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:') && \
                                   request.userInfo.username != 'system:kube-controller-manager'",
                }],
                "validations": [{
                    "expression": governs,
                    "message": format!(
                        "NotSupported: metadata.labels[{APPROVED_LABEL}]: what was approved is kept by whoever has the verb \
                         {GOVERN} on eventtopics, which is the operator. Leave it as it is; it goes with its EventTopic"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(revisions, None),
    ]
}

/// How a tenant's topics are named, the default filled in.
fn prefix(tenant: &str) -> String {
    format!("{tenant}.spec.?topicPrefix.orValue({tenant}.metadata.name + '.')")
}

/// Which Kafka topic a resource stands for is read from its status. Whoever could take that out could
/// have it stand for another one. Only one that others manage stands for nothing.
fn stays(field: &str) -> Value {
    json!({
        "expression": format!(
            "!has(oldObject.status) || !has(oldObject.status.{field}) || (has(object.status) && \
             has(object.status.{field}) ? object.status.{field} == oldObject.status.{field} : \
             object.metadata.?annotations[?'{MANAGED}'].orValue('') == 'false')"
        ),
        "message": format!(
            "NotSupported: status.{field}: a resource stays the Kafka topic that it has become. Leave the field as it is, \
             or delete the resource and make it again"
        ),
        "reason": "Invalid",
    })
}

fn rule(resource: &str, operations: &[&str]) -> Value {
    json!({"apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": [resource], "operations": operations})
}

fn variable(name: &str, expression: &str) -> Value {
    json!({"name": name, "expression": expression})
}

fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": format!("{name}.{GROUP}")},
        "spec": spec,
    })
}

fn binding(name: &str, parameters: Option<Value>) -> Value {
    let name = format!("{name}.{GROUP}");
    let mut spec = json!({"policyName": name, "validationActions": ["Deny"]});
    if let Some(parameters) = parameters {
        spec["paramRef"] = parameters;
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": spec,
    })
}
