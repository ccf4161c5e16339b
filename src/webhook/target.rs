//! The resources that ChangeApprovals decide on, of every governed kind.

use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::de::DeserializeOwned;

use crate::api::{APPROVE, HasApproval, Kind};
use crate::domain::approval::eligibility::DecisionTarget;
use crate::domain::approval::{ChangeRequest, Governed, SpecHash};
use crate::domain::signature::PublicKeys;
use crate::domain::{ObjectRef, Revisioned};
use crate::kubernetes::{KubeClient, UserInfo, WriteError};

/// A resource that is decided on.
pub(super) struct Target {
    /// What the decision is about.
    pub(super) decision: DecisionTarget,
    /// The resource as the owner of its approvals; `None` if it does not exist.
    pub(super) owner: Option<OwnerReference>,
}

type Read =
    for<'a> fn(&'a KubeClient, &'a str, &'a str, &'a PublicKeys) -> BoxFuture<'a, Result<Target, WriteError>>;

type MayApprove =
    for<'a> fn(&'a KubeClient, UserInfo<'a>, &'a str, &'a str) -> BoxFuture<'a, Result<bool, WriteError>>;

/// How the resources of one governed kind are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct GovernedKind {
    kind: fn() -> Kind,
    read: Read,
    may_approve: MayApprove,
}

impl GovernedKind {
    /// A governed kind.
    #[must_use]
    pub(super) fn of<K>() -> Self
    where
        K: Governed
            + DeserializeOwned
            + kube::Resource<Scope = kube::core::NamespaceResourceScope>
            + Send
            + Sync
            + 'static,
    {
        Self {
            kind: Kind::of::<K>,
            read: |kubernetes, namespace, name, keys| Box::pin(read::<K>(kubernetes, namespace, name, keys)),
            may_approve: |kubernetes, user, namespace, name| {
                Box::pin(kubernetes.is_allowed::<K>(user, APPROVE, namespace, name))
            },
        }
    }

    /// Reads a resource as the API server has it.
    pub(super) async fn read(
        &self,
        kubernetes: &KubeClient,
        namespace: &str,
        name: &str,
        keys: &PublicKeys,
    ) -> Result<Target, WriteError> {
        (self.read)(kubernetes, namespace, name, keys).await
    }

    /// Whether RBAC allows a user the verb `approve` on a resource.
    pub(super) async fn may_approve(
        &self,
        kubernetes: &KubeClient,
        user: UserInfo<'_>,
        namespace: &str,
        name: &str,
    ) -> Result<bool, WriteError> {
        (self.may_approve)(kubernetes, user, namespace, name).await
    }
}

async fn read<K>(
    kubernetes: &KubeClient,
    namespace: &str,
    name: &str,
    keys: &PublicKeys,
) -> Result<Target, WriteError>
where
    K: Governed + DeserializeOwned + kube::Resource<Scope = kube::core::NamespaceResourceScope>,
{
    let Some(resource) = kubernetes.get::<K>(namespace, name).await? else {
        let subject = Revisioned::absent(ObjectRef::new::<K>(namespace, name));
        let decision = DecisionTarget { subject, hash: None, takeover_hash: None, request: None };
        return Ok(Target { decision, owner: None });
    };
    let (subject, hash) = (Revisioned::of(&resource), SpecHash::of(resource.spec()));
    let request = ChangeRequest::verified(&resource, &subject, &hash, keys);
    let pending = resource.status().and_then(HasApproval::pending);
    let takeover_hash = pending
        .filter(|pending| pending.hash == hash.as_str() && pending.generation == subject.generation)
        .and_then(|pending| pending.takeover_hash.clone());
    let decision = DecisionTarget { subject, hash: Some(hash), takeover_hash, request };
    Ok(Target { decision, owner: resource.owner_ref(&()) })
}

/// The governed kinds.
#[derive(Clone, Debug)]
pub(super) struct GovernedKinds(Arc<[GovernedKind]>);

impl GovernedKinds {
    /// These kinds.
    pub(super) fn new(kinds: impl IntoIterator<Item = GovernedKind>) -> Self {
        Self(kinds.into_iter().collect())
    }

    /// Finds a kind.
    pub(super) fn find(&self, kind: &Kind) -> Option<&GovernedKind> {
        self.0.iter().find(|governed| (governed.kind)() == *kind)
    }
}
