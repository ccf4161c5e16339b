//! Whether a user has the rights that a task needs (SubjectAccessReviews): the operator has more rights than its users, and
//! must not use them for somebody who lacks them.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;

use super::context::ReviewContext;
use super::request::User;
use crate::api::{EventTopic, ScheduledTask, TaskTemplate};
use crate::domain::admission::Change;
use crate::domain::task::rights::{Right, right_of_schedule, rights_of};
use crate::domain::{Catalog, ObjectRef, Refusal};
use crate::kubernetes::{UserInfo, WriteError};

/// The rights that a change needs, in a namespace.
#[derive(Debug, Default)]
pub(super) struct NeededRights {
    namespace: String,
    rights: BTreeSet<(&'static str, Right)>,
}

/// The rights that a change of a task needs. Whoever uses a template needs the right to create what it runs, and not the
/// rights to what the template reads: its author has these.
pub(super) fn of_task(change: &Change<'_, ScheduledTask>, catalog: &Catalog) -> NeededRights {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(_) => return NeededRights::default(),
    };
    if old.is_some_and(|old| old.spec == new.spec) {
        return NeededRights::default();
    }
    let namespace = new.namespace().unwrap_or_default();
    let mut rights = rights_of(new.spec.target.as_ref(), new.spec.on_failure.as_ref());
    rights.extend(right_of_schedule(new.spec.schedule.as_ref()));
    if let Ok(Some(template)) = catalog.tasks().template_of(&namespace, &new.spec) {
        let of_template = rights_of(Some(&template.target), None);
        rights.extend(
            of_template
                .into_iter()
                .filter(|(_, right)| matches!(right, Right::CreateJobs | Right::Publish(_)))
                .map(|(_, right)| ("spec.template", right)),
        );
    }
    NeededRights { namespace, rights }
}

/// The rights that a change of a template needs: also to read the events for which tasks run that use it, since its target gets them.
pub(super) fn of_template(change: &Change<'_, TaskTemplate>, catalog: &Catalog) -> NeededRights {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(_) => return NeededRights::default(),
    };
    if old.is_some_and(|old| old.spec == new.spec) {
        return NeededRights::default();
    }
    let mut rights = rights_of(Some(&new.spec.target), None);
    let topics = catalog.tasks().event_topics_of_users(&ObjectRef::of(new));
    rights.extend(topics.into_iter().map(|topic| ("spec.target", Right::Consume(topic))));
    NeededRights { namespace: new.namespace().unwrap_or_default(), rights }
}

/// The rights that the user lacks, as refusals.
pub(super) async fn check(needed: &NeededRights, user: &User, context: &ReviewContext) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (field, right) in &needed.rights {
        match is_allowed(right, &needed.namespace, user, context).await {
            Ok(true) => {}
            Ok(false) => refusals.push(Refusal::at(
                Reason::Forbidden,
                *field,
                format!(
                    "{} may not do in namespace {} what the task does: grant the right that `kubectl auth can-i {} -n {}` \
                     asks for, or remove it",
                    user.username,
                    needed.namespace,
                    right.describe(),
                    needed.namespace
                ),
            )),
            Err(error) => {
                tracing::warn!(%error, "cannot check a user's rights");
                return vec![Refusal::new(
                    Reason::Internal,
                    "the rights of the user cannot be checked at the moment: try again",
                )];
            }
        }
    }
    refusals
}

async fn is_allowed(
    right: &Right,
    namespace: &str,
    user: &User,
    context: &ReviewContext,
) -> Result<bool, WriteError> {
    let kubernetes = &context.kubernetes;
    let info: UserInfo<'_> = user.user_info();
    match right {
        Right::CreateJobs => kubernetes.is_allowed::<Job>(info, "create", namespace, "").await,
        Right::ReadSecret(name) => kubernetes.is_allowed::<Secret>(info, "get", namespace, name).await,
        Right::CreateToken(name) => {
            kubernetes
                .is_allowed_subresource_in::<ServiceAccount>(info, "create", "token", namespace, name)
                .await
        }
        Right::Consume(name) => {
            kubernetes.is_allowed_subresource_in::<EventTopic>(info, "get", "events", namespace, name).await
        }
        Right::Publish(name) => {
            kubernetes
                .is_allowed_subresource_in::<EventTopic>(info, "create", "events", namespace, name)
                .await
        }
    }
}
