//! One file for each kind that the webhook reviews.
//!
//! A kind implements [`Admit`], and a governed one [`AdmitGoverned`] as well; [`Handlers`] finds it by the group and kind of
//! a request.

mod change_approval;
mod config_map;
mod event_topic;
mod kafka_cluster;
mod scheduled_task;
mod task_template;
mod tenant;

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use json_patch::PatchOperation;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;

use super::cache::Snapshot;
use super::context::ReviewContext;
use super::outcome::{NotReady, Outcome};
use super::request::{Operation, Request, User};
use super::target::{GovernedKind, GovernedKinds};
use super::{approval, mutate};
use crate::api::{ChangeApproval, EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};
use crate::domain::admission::{Change, Verdict};
use crate::domain::approval::{Governed, person};

/// How the webhook reviews a kind.
pub trait Admit: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static {
    /// Judges a change from memory.
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict;

    /// Makes the checks that need a request to Kubernetes, if [`Admit::judge`] refuses nothing.
    fn inspect(
        _change: &Change<'_, Self>,
        _user: &User,
        _context: &ReviewContext,
    ) -> impl Future<Output = Verdict> + Send {
        std::future::ready(Verdict::default())
    }
}

/// How the webhook reviews a governed kind: by the approval rules of its tenant, after [`Admit`] has refused nothing.
pub trait AdmitGoverned: Admit + Governed + kube::Resource<Scope = NamespaceResourceScope> {
    /// What a new object gets besides the annotations that name its requesters.
    fn defaults(&self) -> Vec<PatchOperation> {
        Vec::new()
    }

    /// What another user than the operator removes from an object and gets back.
    fn restore(&self, _old: &Self) -> Vec<PatchOperation> {
        Vec::new()
    }
}

/// How the webhook completes the objects of a kind that need it.
trait Complete: Admit {
    /// Completes an object that is created or updated.
    fn complete(request: &Request<'_>, context: &ReviewContext) -> impl Future<Output = Outcome> + Send;
}

type Review = for<'a> fn(&'a Request<'a>, &'a ReviewContext) -> BoxFuture<'a, Outcome>;

/// How the webhook reviews one kind.
#[derive(Clone, Debug)]
pub struct Handler {
    group: Cow<'static, str>,
    kind: Cow<'static, str>,
    validate: Review,
    /// `None` if nothing is completed.
    mutate: Option<Review>,
    /// How ChangeApprovals read their targets; `None` if the kind is not governed.
    target: Option<GovernedKind>,
}

impl Handler {
    /// The handler of a kind whose changes need no approval.
    #[must_use]
    pub fn of<K: Admit>() -> Self {
        Self {
            group: K::group(&()),
            kind: K::kind(&()),
            validate: |request, context| Box::pin(validate::<K>(request, context)),
            mutate: None,
            target: None,
        }
    }

    /// The handler of a governed kind.
    #[must_use]
    pub fn governed<K: AdmitGoverned>() -> Self {
        Self {
            validate: |request, context| Box::pin(validate_governed::<K>(request, context)),
            mutate: Some(|request, context| Box::pin(complete_governed::<K>(request, context))),
            target: Some(GovernedKind::of::<K>()),
            ..Self::of::<K>()
        }
    }

    fn completing<K: Complete>() -> Self {
        Self { mutate: Some(|request, context| Box::pin(K::complete(request, context))), ..Self::of::<K>() }
    }

    /// Answers whether a change is allowed.
    pub(super) async fn validate(&self, request: &Request<'_>, context: &ReviewContext) -> Outcome {
        (self.validate)(request, context).await
    }

    /// Completes an object.
    pub(super) async fn mutate(&self, request: &Request<'_>, context: &ReviewContext) -> Outcome {
        match (self.mutate, request.operation) {
            (Some(mutate), Operation::Create | Operation::Update) => mutate(request, context).await,
            _ => Outcome::Allowed(Vec::new()),
        }
    }
}

/// The handlers of all kinds.
#[derive(Clone, Debug)]
pub(super) struct Handlers(Arc<[Handler]>);

impl Handlers {
    /// These handlers.
    pub(super) fn new(handlers: impl IntoIterator<Item = Handler>) -> Self {
        Self(handlers.into_iter().collect())
    }

    /// The handlers of the product's kinds, and additional ones.
    #[must_use]
    pub(super) fn of_product(additional: Vec<Handler>) -> Self {
        let product = [
            Handler::of::<Tenant>(),
            Handler::of::<KafkaCluster>(),
            Handler::governed::<EventTopic>(),
            Handler::governed::<TaskTemplate>(),
            Handler::governed::<ScheduledTask>(),
            Handler::completing::<ChangeApproval>(),
            Handler::of::<ConfigMap>(),
        ];
        Self::new(product.into_iter().chain(additional))
    }

    /// The governed kinds, as the targets of ChangeApprovals.
    pub(super) fn targets(&self) -> GovernedKinds {
        GovernedKinds::new(self.0.iter().filter_map(|handler| handler.target))
    }

    /// The handler for a request; `None` if the webhook does not review its kind.
    pub(super) fn find(&self, request: &Request<'_>) -> Option<&Handler> {
        let kind = &request.kind;
        self.0.iter().find(|handler| handler.group == kind.group && handler.kind == kind.kind)
    }
}

async fn validate<K: Admit>(request: &Request<'_>, context: &ReviewContext) -> Outcome {
    let objects = match Objects::<K>::of(request) {
        Ok(objects) => objects,
        Err(outcome) => return outcome,
    };
    match objects.change() {
        Some(change) => judge(&change, request, context).await.map_or_else(Outcome::from, Outcome::from),
        None => Outcome::Allowed(Vec::new()),
    }
}

async fn validate_governed<K: AdmitGoverned>(request: &Request<'_>, context: &ReviewContext) -> Outcome {
    let objects = match Objects::<K>::of(request) {
        Ok(objects) => objects,
        Err(outcome) => return outcome,
    };
    let Some(change) = objects.change() else { return Outcome::Allowed(Vec::new()) };
    match judge(&change, request, context).await {
        Ok(verdict) if verdict.refusals.is_empty() => {
            verdict.and(approval::judge(&change, &request.user_info, context).await).into()
        }
        result => result.map_or_else(Outcome::from, Outcome::from),
    }
}

async fn complete_governed<K: AdmitGoverned>(request: &Request<'_>, context: &ReviewContext) -> Outcome {
    let is_operator = person::service_account_namespace(&request.user_info.username)
        == Some(context.kubernetes.namespace());
    let complete = |old: Option<&K>, new: &K| match old {
        None => new.defaults(),
        Some(_) if is_operator => Vec::new(),
        Some(old) => new.restore(old),
    };
    mutate::complete_governed(request, context, complete).await
}

/// The objects of a request, as its operation needs them.
enum Objects<K> {
    Create(K),
    Update {
        old: K,
        new: K,
    },
    Delete(K),
    /// An object is deleted that cannot be deserialized.
    DeleteInvalid,
}

impl<K: Admit> Objects<K> {
    fn of(request: &Request<'_>) -> Result<Self, Outcome> {
        // An object that was stored and cannot be deserialized any more does not count: its replacement is judged as new, and
        // it can be deleted.
        let old = request.old_object::<K>().and_then(Result::ok);
        let new = request.object::<K>().transpose();
        let new = new.map_err(|error| Outcome::Invalid(format!("{request}: {error}")))?;
        match (request.operation, old, new) {
            (Operation::Create, _, Some(new)) | (Operation::Update, None, Some(new)) => Ok(Self::Create(new)),
            (Operation::Update, Some(old), Some(new)) => Ok(Self::Update { old, new }),
            (Operation::Delete, Some(old), _) => Ok(Self::Delete(old)),
            (Operation::Delete, None, _) => Ok(Self::DeleteInvalid),
            _ => Err(Outcome::Invalid(format!("{request}: the review has no object"))),
        }
    }

    /// The change to judge.
    fn change(&self) -> Option<Change<'_, K>> {
        match self {
            Self::Create(new) => Some(Change::Create(new)),
            Self::Update { old, new } => Some(Change::Update { old, new }),
            Self::Delete(old) => Some(Change::Delete(old)),
            Self::DeleteInvalid => None,
        }
    }
}

/// Judges a change by what is particular to its kind.
async fn judge<K: Admit>(
    change: &Change<'_, K>,
    request: &Request<'_>,
    context: &ReviewContext,
) -> Result<Verdict, NotReady> {
    let verdict = context.judge(|snapshot| K::judge(change, snapshot)).await?;
    Ok(match verdict.refusals.is_empty() {
        true => verdict.and(K::inspect(change, &request.user_info, context).await),
        false => verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{GROUP, Mutation, kinds};

    #[test]
    fn every_kind_of_the_table_has_its_handler() {
        let Handlers(handlers) = Handlers::of_product(Vec::new());
        for kind in kinds() {
            let handler = handlers.iter().find(|handler| handler.group == GROUP && handler.kind == kind.name);
            let handler = handler.unwrap_or_else(|| panic!("{} has no handler", kind.name));
            assert_eq!(handler.target.is_some(), kind.kind().is_governed(), "{}: governed", kind.name);
            assert_eq!(
                handler.mutate.is_some(),
                kind.mutation != Mutation::Never,
                "{}: completed",
                kind.name
            );
        }
    }
}
