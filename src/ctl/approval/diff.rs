//! `eventctl diff`: what a change that waits would change, and what a manifest would.

use std::path::PathBuf;

use clap::Args;

use super::super::login::{Flags, Named, run};
use super::super::output::Answer;
use super::{Standing, attended, lines, now, proposal, shown};

const EXAMPLES: &str = "\
Examples:
  eventctl diff EventTopic orders -n shop
  eventctl diff etopic/orders
  eventctl diff -f topics/orders.yaml

Exit codes: 0 no difference, 1 a difference, 2 an error occurred.";

/// Show what a change that waits for approval would change.
///
/// With a file: what the manifest in it would change of what is in force, and its hash, by which it can be approved
/// before it is applied. Nothing is stored.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Diff {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required_unless_present = "filename")]
    resource: Vec<String>,
    /// File with a manifest that is not applied yet; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    filename: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

pub(in super::super) fn answer(arguments: &Diff) -> anyhow::Result<Answer> {
    let Diff { resource, filename, flags } = arguments;
    let named = Named::if_any(resource)?;
    match (filename, named) {
        (Some(path), named) => {
            let manifest = proposal::manifest(path, named.as_ref(), flags.namespace.as_deref())?;
            run(of_manifest(flags, manifest))
        }
        (None, named) => run(of_resource(flags, &Named::needed(named)?)),
    }
}

async fn of_manifest(flags: &Flags, manifest: serde_json::Value) -> anyhow::Result<Answer> {
    let session = flags.open().await?;
    let proposal = proposal::propose(&session, manifest, &flags.place(&session)).await?;
    Ok(Answer { yes: proposal.is_there, text: proposal.shown })
}

async fn of_resource(flags: &Flags, named: &Named) -> anyhow::Result<Answer> {
    let session = flags.open().await?;
    let namespace = flags.place(&session);
    let seen = attended(&session, &namespace, named).await?;
    Ok(match seen.standing() {
        Standing::Waits(pending) => {
            let lines = lines(&session, &seen, pending).await;
            let shown = shown::waiting(named, &namespace, pending, &lines, now());
            let next = shown::next(named, &namespace, seen.hash.as_str(), pending.action);
            Answer { yes: false, text: format!("{shown}\n\n{next}") }
        }
        Standing::Nothing | Standing::Unseen => {
            let text = format!("{}: nothing waits for approval", shown::place(named, &namespace));
            Answer { yes: true, text }
        }
    })
}
