//! `eventctl approvals`: the decisions on a resource.

use clap::Args;

use super::super::login::LoginArgs;
use super::super::output::Answer;
use super::super::resource_arg::ResourceArg;
use super::render;
use super::resource::{GovernedResource, now, read};
use crate::api::ChangeApproval;

const EXAMPLES: &str = "\
Examples:
  eventctl approvals EventTopic orders -n shop

Exit codes: 0 the decisions are listed, 2 an error occurred.";

/// List the decisions on a resource.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Approvals {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required = true)]
    pub(super) resource: Vec<String>,
    #[command(flatten)]
    login: LoginArgs,
}

/// Lists the decisions on a resource, the newest last.
pub(super) async fn list<K: GovernedResource>(
    arguments: &Approvals,
    resource: ResourceArg,
) -> anyhow::Result<Answer> {
    let session = arguments.login.open().await?;
    let namespace = arguments.login.namespace_in(&session);
    let stored = read::<K>(&session, &namespace, &resource).await?;
    let (uid, generation) = (stored.object.meta().uid.as_ref(), stored.object.meta().generation);
    let is_current = |decision: &ChangeApproval| {
        decision.spec.spec_hash == stored.hash.as_str()
            && decision.spec.target.uid.as_ref() == uid
            && decision.spec.target.generation == generation
    };
    let all = session.decisions(&namespace).await?;
    let mut decisions: Vec<_> = all
        .into_iter()
        .filter_map(|decision| decision.0.ok())
        .filter(|decision| {
            decision.spec.target.kind == resource.kind && decision.spec.target.name == resource.name
        })
        .map(|decision| {
            let is_current = is_current(&decision);
            (decision, is_current)
        })
        .collect();
    decisions.sort_by_key(|(decision, _)| decision.spec.at);
    let text = match decisions.as_slice() {
        [] => format!("there are no decisions on {}", resource.in_namespace(&namespace)),
        decisions => render::decisions(decisions, now()),
    };
    Ok(Answer { yes: true, text })
}
