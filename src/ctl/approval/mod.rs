//! `eventctl pending`, `diff`, `approve`, `reject`, `withdraw` and `approvals`: the approval of changes.
//!
//! Each command acts with the rights of the user who runs it. The operator's status says that a change is pending and which
//! approvals are missing; its hash and its differences are computed here from the declared spec.
//!
//! - `kind`: the governed kinds. `target`: the resource or manifest that a command is about.
//! - `resource`: a stored resource. `proposal`: a manifest that is not applied yet.
//! - `pending`, `diff`, `decide`, `withdraw`, `decisions`: one command each. `confirm`, `render`: dialogue and text.
//!
//! Deliberately absent: whether a user may decide, which the webhook checks, and whether a change takes effect, which the
//! controllers decide.

mod confirm;
mod decide;
mod decisions;
mod diff;
mod kind;
mod pending;
mod proposal;
mod render;
mod resource;
mod target;
mod withdraw;

pub(super) use decide::{Approve, Reject};
pub(super) use decisions::Approvals;
pub(super) use diff::Diff;
pub(super) use pending::Pending;
pub(super) use withdraw::Withdraw;

use super::login::block_on;
use super::output::Answer;
use super::resource_arg::ResourceArg;
use crate::api::Decision;
use decide::DecideArgs;
use kind::{GOVERNED_KINDS, GovernedKind};

/// Runs `eventctl pending`.
pub(super) fn pending(arguments: &Pending) -> anyhow::Result<Answer> {
    let Pending { all_namespaces, output, login } = arguments;
    block_on(async {
        let session = login.open().await?;
        let namespace = login.namespace_in(&session);
        let namespace = (!all_namespaces).then_some(namespace.as_str());
        let mut items = Vec::new();
        for kind in GOVERNED_KINDS {
            items.extend((kind.list_pending)(&session, namespace).await?);
        }
        items.sort_by_key(|item| item.change.since);
        Ok(Answer { yes: true, text: pending::render(&items, *output, resource::now())? })
    })
}

/// Runs `eventctl diff`.
pub(super) fn diff(arguments: &Diff) -> anyhow::Result<Answer> {
    let target = arguments.target.read(arguments.login.namespace.as_deref())?;
    let kind = GovernedKind::find(target.kind())?;
    block_on((kind.diff)(arguments, target))
}

/// Runs `eventctl approve`.
pub(super) fn approve(arguments: &Approve) -> anyhow::Result<Answer> {
    decide(&arguments.decide, Decision::Approve)
}

/// Runs `eventctl reject`.
pub(super) fn reject(arguments: &Reject) -> anyhow::Result<Answer> {
    decide(&arguments.decide, Decision::Reject)
}

fn decide(arguments: &DecideArgs, decision: Decision) -> anyhow::Result<Answer> {
    let target = arguments.target.read(arguments.login.namespace.as_deref())?;
    let kind = GovernedKind::find(target.kind())?;
    block_on((kind.decide)(arguments, target, decision))
}

/// Runs `eventctl withdraw`.
pub(super) fn withdraw(arguments: &Withdraw) -> anyhow::Result<Answer> {
    let resource = ResourceArg::parse(&arguments.resource)?;
    let kind = GovernedKind::find(&resource.kind)?;
    block_on((kind.withdraw)(arguments, resource))
}

/// Runs `eventctl approvals`.
pub(super) fn approvals(arguments: &Approvals) -> anyhow::Result<Answer> {
    let resource = ResourceArg::parse(&arguments.resource)?;
    let kind = GovernedKind::find(&resource.kind)?;
    block_on((kind.list_decisions)(arguments, resource))
}
