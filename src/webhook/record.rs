//! The audit record of a review: the user, the change and the decision.
//!
//! Every decision has one record. Dry runs, updates that change nothing that records contain, and reviews without a
//! decision (the webhook has not listed all resources yet) have none. A change is allowed once its record is durable; a
//! refusal does not depend on its record.

use eventcenter_sdk::Reason;
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use uuid::Uuid;

use super::context::ReviewContext;
use super::outcome::{Outcome, ReviewType};
use super::request::{Operation, Request};
use crate::api::ChangeApproval;
use crate::domain::Refusal;
use crate::domain::audit::{self, Action, Actor, Caller, Event, LogName, Target, Via, change_between};
use crate::store::{RecordError, WriteOutcome};

/// Minimum size of a large review in bytes. Large reviews are parsed one at a time, because a tree of values takes ten
/// times the size of its text.
const LARGE_REVIEW_BYTES: usize = 64 * 1024;

/// The warning of a change that is allowed without a record, as `--audit-policy` permits.
const NOT_RECORDED: &str = "this change is not in the audit log, which is unavailable";

/// Records the outcome of a review. Returns the final outcome, and the id of the record if there is one.
pub(super) async fn record(
    review: ReviewType,
    request: &Request<'_>,
    outcome: Outcome,
    context: &ReviewContext,
) -> (Outcome, Option<Uuid>) {
    if request.dry_run || !is_decision(review, &outcome) {
        return (outcome, None);
    }
    let log = log(request, context);
    let event = match request.size() {
        0..LARGE_REVIEW_BYTES => event(request, &outcome, log),
        _ => one_at_a_time(|| event(request, &outcome, log)).await,
    };
    let Some(event) = event else { return (outcome, None) };
    let denied = matches!(outcome, Outcome::Allowed(_)).then(|| denied(&event));
    match (context.recorder.record(event).await, outcome) {
        (Ok(WriteOutcome::Durable(id) | WriteOutcome::Spooled(id)), outcome) => (outcome, Some(id)),
        (Ok(WriteOutcome::Lost), Outcome::Allowed(mut warnings)) => {
            warnings.push(format!("{}: {NOT_RECORDED}", Reason::AuditUnavailable));
            (Outcome::Allowed(warnings), None)
        }
        (Err(error), Outcome::Allowed(_)) => {
            // The record may have been written nevertheless, so a second record corrects it. The response does not wait
            // for it.
            if let Some(denied) = denied {
                let recorder = context.recorder.clone();
                tokio::spawn(async move { recorder.enqueue(denied).await });
            }
            (unrecorded(&error), None)
        }
        // A refusal does not depend on its record.
        (_, outcome) => (outcome, None),
    }
}

/// Whether this outcome is final: the validating webhook decides on what the mutating webhook does not refuse.
fn is_decision(review: ReviewType, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Refused(_) | Outcome::Invalid(_) => true,
        Outcome::Allowed(_) => review == ReviewType::Validate,
        Outcome::Patched(_) | Outcome::NotReady => false,
    }
}

/// The record of a change that was allowed and then refused, because its record could not be written in time.
fn denied(allowed: &Event) -> Event {
    let Event { log, actor, action, target, request, caller, .. } = allowed;
    Event {
        reason: Some(Reason::AuditUnavailable),
        message: Some(
            "the change was allowed, and then refused because its record could not be written in time".into(),
        ),
        target: target.clone(),
        request: request.clone(),
        caller: caller.clone(),
        ..Event::new(log.clone(), actor.clone(), *action, audit::Outcome::Denied)
    }
}

fn unrecorded(error: &RecordError) -> Outcome {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "a change is refused because it cannot be recorded"
    );
    Outcome::Refused(vec![Refusal::new(
        Reason::AuditUnavailable,
        "the audit log is unavailable, and no change is made without a record: try again in a moment. If this persists, \
         tell the platform's administrator that eventcenter's database (--store) does not answer; the log of the webhook \
         has the cause",
    )])
}

/// The audit log of the tenant that a request concerns.
fn log(request: &Request<'_>, context: &ReviewContext) -> LogName {
    match (request.kind.of_product(), request.namespace.as_deref()) {
        (Some("Tenant"), _) => LogName::of(Some(&request.name)),
        (_, Some(namespace)) if !namespace.is_empty() => {
            let tenant = context
                .cache
                .read(|snapshot| snapshot.catalog.tenants().of_namespace(namespace).ok().cloned());
            LogName::of(tenant.flatten().map(|tenant| tenant.name.to_string()).as_deref())
        }
        _ => LogName::platform(),
    }
}

/// The record of a decision; `None` for an allowed update that changes nothing that records contain.
fn event(request: &Request<'_>, outcome: &Outcome, log: LogName) -> Option<Event> {
    let (decided, reason, reported) = match outcome {
        Outcome::Allowed(warnings) => (audit::Outcome::Allowed, None, lines(warnings)),
        Outcome::Patched(_) | Outcome::NotReady => return None,
        Outcome::Refused(refusals) => {
            let reason = refusals.first().map_or(Reason::InvalidResource, |refusal| refusal.reason);
            (audit::Outcome::Denied, Some(reason), lines(refusals))
        }
        Outcome::Invalid(message) => {
            (audit::Outcome::Denied, Some(Reason::InvalidResource), Some(message.clone()))
        }
    };
    let action = match request.operation {
        Operation::Create => Action::Create,
        Operation::Update => Action::Update,
        Operation::Delete => Action::Delete,
        // No kind of the product has this operation, so it was refused.
        Operation::Connect => return None,
    };
    let (before, after) = (request.before(), request.after());
    let change = change_between(before.as_ref(), after.as_ref());
    if change.is_none() && action == Action::Update && decided == audit::Outcome::Allowed {
        return None;
    }
    let text = |pointer: &str| {
        let objects = [&after, &before].into_iter().flatten();
        objects.filter_map(|object| object.pointer(pointer)?.as_str()).find(|text| !text.is_empty())
    };
    let user = &request.user_info;
    let actor = Actor { user: user.username.clone(), groups: user.groups.clone(), via: Via::Admission };
    // A generated name is in the object, not in the request.
    let name = Some(request.name.as_str()).filter(|name| !name.is_empty()).or_else(|| text("/metadata/name"));
    let target = Target {
        kind: request.kind.kind.clone(),
        namespace: request.namespace.clone().filter(|namespace| !namespace.is_empty()),
        name: name.unwrap_or_default().to_owned(),
        uid: text("/metadata/uid").map(ToOwned::to_owned),
    };
    let message = match decision(request) {
        Some(decision) => {
            Some([Some(decision), reported].into_iter().flatten().collect::<Vec<_>>().join("\n"))
        }
        None => reported,
    };
    Some(Event {
        target: Some(target),
        reason,
        message,
        change,
        request: Some(request.uid.clone()),
        caller: Caller { field_manager: request.field_manager().map(ToOwned::to_owned), ..Caller::default() },
        ..Event::new(log, actor, action, decided)
    })
}

fn lines<T: std::fmt::Display>(all: &[T]) -> Option<String> {
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Describes the decision of a ChangeApproval.
fn decision(request: &Request<'_>) -> Option<String> {
    if request.kind.of_product() != Some("ChangeApproval") {
        return None;
    }
    let approval = request.object::<ChangeApproval>().or_else(|| request.old_object())?.ok()?;
    let spec = &approval.spec;
    let (target, hash) = (&spec.target, &spec.spec_hash);
    Some(format!("{:?}: {:?} {:?} {} as {hash}", spec.decision, spec.action, target.kind, target.name))
}

/// Runs one piece of work at a time, so that other processors and threads remain for reviews of small objects.
async fn one_at_a_time<T>(work: impl FnOnce() -> T) -> T {
    static PERMIT: Semaphore = Semaphore::const_new(1);
    let _permit = PERMIT.acquire().await;
    block_in_place(work)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    use super::*;

    /// A review of an EventTopic, with some of its fields replaced (RFC 7396).
    fn review(changes: Value) -> Value {
        let mut request = json!({
            "uid": "11111111-2222-3333-4444-555555555555",
            "kind": {"group": "eventcenter.io", "version": "v1alpha1", "kind": "EventTopic"},
            "namespace": "shop", "name": "orders", "operation": "UPDATE", "dryRun": false,
            "userInfo": {
                "username": "alice", "uid": "secret-uid", "groups": ["team", "system:authenticated"],
                "extra": {"example.com/token": ["secret-extra"]},
            },
            "options": {"kind": "UpdateOptions", "fieldManager": "kubectl-edit"},
            "object": topic(json!({"partitions": 3})),
            "oldObject": topic(json!({"partitions": 1})),
        });
        json_patch::merge(&mut request, &changes);
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    }

    fn topic(spec: Value) -> Value {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {
                "name": "orders", "namespace": "shop", "uid": "u-1", "generation": 7,
                "managedFields": [{"manager": "x"}],
            },
            "spec": spec, "status": {"topicName": "shop.orders"},
        })
    }

    /// Lines that most of these records contain.
    const COMMON: [&str; 3] = [
        r#"actor: {"groups":["team","system:authenticated"],"user":"alice","via":"Admission"}"#,
        r#"origin: {"component":"webhook","fieldManager":"kubectl-edit","instance":"a"}"#,
        r#"requestId: "11111111-2222-3333-4444-555555555555""#,
    ];

    /// The lines of a record that depend on the review; empty if there is no record.
    fn lines(review: &Value, outcome: &Outcome) -> Vec<String> {
        let text = review.to_string();
        let request = Request::parse(text.as_bytes()).expect("a review");
        let event = event(&request, outcome, LogName::of(Some("shop")));
        let Some(event) = event else { return Vec::new() };
        let draft = event.into_draft(Uuid::nil(), jiff::Timestamp::UNIX_EPOCH, "webhook", "a");
        let record = serde_json::to_value(draft.at_seq(0)).expect("JSON");
        let fields = record
            .as_object()
            .expect("an object")
            .iter()
            .filter(|(key, _)| !["id", "seq", "time", "tenant"].contains(&key.as_str()));
        fields.map(|(key, value)| format!("{key}: {value}")).collect()
    }

    /// Compares the lines that are not in [`COMMON`]; a minus marks a common line that is missing.
    #[track_caller]
    fn check(review: &Value, outcome: &Outcome, expected: Expect) {
        let lines = lines(review, outcome);
        if lines.is_empty() {
            return expected.assert_eq("nothing");
        }
        let others = lines.iter().filter(|line| !COMMON.contains(&line.as_str())).cloned();
        let missing = COMMON.into_iter().filter(|common| !lines.iter().any(|line| line == common));
        let differences = others.chain(missing.map(|common| format!("- {common}")));
        expected.assert_eq(&differences.map(|line| line + "\n").collect::<String>());
    }

    fn allowed(warnings: &[&str]) -> Outcome {
        Outcome::Allowed(warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_change_is_recorded_with_user_and_patch() {
        check(
            &review(json!({})),
            &allowed(&["spec.owner: nobody is named"]),
            expect![[r#"
                action: "Update"
                change: {"patch":[{"op":"test","path":"/spec/partitions","value":1},{"op":"replace","path":"/spec/partitions","value":3}]}
                message: "spec.owner: nobody is named"
                outcome: "Allowed"
                target: {"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u-1"}
            "#]],
        );
    }

    #[test]
    fn a_creation_is_recorded_as_one_addition() {
        let created = json!({
            "operation": "CREATE", "oldObject": null, "name": "",
            "options": {"kind": "CreateOptions"}, "object": {"metadata": {"uid": null, "name": "orders-x7"}},
        });
        check(
            &review(created),
            &allowed(&[]),
            expect![[r#"
                action: "Create"
                change: {"patch":[{"op":"add","path":"","value":{"spec":{"partitions":3}}}]}
                outcome: "Allowed"
                target: {"kind":"EventTopic","name":"orders-x7","namespace":"shop"}
            "#]],
        );
    }

    #[test]
    fn a_deletion_is_recorded_as_one_removal() {
        let deleted = json!({"operation": "DELETE", "object": null, "options": null});
        check(
            &review(deleted),
            &allowed(&[]),
            expect![[r#"
                action: "Delete"
                change: {"patch":[{"op":"test","path":"","value":{"spec":{"partitions":1}}},{"op":"remove","path":""}]}
                origin: {"component":"webhook","instance":"a"}
                outcome: "Allowed"
                target: {"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u-1"}
                - origin: {"component":"webhook","fieldManager":"kubectl-edit","instance":"a"}
            "#]],
        );
    }

    #[test]
    fn a_refusal_is_recorded_with_all_its_reasons() {
        let refusals = vec![
            Refusal::at(Reason::NotSupported, "spec.partitions", "fewer"),
            Refusal::at(Reason::InvalidResource, "spec.topicName", "too long"),
        ];
        check(
            &review(json!({})),
            &Outcome::Refused(refusals),
            expect![[r#"
                action: "Update"
                change: {"patch":[{"op":"test","path":"/spec/partitions","value":1},{"op":"replace","path":"/spec/partitions","value":3}]}
                message: "NotSupported: spec.partitions: fewer\nInvalidResource: spec.topicName: too long"
                outcome: "Denied"
                reason: "NotSupported"
                target: {"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u-1"}
            "#]],
        );
    }

    #[test]
    fn an_invalid_object_is_recorded_as_sent() {
        let wrong = json!({"object": {"spec": {"partitions": "three"}}});
        check(
            &review(wrong),
            &Outcome::Invalid("EventTopic shop/orders: three".into()),
            expect![[r#"
                action: "Update"
                change: {"patch":[{"op":"test","path":"/spec/partitions","value":1},{"op":"replace","path":"/spec/partitions","value":"three"}]}
                message: "EventTopic shop/orders: three"
                outcome: "Denied"
                reason: "InvalidResource"
                target: {"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u-1"}
            "#]],
        );
    }

    #[test]
    fn a_decision_is_recorded_with_its_description() {
        let approval = json!({
            "kind": {"kind": "ChangeApproval"}, "name": "orders-1", "operation": "CREATE", "oldObject": null,
            "object": null,
        });
        let mut review = review(approval);
        review["request"]["object"] = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "ChangeApproval",
            "metadata": {"name": "orders-1", "namespace": "shop"},
            "spec": {
                "target": {"kind": "EventTopic", "name": "orders"}, "action": "Delete", "decision": "Reject",
                "specHash": "ab".repeat(32), "comment": "not now",
            },
        });
        let refusal = Refusal::new(Reason::ApprovalNotAllowed, "it is your own change");
        check(
            &review,
            &Outcome::Refused(vec![refusal]),
            expect![[r#"
                action: "Create"
                change: {"patch":[{"op":"add","path":"","value":{"spec":{"action":"Delete","comment":"not now","decision":"Reject","specHash":"abababababababababababababababababababababababababababababababab","target":{"kind":"EventTopic","name":"orders"}}}}]}
                message: "Reject: Delete EventTopic orders as abababababababababababababababababababababababababababababababab\nApprovalNotAllowed: it is your own change"
                outcome: "Denied"
                reason: "ApprovalNotAllowed"
                target: {"kind":"ChangeApproval","name":"orders-1","namespace":"shop"}
            "#]],
        );
    }

    #[test]
    fn a_record_of_a_tenant_has_no_namespace() {
        let tenant = json!({
            "kind": {"kind": "Tenant"}, "namespace": "", "name": "shop",
            "object": {"kind": "Tenant", "spec": {"partitions": null, "namespaces": ["shop", "till"]}},
            "oldObject": {"kind": "Tenant", "spec": {"partitions": null, "namespaces": ["shop"]}},
        });
        check(
            &review(tenant),
            &allowed(&[]),
            expect![[r#"
                action: "Update"
                change: {"patch":[{"op":"add","path":"/spec/namespaces/1","value":"till"}]}
                outcome: "Allowed"
                target: {"kind":"Tenant","name":"shop","uid":"u-1"}
            "#]],
        );
    }

    #[test]
    fn an_update_without_changes_is_recorded_only_if_refused() {
        let same = review(json!({"object": {"spec": {"partitions": 1}, "status": {"topicName": "x"}}}));
        check(&same, &allowed(&[]), expect!["nothing"]);
        let refusal = Refusal::new(Reason::TenantSuspended, "it is suspended");
        check(
            &same,
            &Outcome::Refused(vec![refusal]),
            expect![[r#"
                action: "Update"
                message: "TenantSuspended: it is suspended"
                outcome: "Denied"
                reason: "TenantSuspended"
                target: {"kind":"EventTopic","name":"orders","namespace":"shop","uid":"u-1"}
            "#]],
        );
    }

    #[test]
    fn only_final_outcomes_are_decisions() {
        let patch = Outcome::Patched(json_patch::Patch(Vec::new()));
        for (review, outcome, is) in [
            (ReviewType::Validate, &allowed(&[]), true),
            (ReviewType::Mutate, &allowed(&[]), false),
            (ReviewType::Mutate, &patch, false),
            (ReviewType::Mutate, &Outcome::Refused(Vec::new()), true),
            (ReviewType::Validate, &Outcome::Refused(Vec::new()), true),
            (ReviewType::Mutate, &Outcome::Invalid(String::new()), true),
            (ReviewType::Validate, &Outcome::NotReady, false),
        ] {
            assert_eq!(is_decision(review, outcome), is);
        }
    }
}
