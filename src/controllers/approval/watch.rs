//! Follows the trusted keys and the ChangeApprovals, and enqueues the resources that they affect.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use futures::StreamExt;
use kube::ResourceExt;
use kube::core::object::HasStatus;
use kube::runtime::reflector::ObjectRef as StoreRef;
use kube::runtime::watcher::Event;

use super::super::options::Audit;
use super::super::queue::Watched;
use super::super::runtime::Informer;
use super::super::services::Services;
use crate::api::{ChangeApproval, Kind};
use crate::domain::approval::Governed;
use crate::domain::audit::{self, Action, Actor, LogName, Outcome, Target, Via};
use crate::domain::signature::SigningKey;
use crate::domain::{Catalog, ObjectRef};
use crate::kubernetes::{KubeClient, SealKey, SealRole};

/// The pause before the key is requested again.
const KEY_RETRY: Duration = Duration::from_secs(1);

/// The queue of a governed kind.
pub trait GovernedQueue: Send + Sync {
    /// Enqueues a resource, if it exists.
    fn enqueue_existing(&self, namespace: &str, name: &str);
    /// Enqueues all resources that a rule covers.
    fn enqueue_governed(&self, catalog: &Catalog);
    /// Enqueues all resources in these namespaces.
    fn enqueue_namespaces(&self, namespaces: &HashSet<String>);
}

/// The queues of all governed kinds.
pub(in crate::controllers) type GovernedQueues = HashMap<Kind, Arc<dyn GovernedQueue>>;

impl<K> GovernedQueue for Informer<K>
where
    K: Governed + HasStatus + Send + Sync + 'static,
{
    fn enqueue_existing(&self, namespace: &str, name: &str) {
        // The target of an approval may not exist yet.
        if self.objects.get(&StoreRef::new(name).within(namespace)).is_some() {
            self.queue.enqueue(Some(namespace), name);
        }
    }

    fn enqueue_governed(&self, catalog: &Catalog) {
        for object in self.objects.state() {
            let Ok(object) = &object.0 else { continue };
            if catalog.governing_tenant(object).is_some() {
                self.queue.enqueue(object.namespace().as_deref(), &object.name_any());
            }
        }
    }

    fn enqueue_namespaces(&self, namespaces: &HashSet<String>) {
        for object in self.objects.state() {
            let namespace = object.namespace();
            if namespace.as_ref().is_some_and(|namespace| namespaces.contains(namespace)) {
                self.queue.enqueue(namespace.as_deref(), &object.name_any());
            }
        }
    }
}

/// Reads the controllers' signing key, or creates and records it; retries until that succeeds. The controllers start
/// afterwards, because without the key no spec can be recorded as active.
pub async fn wait_for_key(kubernetes: &KubeClient, audit: &Audit, role: SealRole) -> SigningKey {
    loop {
        match kubernetes.ensure_signing_key(role).await {
            Ok(SealKey { key, is_new: false }) => return key,
            Ok(SealKey { key, is_new: true }) => {
                audit
                    .recorder
                    .enqueue(key_created(&key, role, kubernetes.namespace(), &audit.instance))
                    .await;
                return key;
            }
            Err(error) => tracing::warn!(%error, "the signing key is not available; retrying"),
        }
        tokio::time::sleep(KEY_RETRY).await;
    }
}

fn key_created(key: &SigningKey, role: SealRole, namespace: &str, instance: &str) -> audit::Event {
    let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
    let target = Target {
        kind: "Secret".into(),
        namespace: Some(namespace.to_owned()),
        name: role.secret(),
        uid: None,
    };
    audit::Event {
        target: Some(target),
        message: Some(format!("created a signing key with the public key {}", key.public_key())),
        ..audit::Event::new(LogName::platform(), actor, Action::MakeKey, Outcome::Succeeded)
    }
}

/// Follows the trusted keys until dropped.
pub(in crate::controllers) async fn follow_trusted_keys(services: &Services, queues: &GovernedQueues) {
    let mut changes = std::pin::pin!(services.kubernetes.watch_trusted_keys());
    while let Some(trusted) = changes.next().await {
        if services.approvals.set_trusted(trusted) {
            let catalog = services.catalog.lock();
            queues.values().for_each(|queue| queue.enqueue_governed(&catalog));
        }
    }
}

/// Follows the ChangeApprovals until dropped.
pub(in crate::controllers) async fn follow_decisions(services: &Services, queues: &GovernedQueues) {
    let enqueue = |target: &ObjectRef| {
        if let Some(queue) = queues.get(&target.kind) {
            queue.enqueue_existing(&target.namespace, &target.name);
        }
    };
    let mut events = std::pin::pin!(services.kubernetes.watch::<ChangeApproval>());
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(approval)) => {
                listed.insert(ObjectRef::of(&approval));
                insert(services, approval).iter().for_each(enqueue);
            }
            Ok(Event::Apply(approval)) => insert(services, approval).iter().for_each(enqueue),
            Ok(Event::Delete(approval)) => {
                services.approvals.remove_decision(&ObjectRef::of(&approval)).iter().for_each(enqueue);
            }
            Ok(Event::InitDone) => services.approvals.retain_decisions(&listed).iter().for_each(enqueue),
            Err(error) => tracing::warn!(kind = "ChangeApproval", %error, "watching"),
        }
    }
}

fn insert(services: &Services, approval: Watched<ChangeApproval>) -> Option<ObjectRef> {
    let this = ObjectRef::of(&approval);
    match approval.0 {
        Ok(approval) => Some(services.approvals.insert_decision(approval)),
        Err(invalid) => {
            tracing::warn!(
                reason = %Reason::InvalidResource,
                namespace = %this.namespace,
                resource = %this.name,
                error = invalid.error,
                "a ChangeApproval cannot be deserialized"
            );
            services.approvals.remove_decision(&this)
        }
    }
}
