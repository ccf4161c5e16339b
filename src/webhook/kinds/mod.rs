//! One file for each kind that the webhook reviews.
//!
//! A kind implements [`Admit`]; [`Handlers`] finds it by the group and kind of a request.

mod change_approval;
mod config_map;
mod event_topic;
mod kafka_cluster;
mod tenant;

use std::borrow::Cow;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::de::DeserializeOwned;

use super::cache::Snapshot;
use super::context::ReviewContext;
use super::outcome::Outcome;
use super::request::{Operation, Request, User};
use crate::api::{ChangeApproval, EventTopic, KafkaCluster, Tenant};
use crate::domain::admission::{Change, Verdict};

/// How the webhook reviews a kind.
pub(super) trait Admit:
    kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static
{
    /// Judges a change from memory.
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict;

    /// Judges what takes a request to Kubernetes, if [`Admit::judge`] refuses nothing.
    fn inspect(
        _change: &Change<'_, Self>,
        _user: &User,
        _context: &ReviewContext,
    ) -> impl Future<Output = Verdict> + Send {
        std::future::ready(Verdict::default())
    }

    /// Completes an object that is created or updated.
    fn complete(_request: &Request<'_>, _context: &ReviewContext) -> impl Future<Output = Outcome> + Send {
        std::future::ready(Outcome::Allowed(Vec::new()))
    }
}

type Review = for<'a> fn(&'a Request<'a>, &'a ReviewContext) -> BoxFuture<'a, Outcome>;

/// How the webhook reviews one kind.
#[derive(Clone, Debug)]
pub(super) struct Handler {
    group: Cow<'static, str>,
    kind: Cow<'static, str>,
    validate: Review,
    mutate: Review,
}

impl Handler {
    /// The handler of a kind.
    #[must_use]
    pub(super) fn of<K: Admit>() -> Self {
        Self {
            group: K::group(&()),
            kind: K::kind(&()),
            validate: |request, context| Box::pin(validate::<K>(request, context)),
            mutate: |request, context| Box::pin(K::complete(request, context)),
        }
    }

    /// Answers whether a change is allowed.
    pub(super) async fn validate(&self, request: &Request<'_>, context: &ReviewContext) -> Outcome {
        (self.validate)(request, context).await
    }

    /// Answers how an object is completed.
    pub(super) async fn mutate(&self, request: &Request<'_>, context: &ReviewContext) -> Outcome {
        match request.operation {
            Operation::Create | Operation::Update => (self.mutate)(request, context).await,
            Operation::Delete | Operation::Connect => Outcome::Allowed(Vec::new()),
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

    /// The handlers of the product's kinds.
    #[must_use]
    pub(super) fn of_product() -> Self {
        Self::new([
            Handler::of::<Tenant>(),
            Handler::of::<KafkaCluster>(),
            Handler::of::<EventTopic>(),
            Handler::of::<ChangeApproval>(),
            Handler::of::<ConfigMap>(),
        ])
    }

    /// The handler for a request; `None` if the webhook does not review its kind.
    pub(super) fn find(&self, request: &Request<'_>) -> Option<&Handler> {
        let kind = &request.kind;
        self.0.iter().find(|handler| handler.group == kind.group && handler.kind == kind.kind)
    }
}

async fn validate<K: Admit>(request: &Request<'_>, context: &ReviewContext) -> Outcome {
    // An object that was stored and cannot be deserialized any more does not count: its replacement is judged as new, and it
    // can be deleted.
    let old = request.old_object::<K>().and_then(Result::ok);
    let new = match request.object::<K>().transpose() {
        Ok(new) => new,
        Err(error) => return Outcome::Invalid(format!("{request}: {error}")),
    };
    let change = match (request.operation, &old, &new) {
        (Operation::Create, _, Some(new)) | (Operation::Update, None, Some(new)) => Change::Create(new),
        (Operation::Update, Some(old), Some(new)) => Change::Update { old, new },
        (Operation::Delete, Some(old), _) => Change::Delete(old),
        (Operation::Delete, None, _) => return Outcome::Allowed(Vec::new()),
        _ => return Outcome::Invalid(format!("{request}: the review has no object")),
    };
    let mut verdict = match context.judge(|snapshot| K::judge(&change, snapshot)).await {
        Ok(verdict) => verdict,
        Err(not_ready) => return not_ready.into(),
    };
    if verdict.refusals.is_empty() {
        let inspected = K::inspect(&change, &request.user_info, context).await;
        verdict.refusals = inspected.refusals;
        verdict.warnings.extend(inspected.warnings);
    }
    match verdict.refusals.is_empty() {
        true => Outcome::Allowed(verdict.warnings),
        false => Outcome::Refused(verdict.refusals),
    }
}
