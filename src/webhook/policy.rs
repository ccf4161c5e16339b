//! ValidatingAdmissionPolicies (CEL): rules that the API server itself enforces, also without the webhook.
//!
//! A policy reads the API server's caches, so two concurrent changes may both pass. The controllers resolve such
//! conflicts.

use serde_json::{Value, json};

use super::manifest::differ;
use crate::api::{
    APPROVED_LABEL, AUTHORED_BY, BREAK_GLASS, GOVERN, GROUP, KindInfo, MANAGED, REQUEST, REQUESTED_BY,
    REVISION_LABEL, WITHDRAW,
};

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
                // Evaluated once for each other tenant: the change must be valid beside all of them.
                "paramKind": {"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Tenant"},
                "matchConstraints": {"resourceRules": [rule(&["tenants"], &["CREATE", "UPDATE"])]},
                "variables": [
                    variable("another", "params.metadata.name != object.metadata.name"),
                    variable("prefix", &prefix("object")),
                    variable("otherPrefix", &prefix("params")),
                    // Kafka does not distinguish the two characters in the names of topics.
                    variable("comparable", "variables.prefix.replace('_', '.')"),
                    variable("otherComparable", "variables.otherPrefix.replace('_', '.')"),
                    variable("moved", &format!("oldObject == null || variables.prefix != {}", prefix("oldObject"))),
                    // Only new namespaces are checked, so that an existing conflict can be resolved step by step.
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
                        "reason": "Forbidden",
                    },
                    {
                        "expression": "!variables.another || !variables.moved || \
                            !(variables.comparable.startsWith(variables.otherComparable) || \
                            variables.otherComparable.startsWith(variables.comparable))",
                        "messageExpression": "'ResourceConflict: spec.topicPrefix: ' + variables.prefix + \
                            ' overlaps with ' + variables.otherPrefix + ' of tenant ' + params.metadata.name + \
                            ': choose a prefix that neither starts with another prefix nor is the start of one'",
                        "reason": "Forbidden",
                    },
                ],
            }),
        ),
        binding(tenants, Some(json!({"selector": {}, "parameterNotFoundAction": "Allow"}))),
        policy(
            topics,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&["eventtopics/status"], &["UPDATE"])]},
                "validations": [immutable("topicName"), immutable("cluster")],
            }),
        ),
        binding(topics, None),
    ]
    .into_iter()
    .chain(deletions())
    .chain(decisions())
    .chain(approvals())
    .chain(revisions("approved-revisions-are-the-operators", APPROVED_LABEL, "approved revisions"))
    .chain(revisions("schema-revisions-are-the-operators", REVISION_LABEL, "registered schemas"))
    .collect()
}

/// Excludes the garbage collector and the namespace controller, under any of their names.
fn not_the_control_plane() -> Value {
    json!([{
        "name": "not-the-control-plane",
        "expression": "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:') && \
                       request.userInfo.username != 'system:kube-controller-manager'",
    }])
}

/// Protects resources under deletion, which the webhook does not review.
fn deletions() -> [Value; 2] {
    let name = "deletions-destroy-what-was-approved";
    let resources: Vec<&str> = KindInfo::governed().map(|kind| kind.plural).collect();
    [
        policy(
            name,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&resources, &["UPDATE"])]},
                "matchConditions": [{
                    "name": "being-deleted",
                    "expression": "has(oldObject.metadata.deletionTimestamp)",
                }],
                "validations": [{
                    "expression": "object.spec == oldObject.spec || \
                                   object.spec.?deletionPolicy.orValue('') == 'Retain'",
                    "message": "NotSupported: spec: the resource is being deleted. Only spec.deletionPolicy: Retain, which keeps \
                                the data, can still be set",
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(name, None),
    ]
}

/// Protects decisions. Seals prevent forgeries; these policies prevent that others withdraw or copy them.
fn decisions() -> [Value; 4] {
    let (made, withdrawn) = ("decisions-are-ones-own", "decisions-are-withdrawn-by-their-approver");
    [
        policy(
            made,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&["changeapprovals"], &["CREATE"])]},
                "validations": [{
                    // A withdrawn sealed decision must not be created again from a copy by another user.
                    "expression": "object.spec.?approver.?username.orValue(request.userInfo.username) == \
                                   request.userInfo.username",
                    "message": "ApprovalNotAllowed: spec.approver: the approver is always the requesting user. Leave the field out",
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(made, None),
        policy(
            withdrawn,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&["changeapprovals"], &["UPDATE", "DELETE"])]},
                "matchConditions": not_the_control_plane(),
                "variables": [
                    // With another owner the garbage collector would delete the decision.
                    variable(
                        "stays",
                        "request.operation == 'UPDATE' && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
                    ),
                    variable(
                        "own",
                        "oldObject.spec.?approver.?username.orValue(request.userInfo.username) == request.userInfo.username",
                    ),
                ],
                "validations": [{
                    "expression": format!(
                        "variables.stays || variables.own || authorizer.group('{GROUP}').resource('changeapprovals')\
                         .namespace(request.namespace).check('{WITHDRAW}').allowed()"
                    ),
                    "message": format!(
                        "ApprovalNotAllowed: spec.approver: only the approver can withdraw a decision; an administrator needs the \
                         verb {WITHDRAW} on changeapprovals. Leave the decision as it is"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(withdrawn, None),
    ]
}

/// Whether the user has the verb `govern` on a resource, which is a CEL expression.
fn governs(resource: &str) -> String {
    format!(
        "authorizer.group('{GROUP}').resource({resource}).namespace(request.namespace).check('{GOVERN}').allowed()"
    )
}

/// Protects the fields of approvals. Seals prevent forgeries; these policies prevent deletion of sealed values and replacement
/// by older ones.
fn approvals() -> [Value; 4] {
    let stamps = "stamps-are-the-webhooks";
    let records = "approval-is-the-operators";
    let resources = |subresource: &str| -> Vec<String> {
        KindInfo::governed().map(|kind| format!("{}{subresource}", kind.plural)).collect()
    };
    [
        policy(
            stamps,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&resources(""), &["UPDATE"])]},
                "validations": [{
                    "expression": format!(
                        "!({}) || object.spec != oldObject.spec || {}",
                        differ(&[REQUESTED_BY, REQUEST]),
                        differ(&[AUTHORED_BY, BREAK_GLASS]),
                    ),
                    "message": format!(
                        "NotSupported: metadata.annotations: {REQUESTED_BY} and {REQUEST} record who requested the spec, \
                         and change only with it. Leave them as they are"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(stamps, None),
        policy(
            records,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule(&resources("/status"), &["UPDATE"])]},
                "validations": [{
                    "expression": format!(
                        "(object.?status.?approved == oldObject.?status.?approved && \
                         object.?status.?pending == oldObject.?status.?pending) || {}",
                        governs("request.resource.resource")
                    ),
                    "message": format!(
                        "NotSupported: status.approved, status.pending: only the operator (verb {GOVERN}) may write \
                         these fields. Approve a change with a ChangeApproval"
                    ),
                    "reason": "Forbidden",
                }],
            }),
        ),
        binding(records, None),
    ]
}

/// Protects the ControllerRevisions with this label. The garbage collector and the namespace controller may delete them.
fn revisions(name: &str, label: &str, what: &str) -> [Value; 2] {
    // One expression for each kind: the checks of all of them together exceed the cost that the API server allows for one.
    let validations: Vec<Value> = KindInfo::governed()
        .map(|kind| {
            json!({
                "expression": governs(&format!("'{}'", kind.plural)),
                "message": format!(
                    "NotSupported: metadata.labels[{label}]: only the operator (verb {GOVERN}) may write {what}. Leave it \
                     as it is"
                ),
                "reason": "Forbidden",
            })
        })
        .collect();
    [
        policy(
            name,
            json!({
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [{
                        "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["controllerrevisions"],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                    }],
                    "objectSelector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
                },
                "matchConditions": not_the_control_plane(),
                "validations": validations,
            }),
        ),
        binding(name, None),
    ]
}

/// The topic prefix of a tenant, with the default.
fn prefix(tenant: &str) -> String {
    format!("{tenant}.spec.?topicPrefix.orValue({tenant}.metadata.name + '.')")
}

/// Makes a status field immutable once set: the status identifies the Kafka topic of a resource, so without the field the
/// resource could claim another one. Only an unmanaged resource claims none.
fn immutable(field: &str) -> Value {
    json!({
        "expression": format!(
            "!has(oldObject.status) || !has(oldObject.status.{field}) || (has(object.status) && \
             has(object.status.{field}) ? object.status.{field} == oldObject.status.{field} : \
             object.metadata.?annotations[?'{MANAGED}'].orValue('') == 'false')"
        ),
        "message": format!(
            "NotSupported: status.{field}: an EventTopic cannot become another Kafka topic. Leave the field as it is, \
             or delete the resource and create it again"
        ),
        "reason": "Forbidden",
    })
}

fn rule(resources: &[impl serde::Serialize], operations: &[&str]) -> Value {
    json!({"apiGroups": [GROUP], "apiVersions": ["v1alpha1"], "resources": resources, "operations": operations})
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
