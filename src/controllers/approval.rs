//! What the controllers know of approvals: whose seals are believed, what was decided on which resource, and what
//! they themselves have noted as in force.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use eventcenter_sdk::Reason;
use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use super::{Audit, Context, Watched};
use crate::api::{APPROVE, Approver, ChangeApproval, Decision, EventTopic};
use crate::domain::ObjectRef;
use crate::domain::approval::authorization::VerifiedDecision;
use crate::domain::approval::{ActiveRecord, PublicKeys, SigningKey, SpecHash, Subject};
use crate::domain::audit::{self, Action, Actor, LogName, Outcome, Target, Via};
use crate::kubernetes::{KubeClient, SealKey, SealRole, TrustedKeys, UserInfo, WriteError};

/// How long to wait before a key is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// What the controllers know of approvals.
#[derive(Debug)]
pub(super) struct Approvals {
    key: SigningKey,
    seals: RwLock<TrustedKeys>,
    given: Mutex<Given>,
    noted: Mutex<HashMap<String, ActiveRecord>>,
    known: watch::Sender<Known>,
}

/// What has been read since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    seals: bool,
    approvals: bool,
}

/// The ChangeApprovals, by what they decide on.
#[derive(Debug, Default)]
struct Given {
    by_target: HashMap<ObjectRef, BTreeMap<String, Arc<ChangeApproval>>>,
    targets: HashMap<ObjectRef, ObjectRef>,
}

impl Given {
    /// Notes one. Returns what it decides on.
    fn set(&mut self, approval: ChangeApproval) -> ObjectRef {
        let this = ObjectRef::of(&approval);
        let target = ObjectRef {
            kind: format!("{:?}", approval.spec.target.kind).into(),
            namespace: this.namespace.clone(),
            name: approval.spec.target.name.as_str().into(),
        };
        // What it decides on never changes, unless another one takes its name.
        self.remove(&this);
        self.targets.insert(this.clone(), target.clone());
        self.by_target.entry(target.clone()).or_default().insert(this.name.to_string(), Arc::new(approval));
        target
    }

    /// Forgets one. Returns what it decided on.
    fn remove(&mut self, this: &ObjectRef) -> Option<ObjectRef> {
        let target = self.targets.remove(this)?;
        if let Some(all) = self.by_target.get_mut(&target) {
            all.remove(&*this.name);
            if all.is_empty() {
                self.by_target.remove(&target);
            }
        }
        Some(target)
    }
}

impl Approvals {
    /// Begins to know, with the controllers' own key.
    pub(super) fn new(key: SigningKey) -> Self {
        Self {
            key,
            seals: RwLock::default(),
            given: Mutex::default(),
            noted: Mutex::default(),
            known: watch::Sender::default(),
        }
    }

    /// Waits until all that there is has been read: before that, what is approved would be taken for unapproved.
    pub(super) async fn known(&self) {
        // The sender is here, so it is not gone.
        drop(self.known.subscribe().wait_for(|known| known.seals && known.approvals).await);
    }

    /// The controllers' own key.
    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The keys of who sees people ask and decide.
    pub(super) fn webhook(&self) -> PublicKeys {
        self.seals.read().unwrap_or_else(PoisonError::into_inner).webhook.clone()
    }

    /// What was decided on a content of a resource, as far as that is sealed. What was decided on others stays as long
    /// as the resource does, and is not worth a signature's check each time.
    pub(super) fn decisions(
        &self,
        subject: &Subject,
        hash: &SpecHash,
        keys: &PublicKeys,
    ) -> Vec<VerifiedDecision> {
        let target = ObjectRef {
            kind: format!("{:?}", subject.kind).into(),
            namespace: subject.namespace.as_str().into(),
            name: subject.name.as_str().into(),
        };
        let all: Vec<_> = self
            .given()
            .by_target
            .get(&target)
            .map(|all| all.values().cloned().collect())
            .unwrap_or_default();
        let of_this = all.iter().filter(|approval| approval.spec.spec_hash == hash.as_str());
        of_this.filter_map(|approval| VerifiedDecision::verified(approval, subject, keys)).collect()
    }

    /// What is noted as in force: what the status says, or what this process has noted later. A status that was read
    /// may be older than what was written, or somebody may have put back an old one.
    pub(super) fn record(&self, topic: &EventTopic) -> Option<ActiveRecord> {
        let said = {
            let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
            ActiveRecord::verified(topic, &seals.controllers)
        };
        ActiveRecord::newer(self.noted().get(&topic.uid().unwrap_or_default()).cloned(), said)
    }

    /// Whether this process has noted, or found in order, what is in force of a resource.
    pub(super) fn remembers(&self, topic: &EventTopic) -> bool {
        self.noted().contains_key(&topic.uid().unwrap_or_default())
    }

    /// Remembers what was noted in a status.
    pub(super) fn remember(&self, topic: &EventTopic, record: ActiveRecord) {
        self.noted().insert(topic.uid().unwrap_or_default(), record);
    }

    /// Forgets a resource: it is gone, or needs no approval.
    pub(super) fn forget(&self, uid: Option<&str>) {
        if let Some(uid) = uid {
            self.noted().remove(uid);
        }
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<String, ActiveRecord>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves out the approvals of those who have lost the right to approve since, as far as RBAC gave it to their name
/// and the groups that are known of them.
pub(super) async fn without_revoked(
    decisions: Vec<VerifiedDecision>,
    subject: &Subject,
    kubernetes: &KubeClient,
) -> Result<Vec<VerifiedDecision>, WriteError> {
    let Subject { namespace, name, .. } = subject;
    let mut kept = Vec::with_capacity(decisions.len());
    for decision in decisions {
        let Approver { username, groups, revocable } = &decision.approver;
        let somebody = UserInfo::in_groups(username, groups);
        let is_lost = *revocable
            && decision.decision == Decision::Approve
            && !kubernetes.is_allowed::<EventTopic>(somebody, APPROVE, namespace, name).await?;
        if is_lost {
            tracing::info!(username, "has lost the right to approve, so the approval does not count");
        } else {
            kept.push(decision);
        }
    }
    Ok(kept)
}

/// A key of the controllers' own. Without the one for approvals nothing can be noted as in force, so nothing begins
/// before it is there. One that nobody knew before is recorded.
pub(super) async fn key(kubernetes: &KubeClient, audit: &Audit, sealer: SealRole) -> SigningKey {
    loop {
        match kubernetes.ensure_signing_key(sealer).await {
            Ok(SealKey { key, is_new: false }) => return key,
            Ok(SealKey { key, is_new: true }) => {
                audit.recorder.enqueue(made(&key, sealer, kubernetes.namespace(), &audit.instance)).await;
                return key;
            }
            Err(error) => tracing::warn!(%error, "the key for seals is not there yet; it is asked for again"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What is recorded of a new key.
fn made(key: &SigningKey, sealer: SealRole, namespace: &str, instance: &str) -> audit::Event {
    let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
    let target = Target {
        kind: "Secret".into(),
        namespace: Some(namespace.to_owned()),
        name: sealer.secret(),
        uid: None,
    };
    audit::Event {
        target: Some(target),
        message: Some(format!("a new key for signatures, with the public half {}", key.public())),
        ..audit::Event::new(LogName::platform(), actor, Action::MakeKey, Outcome::Succeeded)
    }
}

/// Follows whose seals are believed, until it is dropped.
pub(super) async fn follow_seals(context: &Context) {
    let mut changes = std::pin::pin!(context.kubernetes.watch_trusted_keys());
    while let Some(mut seals) = changes.next().await {
        // Whatever the ConfigMap says, the controllers believe themselves.
        seals.controllers.extend(context.approvals.key.public().as_str());
        let before = {
            let mut known = context.approvals.seals.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, seals.clone())
        };
        context.approvals.known.send_modify(|known| known.seals = true);
        if before == seals {
            continue;
        }
        for topic in context.topics.state() {
            let Ok(topic) = &topic.0 else { continue };
            if context.catalog.lock().governing_tenant(topic).is_some() {
                context.topic_queue.enqueue(topic.namespace().as_deref(), &topic.name_any());
            }
        }
    }
}

/// Follows what is decided, and wakes what it is decided on, until it is dropped.
pub(super) async fn follow(context: &Context) {
    let mut events = std::pin::pin!(context.kubernetes.watch::<ChangeApproval>());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(approval)) => {
                listed.insert(ObjectRef::of(&approval));
                learn(context, approval);
            }
            Ok(Event::Apply(approval)) => learn(context, approval),
            Ok(Event::Delete(approval)) => forget(context, &ObjectRef::of(&approval)),
            Ok(Event::InitDone) => {
                let gone: Vec<ObjectRef> = {
                    let given = context.approvals.given();
                    given.targets.keys().filter(|known| !listed.contains(*known)).cloned().collect()
                };
                gone.iter().for_each(|approval| forget(context, approval));
                context.approvals.known.send_modify(|known| known.approvals = true);
            }
            Err(error) => tracing::warn!(kind = "ChangeApproval", %error, "watching"),
        }
    }
}

fn learn(context: &Context, approval: Watched<ChangeApproval>) {
    let this = ObjectRef::of(&approval);
    let target = match approval.0 {
        Ok(approval) => Some(context.approvals.given().set(approval)),
        Err(invalid) => {
            tracing::warn!(
                reason = %Reason::InvalidResource,
                namespace = %this.namespace,
                resource = %this.name,
                error = invalid.error,
                "a ChangeApproval cannot be read"
            );
            context.approvals.given().remove(&this)
        }
    };
    wake(context, target);
}

fn forget(context: &Context, approval: &ObjectRef) {
    let target = context.approvals.given().remove(approval);
    wake(context, target);
}

fn wake(context: &Context, target: Option<ObjectRef>) {
    let Some(target) = target else { return };
    // It may decide on what does not exist yet.
    let topic = reflector::ObjectRef::new(&target.name).within(&target.namespace);
    if context.topics.get(&topic).is_some() {
        context.topic_queue.enqueue(Some(&target.namespace), &target.name);
    }
}
