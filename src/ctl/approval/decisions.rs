//! `eventctl approvals`: what was decided on a resource.

use clap::Args;
use kube::ResourceExt;

use super::super::login::{Flags, Named, run};
use super::super::output::Answer;
use super::{look, now, shown};
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
    resource: Vec<String>,
    #[command(flatten)]
    flags: Flags,
}

pub(in super::super) fn answer(arguments: &Approvals) -> anyhow::Result<Answer> {
    let named = Named::read(&arguments.resource)?;
    run(async {
        let session = arguments.flags.open().await?;
        let namespace = arguments.flags.place(&session);
        let seen = look(&session, &namespace, &named).await?;
        let generation = seen.topic.metadata.generation;
        let is_current = |decision: &ChangeApproval| {
            decision.spec.spec_hash == seen.hash.as_str()
                && decision.spec.target.uid == seen.topic.uid()
                && decision.spec.target.generation == generation
        };
        let found = session.decisions(&namespace).await?;
        let mut found: Vec<_> = found
            .into_iter()
            .filter_map(|decision| decision.0.ok())
            .filter(|decision| {
                decision.spec.target.kind == named.kind && decision.spec.target.name == named.name
            })
            .map(|decision| {
                let is_current = is_current(&decision);
                (decision, is_current)
            })
            .collect();
        found.sort_by_key(|(decision, _)| decision.spec.at);
        let text = match found.as_slice() {
            [] => format!("nobody has decided on {}", shown::place(&named, &namespace)),
            found => shown::decisions(found, now()),
        };
        Ok(Answer { yes: true, text })
    })
}
