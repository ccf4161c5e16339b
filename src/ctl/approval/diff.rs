//! `eventctl diff`: what a pending change, or a manifest, would change.

use clap::Args;

use super::super::login::LoginArgs;
use super::super::output::Answer;
use super::super::resource_arg::ResourceArg;
use super::resource::{GovernedResource, Progress, now, read_observed};
use super::target::{Manifest, Target, TargetArgs};
use super::{proposal, render};

const EXAMPLES: &str = "\
Examples:
  eventctl diff EventTopic orders -n shop
  eventctl diff etopic/orders
  eventctl diff -f topics/orders.yaml

Exit codes: 0 no difference, 1 a difference, 2 an error occurred.";

/// Show what a pending change would change.
///
/// With a file: compares the manifest in it with the active spec, and shows its hash, with which it can be approved
/// before it is applied. Stores nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Diff {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) login: LoginArgs,
}

/// Shows the differences of a target.
pub(super) async fn diff<K: GovernedResource>(arguments: &Diff, target: Target) -> anyhow::Result<Answer> {
    match target {
        Target::Stored(resource) => diff_stored::<K>(&arguments.login, &resource).await,
        Target::Manifest(manifest) => diff_manifest::<K>(&arguments.login, manifest).await,
    }
}

async fn diff_manifest<K: GovernedResource>(login: &LoginArgs, manifest: Manifest) -> anyhow::Result<Answer> {
    let session = login.open().await?;
    let proposal = proposal::propose::<K>(&session, manifest, &login.namespace_in(&session)).await?;
    Ok(Answer { yes: proposal.is_unchanged, text: proposal.preview })
}

async fn diff_stored<K: GovernedResource>(
    login: &LoginArgs,
    resource: &ResourceArg,
) -> anyhow::Result<Answer> {
    let session = login.open().await?;
    let namespace = login.namespace_in(&session);
    let stored = read_observed::<K>(&session, &namespace, resource).await?;
    Ok(match stored.progress() {
        Progress::Pending(pending) => {
            let lines = stored.diff_lines(&session, pending).await;
            let change = render::pending_change(resource, &namespace, pending, &lines, now());
            let commands =
                render::decision_commands(resource, &namespace, stored.hash.as_str(), pending.action);
            Answer { yes: false, text: format!("{change}\n\n{commands}") }
        }
        Progress::NothingPending | Progress::NotObserved => {
            let text = format!("{}: no change is pending", resource.in_namespace(&namespace));
            Answer { yes: true, text }
        }
    })
}
