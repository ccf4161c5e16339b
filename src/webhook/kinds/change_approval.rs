//! ChangeApprovals: the webhook writes the approver into them, seals that, and refuses users who may not decide.
//!
//! Mutation and validation both read the target: the seal covers the state that was read, and only a sealed object is
//! stored.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use json_patch::{Patch, PatchOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::super::approval::approvals_unreadable;
use super::super::cache::Snapshot;
use super::super::context::ReviewContext;
use super::super::outcome::Outcome;
use super::super::patch::{add, remove};
use super::super::request::{Operation, Request, User};
use super::super::target::{GovernedKind, Target};
use super::{Admit, Complete};
use crate::api::{Approver, ChangeApproval, WITHDRAW};
use crate::domain::admission::{Change, Verdict};
use crate::domain::approval::decision::statement;
use crate::domain::approval::eligibility::{DecidingUser, check_eligibility};
use crate::domain::approval::{Rules, VerifiedDecision, person};
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::topic::validate::suspended;
use crate::domain::{ObjectRef, Refusal, Revisioned};
use crate::kubernetes::UserInfo;

impl Admit for ChangeApproval {
    /// Decisions need a tenant that is not suspended.
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        let Change::Create(approval) = *change else { return Verdict::default() };
        match snapshot.catalog.tenants().of_namespace(&approval.namespace().unwrap_or_default()) {
            Ok(tenant) if tenant.suspended.is_some() => Verdict::refused(suspended(tenant)),
            Ok(_) => Verdict::default(),
            Err(refusal) => Verdict::refused(refusal),
        }
    }

    async fn inspect(change: &Change<'_, Self>, user: &User, context: &ReviewContext) -> Verdict {
        let checked = match *change {
            Change::Create(approval) => check_decision(approval, user, context).await,
            Change::Delete(approval) => check_withdrawal(approval, user, context).await,
            // A decision is immutable by its definition.
            Change::Update { .. } => Ok(()),
        };
        match checked {
            Ok(()) => Verdict::default(),
            Err(refusal) => Verdict::refused(refusal),
        }
    }
}

impl Complete for ChangeApproval {
    async fn complete(request: &Request<'_>, context: &ReviewContext) -> Outcome {
        let Some(Ok(approval)) = request.object::<Self>().filter(|_| request.operation == Operation::Create)
        else {
            return Outcome::Allowed(Vec::new());
        };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let tenant = match context.tenant_of(namespace).await {
            // Validation refuses a decision without a tenant.
            Ok(None) => return Outcome::Allowed(Vec::new()),
            Ok(Some(tenant)) => tenant,
            Err(not_ready) => return not_ready.into(),
        };
        let Some((key, trusted)) = context.seal_keys.get() else { return Outcome::NotReady };
        let sealing = Sealing { namespace, key, now: context.now() };
        let user = &request.user_info;
        match complete(&approval, user, &tenant.approval, &sealing, &trusted.webhook, context).await {
            Ok(patch) => Outcome::Patched(patch),
            Err(refusal) => Outcome::Refused(vec![refusal]),
        }
    }
}

/// The inputs of a seal.
struct Sealing<'a> {
    namespace: &'a str,
    key: &'a SigningKey,
    now: Timestamp,
}

fn governed_kind<'a>(
    approval: &ChangeApproval,
    context: &'a ReviewContext,
) -> Result<&'a GovernedKind, Refusal> {
    let kind = &approval.spec.target.kind;
    context.targets.find(kind).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            "spec.target.kind",
            format!("changes of {kind}s need no approval: name another kind"),
        )
    })
}

async fn complete(
    approval: &ChangeApproval,
    user: &User,
    rules: &Rules,
    sealing: &Sealing<'_>,
    keys: &PublicKeys,
    context: &ReviewContext,
) -> Result<Patch, Refusal> {
    let kind = governed_kind(approval, context)?;
    let (username, groups) = (user.username.clone(), rules.relevant_groups(&user.groups));
    let (namespace, name) = (sealing.namespace, &approval.spec.target.name);
    let known_groups = UserInfo::in_groups(&username, &groups);
    let (target, revocable) = tokio::join!(
        kind.read(&context.kubernetes, namespace, name, keys),
        kind.may_approve(&context.kubernetes, known_groups, namespace, name),
    );
    let (target, revocable) = (readable(target)?, readable(revocable)?);
    let approver = Approver { username, groups, revocable };
    Ok(Patch(seal(approval, &target.decision.subject, target.owner, approver, sealing)))
}

fn readable<T>(result: Result<T, impl std::fmt::Display>) -> Result<T, Refusal> {
    result.map_err(|error| {
        tracing::warn!(%error, "cannot check a decision");
        approvals_unreadable()
    })
}

fn seal(
    approval: &ChangeApproval,
    subject: &Revisioned,
    owner: Option<OwnerReference>,
    approver: Approver,
    sealing: &Sealing<'_>,
) -> Vec<PatchOperation> {
    // Kubernetes' times have microseconds at most.
    let at = Timestamp::from_millisecond(sealing.now.as_millisecond()).unwrap_or(sealing.now);
    let mut stored = approval.clone();
    let target = &mut stored.spec.target;
    target.uid.clone_from(&subject.uid);
    target.generation = subject.uid.is_some().then_some(subject.generation);
    let seal = sealing.key.seal(&statement(sealing.namespace, &stored, &approver, at));
    let owner = owner.map(|owner| OwnerReference {
        controller: Some(false),
        block_owner_deletion: Some(false),
        ..owner
    });
    let field = |path: &[&str], is_present: bool, value: Option<Value>| match value {
        Some(value) => Some(add(path, value)),
        None => is_present.then(|| remove(path)),
    };
    let (given, target) = (&approval.spec.target, &stored.spec.target);
    let operations = [
        Some(add(&["spec", "approver"], json!(approver))),
        Some(add(&["spec", "at"], json!(at))),
        Some(add(&["spec", "seal"], json!(seal))),
        field(&["spec", "target", "uid"], given.uid.is_some(), target.uid.as_ref().map(|uid| json!(uid))),
        field(
            &["spec", "target", "generation"],
            given.generation.is_some(),
            target.generation.map(|generation| json!(generation)),
        ),
        // The approval is deleted with its target, and with nothing else.
        field(
            &["metadata", "ownerReferences"],
            approval.metadata.owner_references.is_some(),
            owner.map(|owner| json!([owner])),
        ),
    ];
    operations.into_iter().flatten().collect()
}

/// Checks whether a user may make a decision, once.
async fn check_decision(
    approval: &ChangeApproval,
    user: &User,
    context: &ReviewContext,
) -> Result<(), Refusal> {
    let namespace = approval.namespace().unwrap_or_default();
    let tenant = context.cache.read(|snapshot| snapshot.catalog.tenants().of_namespace(&namespace).cloned());
    let rules = &tenant.ok_or_else(approvals_unreadable)??.approval;
    let (_, trusted) = context.seal_keys.get().ok_or_else(approvals_unreadable)?;
    let keys = &trusted.webhook;
    let kind = governed_kind(approval, context)?;
    let name = &approval.spec.target.name;
    let (target, has_approve_verb, stored) = tokio::join!(
        kind.read(&context.kubernetes, &namespace, name, keys),
        kind.may_approve(&context.kubernetes, user.user_info(), &namespace, name),
        context.kubernetes.list_in::<ChangeApproval>(&namespace),
    );
    let Target { decision: target, .. } = readable(target)?;
    let (has_approve_verb, stored) = (readable(has_approve_verb)?, readable(stored)?);
    let deciding = DecidingUser { username: &user.username, groups: &user.groups, has_approve_verb };
    check_eligibility(approval, &target, deciding, rules)?;
    let decision = check_seal(approval, &target.subject, user, rules, keys)?;
    match stored.iter().find(|other| is_repeated(other, &decision, &target.subject, rules, keys)) {
        None => Ok(()),
        Some(other) => Err(Refusal::new(
            Reason::ApprovalNotAllowed,
            format!(
                "{} has already made this decision, in ChangeApproval {}: a person counts once, whatever the user name, unless spec.approval.identities of the Tenant declares two people",
                user.username,
                other.name_any()
            ),
        )),
    }
}

/// Checks whether a user may delete a decision: the user who made it, an administrator, or Kubernetes itself after the resource that
/// it is about. During a foreground deletion the garbage collector would delete it before the resource.
async fn check_withdrawal(
    approval: &ChangeApproval,
    user: &User,
    context: &ReviewContext,
) -> Result<(), Refusal> {
    let namespace = approval.namespace().unwrap_or_default();
    let tenant = context.cache.read(|snapshot| snapshot.catalog.tenants().of_namespace(&namespace).cloned());
    let (Some(Ok(_)), Some(approver)) = (tenant, &approval.spec.approver) else { return Ok(()) };
    if approver.username == user.username {
        return Ok(());
    }
    let name = approval.name_any();
    if is_control_plane(&user.username) {
        let Ok(kind) = governed_kind(approval, context) else { return Ok(()) };
        let (_, trusted) = context.seal_keys.get().ok_or_else(approvals_unreadable)?;
        let target = &approval.spec.target;
        let read = kind.read(&context.kubernetes, &namespace, &target.name, &trusted.webhook).await;
        let current = readable(read)?.decision;
        let exists = current.hash.is_some() && (target.uid.is_none() || target.uid == current.subject.uid);
        return match exists {
            false => Ok(()),
            true => Err(Refusal::new(
                Reason::ApprovalNotAllowed,
                format!(
                    "ChangeApproval {name} is deleted after {} {}, which still exists",
                    target.kind, target.name
                ),
            )),
        };
    }
    let may_withdraw =
        context.kubernetes.is_allowed::<ChangeApproval>(user.user_info(), WITHDRAW, &namespace, &name);
    match readable(may_withdraw.await)? {
        true => Ok(()),
        false => Err(Refusal::new(
            Reason::ApprovalNotAllowed,
            format!(
                "ChangeApproval {name} is the decision of {}, who alone can withdraw it; an administrator needs the verb {WITHDRAW} \
                 on changeapprovals",
                approver.username
            ),
        )),
    }
}

/// Whether a user is a controller of Kubernetes, such as the garbage collector, under any of its names.
fn is_control_plane(username: &str) -> bool {
    username == "system:kube-controller-manager"
        || person::service_account_namespace(username) == Some("kube-system")
}

/// Checks that the mutating webhook sealed the object for this user, and that the resource is still the same.
fn check_seal(
    approval: &ChangeApproval,
    subject: &Revisioned,
    user: &User,
    rules: &Rules,
    keys: &PublicKeys,
) -> Result<VerifiedDecision, Refusal> {
    let decision = VerifiedDecision::verify(approval, subject, keys).filter(|decision| {
        decision.approver.username == user.username
            && decision.approver.groups == rules.relevant_groups(&user.groups)
    });
    let decision = decision.ok_or_else(|| {
        Refusal::at(Reason::ApprovalNotAllowed, "spec.seal", "this decision was not sealed for you: install the mutating webhook too (eventcenter webhooks), and let no other webhook change ChangeApprovals",
        )
    })?;
    if (&decision.uid, decision.generation) != (&subject.uid, subject.generation) {
        let ObjectRef { kind, name, .. } = &subject.object;
        return Err(Refusal::at(
            Reason::ApprovalOutdated,
            "spec.target",
            format!("{kind} {name} has just changed: review it again"),
        ));
    }
    Ok(decision)
}

/// Whether a stored decision is the same one, of the same person.
fn is_repeated(
    other: &ChangeApproval,
    decision: &VerifiedDecision,
    subject: &Revisioned,
    rules: &Rules,
    keys: &PublicKeys,
) -> bool {
    VerifiedDecision::verify(other, subject, keys).is_some_and(|other| {
        (&other.uid, other.generation, other.action, other.decision, &other.hash, &other.takeover_hash)
            == (
                &decision.uid,
                decision.generation,
                decision.action,
                decision.decision,
                &decision.hash,
                &decision.takeover_hash,
            )
            && rules.identities().may_be_same(&other.approver.username, &decision.approver.username)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Approval, EventTopic};
    use crate::domain::testing::topic;
    use kube::Resource;

    #[test]
    fn the_sealed_decision_is_stored() {
        let declared: Approval =
            serde_yaml::from_str("{rules: [{changes: [Any], groups: [a]}]}").expect("rules");
        let rules = Rules::parse(Some(&declared)).expect("rules");
        let key = SigningKey::from_seed(&"1".repeat(64)).expect("a key");
        let keys = PublicKeys::parse(&key.public_key());
        let user = User { username: "alice".into(), groups: vec!["a".into(), "z".into()], ..User::default() };
        let now = "2026-01-01T00:00:00.123456789Z".parse().expect("a time");
        let sealing = Sealing { namespace: "shop", key: &key, now };
        let approver = Approver { username: "alice".into(), groups: vec!["a".into()], revocable: true };
        let topic = topic("{}");
        let given = ["{}", "{approver: {username: bob, groups: [a]}, at: '2020-01-01T00:00:00Z', seal: x}"];
        for spec in given {
            for topic in [None, Some(&topic)] {
                for target in [
                    "{kind: EventTopic, name: orders}",
                    "{kind: EventTopic, name: orders, uid: x, generation: 7}",
                ] {
                    let mut approval =
                        json!({"metadata": {"name": "x", "namespace": "shop", "ownerReferences": []}});
                    approval["spec"] = serde_yaml::from_str(spec).expect("YAML");
                    approval["spec"]["target"] = serde_yaml::from_str(target).expect("YAML");
                    approval["spec"]["specHash"] = json!("0".repeat(64));
                    approval["spec"]["decision"] = json!("Approve");
                    let typed: ChangeApproval =
                        serde_json::from_value(approval.clone()).expect("an approval");
                    let subject = topic.map_or_else(
                        || Revisioned::absent(ObjectRef::new::<EventTopic>("shop", "orders")),
                        Revisioned::of,
                    );
                    let owner = topic.and_then(|topic| topic.owner_ref(&()));
                    let patch = Patch(seal(&typed, &subject, owner, approver.clone(), &sealing));
                    json_patch::patch(&mut approval, &patch).expect("the patch applies");
                    let stored: ChangeApproval = serde_json::from_value(approval).expect("an approval");
                    let decision = check_seal(&stored, &subject, &user, &rules, &keys).expect("a seal");
                    assert_eq!((decision.uid, decision.generation), (subject.uid, subject.generation));
                    assert_eq!(decision.approver.groups, ["a"], "other groups are not stored");
                    assert_eq!(stored.owner_references().len(), usize::from(topic.is_some()));
                }
            }
        }
    }
}
