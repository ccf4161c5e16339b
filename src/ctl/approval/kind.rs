//! The governed kinds, with the commands on their resources.

use futures::future::LocalBoxFuture;

use super::super::output::Answer;
use super::super::resource_arg::ResourceArg;
use super::decide::{self, DecideArgs};
use super::decisions::{self, Approvals};
use super::diff::{self, Diff};
use super::pending::{self, PendingItem};
use super::resource::GovernedResource;
use super::target::Target;
use super::withdraw::{self, Withdraw};
use crate::api::{Decision, EventTopic, Kind, ScheduledTask, TaskTemplate};
use crate::kubernetes::Session;

type Run<Arguments, Subject> =
    for<'a> fn(&'a Arguments, Subject) -> LocalBoxFuture<'a, anyhow::Result<Answer>>;

type Decide = for<'a> fn(&'a DecideArgs, Target, Decision) -> LocalBoxFuture<'a, anyhow::Result<Answer>>;

type ListPending =
    for<'a> fn(&'a Session, Option<&'a str>) -> LocalBoxFuture<'a, anyhow::Result<Vec<PendingItem>>>;

/// The commands on the resources of one kind.
pub(super) struct GovernedKind {
    kind: fn() -> Kind,
    pub(super) list_pending: ListPending,
    pub(super) diff: Run<Diff, Target>,
    pub(super) decide: Decide,
    pub(super) withdraw: Run<Withdraw, ResourceArg>,
    pub(super) list_decisions: Run<Approvals, ResourceArg>,
}

/// The governed kinds. Another one is registered here.
pub(super) const GOVERNED_KINDS: &[GovernedKind] = &[
    GovernedKind::of::<EventTopic>(),
    GovernedKind::of::<TaskTemplate>(),
    GovernedKind::of::<ScheduledTask>(),
];

impl GovernedKind {
    const fn of<K: GovernedResource>() -> Self {
        Self {
            kind: Kind::of::<K>,
            list_pending: |session, namespace| Box::pin(pending::list::<K>(session, namespace)),
            diff: |arguments, target| Box::pin(diff::diff::<K>(arguments, target)),
            decide: |arguments, target, decision| Box::pin(decide::decide::<K>(arguments, target, decision)),
            withdraw: |arguments, resource| Box::pin(withdraw::withdraw::<K>(arguments, resource)),
            list_decisions: |arguments, resource| Box::pin(decisions::list::<K>(arguments, resource)),
        }
    }

    /// Finds a kind.
    pub(super) fn find(kind: &Kind) -> anyhow::Result<&'static Self> {
        let found = GOVERNED_KINDS.iter().find(|governed| (governed.kind)() == *kind);
        found.ok_or_else(|| anyhow::anyhow!("this program has no commands for {kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::KindInfo;

    #[test]
    fn every_governed_kind_of_the_table_has_commands() {
        for kind in KindInfo::governed() {
            assert!(GovernedKind::find(&kind.kind()).is_ok(), "{}", kind.name);
        }
    }
}
