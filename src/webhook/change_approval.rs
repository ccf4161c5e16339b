//! ChangeApprovals: who decides is written into them and sealed, and whoever may not decide is refused.
//!
//! Both parts read the resource that is decided on as it is now: what is sealed is what was looked at,
//! and what is stored is what was sealed.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use json_patch::{Patch, PatchOperation};
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::approval::unknown;
use super::cache::Snapshot;
use super::event_topic::{add, remove};
use super::request::User;
use super::review::Reviewer;
use crate::api::{APPROVE, Approver, ChangeApproval, EventTopic, GovernedKind};
use crate::domain::Refusal;
use crate::domain::admission::{Change, Verdict};
use crate::domain::approval::authorization::{VerifiedDecision, statement};
use crate::domain::approval::eligibility::{Approving, Target, review};
use crate::domain::approval::{Request, Rules, SigningKey, SpecHash, Subject, person};
use crate::domain::topic::validate::suspended;
use crate::kubernetes::{TrustedKeys, UserInfo};

/// A tenant has to be there and active for its changes to be decided on.
pub(super) fn judge(change: &Change<'_, ChangeApproval>, known: &Snapshot) -> Verdict {
    let Change::Create(approval) = *change else { return Verdict::default() };
    match known.catalog.tenants().of_namespace(&approval.namespace().unwrap_or_default()) {
        Ok(tenant) if tenant.suspended.is_some() => Verdict::refused(suspended(tenant)),
        Ok(_) => Verdict::default(),
        Err(refusal) => Verdict::refused(refusal),
    }
}

/// The resource that is decided on, as the API server has it now.
async fn target(
    approval: &ChangeApproval,
    namespace: &str,
    this: &Reviewer,
) -> Result<Option<EventTopic>, Refusal> {
    let GovernedKind::EventTopic = approval.spec.target.kind;
    this.kubernetes.get(namespace, &approval.spec.target.name).await.map_err(|error| {
        tracing::warn!(%error, "what is decided on cannot be read");
        unknown()
    })
}

/// Whom the webhook has seen decide, on what, and when.
pub(super) struct Seen<'a> {
    pub(super) namespace: &'a str,
    pub(super) user: &'a User,
    pub(super) rules: &'a Rules,
    pub(super) key: &'a SigningKey,
    pub(super) now: Timestamp,
}

/// Writes into a decision what nobody else may say, and seals it.
pub(super) async fn complete(
    approval: &ChangeApproval,
    seen: &Seen<'_>,
    this: &Reviewer,
) -> Result<Patch, Refusal> {
    let (username, groups) = (seen.user.username.clone(), seen.rules.of_interest(&seen.user.groups));
    let (name, somebody) = (&approval.spec.target.name, UserInfo::in_groups(&username, &groups));
    let (topic, revocable) = tokio::join!(
        target(approval, seen.namespace, this),
        this.kubernetes.is_allowed::<EventTopic>(somebody, APPROVE, seen.namespace, name),
    );
    let revocable = revocable.map_err(|error| {
        tracing::warn!(%error, "what somebody is allowed cannot be asked");
        unknown()
    })?;
    let approver = Approver { username, groups, revocable };
    Ok(Patch(sealed(approval, topic?.as_ref(), approver, seen)))
}

fn sealed(
    approval: &ChangeApproval,
    topic: Option<&EventTopic>,
    approver: Approver,
    seen: &Seen<'_>,
) -> Vec<PatchOperation> {
    // Kubernetes' times end at the microsecond at most, and so does this for readers.
    let at = Timestamp::from_millisecond(seen.now.as_millisecond()).unwrap_or(seen.now);
    let mut stored = approval.clone();
    let target = &mut stored.spec.target;
    target.uid = topic.and_then(ResourceExt::uid);
    target.generation = topic.and_then(|topic| topic.metadata.generation);
    let seal = seen.key.seal(&statement(seen.namespace, &stored, &approver, at));
    let owner = topic.and_then(|topic| topic.owner_ref(&())).map(|mut owner| {
        (owner.controller, owner.block_owner_deletion) = (Some(false), Some(false));
        owner
    });
    let field = |path: &[&str], before: bool, after: Option<serde_json::Value>| match after {
        Some(value) => Some(add(path, value)),
        None => before.then(|| remove(path)),
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
        // It goes with what it is about, and with nothing else.
        field(
            &["metadata", "ownerReferences"],
            approval.metadata.owner_references.is_some(),
            owner.map(|owner| json!([owner])),
        ),
    ];
    operations.into_iter().flatten().collect()
}

/// Answers whether somebody may decide so.
pub(super) async fn decide(change: &Change<'_, ChangeApproval>, user: &User, this: &Reviewer) -> Verdict {
    let Change::Create(approval) = *change else { return Verdict::default() };
    match may_decide(approval, user, this).await {
        Ok(()) => Verdict::default(),
        Err(refusal) => Verdict::refused(refusal),
    }
}

async fn may_decide(approval: &ChangeApproval, user: &User, this: &Reviewer) -> Result<(), Refusal> {
    let namespace = approval.namespace().unwrap_or_default();
    let tenant = this.cache.ask(|known| known.catalog.tenants().of_namespace(&namespace).cloned());
    let rules = &tenant.ok_or_else(unknown)??.approval;
    let (_, seals) = this.seal_keys.now().ok_or_else(unknown)?;
    let name = &approval.spec.target.name;
    let (topic, is_allowed, stored) = tokio::join!(
        target(approval, &namespace, this),
        this.kubernetes.is_allowed::<EventTopic>(user.somebody(), APPROVE, &namespace, name),
        this.kubernetes.list_in::<ChangeApproval>(&namespace),
    );
    let cannot = |error: &dyn std::fmt::Display| {
        tracing::warn!(%error, "a decision cannot be judged");
        unknown()
    };
    let topic = topic?;
    let is_allowed = is_allowed.map_err(|error| cannot(&error))?;
    let stored = stored.map_err(|error| cannot(&error))?;
    let target = as_target(approval, &namespace, topic.as_ref(), &seals);
    let by = Approving { username: &user.username, groups: &user.groups, is_allowed };
    review(approval, &target, by, rules)?;
    let decision = is_sealed(approval, &target.subject, user, rules, &seals)?;
    match stored.iter().find(|other| is_again(other, &decision, &target.subject, &seals)) {
        None => Ok(()),
        Some(other) => Err(Refusal::new(
            Reason::ApprovalNotAllowed,
            format!(
                "{} has decided so already, in ChangeApproval {}: one person counts once, under whatever name",
                user.username,
                other.name_any()
            ),
        )),
    }
}

fn as_target(
    approval: &ChangeApproval,
    namespace: &str,
    topic: Option<&EventTopic>,
    seals: &TrustedKeys,
) -> Target {
    let Some(topic) = topic else {
        let subject = Subject {
            kind: approval.spec.target.kind,
            namespace: namespace.to_owned(),
            name: approval.spec.target.name.clone(),
            uid: None,
            generation: 0,
            created: None,
        };
        return Target { subject, hash: None, request: None };
    };
    let (subject, hash) = (Subject::topic(topic), SpecHash::of(&topic.spec));
    let request = Request::verified(topic, &subject, &hash, &seals.webhook);
    Target { subject, hash: Some(hash), request }
}

/// What arrives is what the mutating part has sealed for this user, a moment ago and about what is still
/// there.
fn is_sealed(
    approval: &ChangeApproval,
    subject: &Subject,
    user: &User,
    rules: &Rules,
    seals: &TrustedKeys,
) -> Result<VerifiedDecision, Refusal> {
    let decision = VerifiedDecision::verified(approval, subject, &seals.webhook).filter(|decision| {
        decision.approver.username == user.username
            && decision.approver.groups == rules.of_interest(&user.groups)
    });
    let decision = decision.ok_or_else(|| {
        Refusal::at(
            Reason::ApprovalNotAllowed,
            "spec.seal",
            "this decision was not sealed for you: install the mutating part of the webhook as well \
             (eventcenter webhooks), and let nothing else change ChangeApprovals",
        )
    })?;
    if (&decision.uid, decision.generation) != (&subject.uid, subject.generation) {
        let Subject { kind, name, .. } = subject;
        return Err(Refusal::at(
            Reason::ApprovalOutdated,
            "spec.target",
            format!("{kind:?} {name} has changed at this moment: look at it again"),
        ));
    }
    Ok(decision)
}

/// Whether a decision that is stored is the same one, of the same person.
fn is_again(
    other: &ChangeApproval,
    decision: &VerifiedDecision,
    subject: &Subject,
    seals: &TrustedKeys,
) -> bool {
    VerifiedDecision::verified(other, subject, &seals.webhook).is_some_and(|other| {
        (&other.uid, other.generation, other.action, other.decision, &other.hash)
            == (&decision.uid, decision.generation, decision.action, decision.decision, &decision.hash)
            && person::same(&other.approver.username, &decision.approver.username)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Approval;
    use crate::domain::approval::PublicKeys;
    use crate::domain::testing::topic;

    #[test]
    fn what_is_sealed_is_what_is_stored() {
        let declared: Approval =
            serde_yaml::from_str("{rules: [{changes: [Any], groups: [a]}]}").expect("rules");
        let rules = Rules::read(Some(&declared)).expect("rules");
        let key = SigningKey::of_seed(&"1".repeat(64)).expect("a key");
        let seals = TrustedKeys { webhook: PublicKeys::read(&key.public()), ..TrustedKeys::default() };
        let user = User { username: "alice".into(), groups: vec!["a".into(), "z".into()], ..User::default() };
        let now = "2026-01-01T00:00:00.123456789Z".parse().expect("a time");
        let seen = Seen { namespace: "shop", user: &user, rules: &rules, key: &key, now };
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
                    json_patch::patch(&mut approval, &Patch(sealed(&typed, topic, approver.clone(), &seen)))
                        .expect("it fits");
                    let stored: ChangeApproval = serde_json::from_value(approval).expect("an approval");
                    let subject = as_target(&stored, "shop", topic, &seals).subject;
                    let decision = is_sealed(&stored, &subject, &user, &rules, &seals).expect("it is sealed");
                    assert_eq!((decision.uid, decision.generation), (subject.uid, subject.generation));
                    assert_eq!(decision.approver.groups, ["a"], "nobody learns of the others");
                    assert_eq!(stored.owner_references().len(), usize::from(topic.is_some()));
                }
            }
        }
    }
}
