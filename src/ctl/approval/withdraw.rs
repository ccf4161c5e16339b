//! `eventctl withdraw`: takes a change back that waits for approval.

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::super::login::{Flags, Named, run};
use super::super::output::{Answer, Refused, print_warning, program_name};
use super::consent::{Given, agrees};
use super::{Seen, look, shown};
use crate::api::EventTopicSpec;
use crate::domain::topic::diff::diff;

const EXAMPLES: &str = "\
Examples:
  eventctl withdraw EventTopic orders -n shop
  eventctl withdraw etopic/orders --yes

Exit codes: 0 withdrawn, 1 nothing to withdraw, 2 an error occurred.";

/// Take a change back that waits: the resource declares again what is in force.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Withdraw {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required = true)]
    resource: Vec<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(in super::super) fn answer(arguments: &Withdraw) -> anyhow::Result<Answer> {
    let named = Named::read(&arguments.resource)?;
    run(withdraw(arguments, &named))
}

async fn withdraw(arguments: &Withdraw, named: &Named) -> anyhow::Result<Answer> {
    let session = arguments.flags.open().await?;
    let namespace = arguments.flags.place(&session);
    let seen = look(&session, &namespace, named).await?;
    let place = shown::place(named, &namespace);
    let Some(spec) = seen.in_force(&session).await? else {
        return Err(Refused(format!(
            "{place} was never in force, so there is nothing to go back to: delete it (kubectl delete {}/{} -n {namespace})",
            format!("{:?}", named.kind).to_lowercase(),
            named.name
        ))
        .into());
    };
    if spec == seen.topic.spec {
        return Err(
            Refused(format!("{place} declares what is in force: there is nothing to withdraw")).into()
        );
    }
    if let Some(owner) = keeper(&seen.whole) {
        print_warning(&format!(
            "{owner} applies this resource from Git: take the change back there as well, or it comes again"
        ));
    }
    let given = Given { by_hash: false, by_yes: arguments.yes };
    if !agrees(given, &withdrawn(&place, &seen, &spec), "Withdraw this change?", "--yes to withdraw it")? {
        return Err(Refused(format!("{named} is not withdrawn")).into());
    }
    let mut whole = seen.whole;
    whole["spec"] = serde_json::to_value(&spec).context("writing the spec")?;
    session.replace_topic(&whole).await?;
    let text = format!(
        "{named} withdrawn: it declares again what is in force (see {} diff {named} -n {namespace})",
        program_name()
    );
    Ok(Answer { yes: true, text })
}

/// What is taken back, for whoever is asked.
fn withdrawn(place: &str, seen: &Seen, spec: &EventTopicSpec) -> String {
    let mut lines =
        vec![format!("{place} would declare again what is in force. This is taken back:"), String::new()];
    let difference = diff(Some(spec), &seen.topic.spec);
    match difference.is_empty() {
        true => lines.push(format!("  the content {}", seen.hash)),
        false => lines.extend(difference.iter().map(|line| format!("  {}", shown::plain(line)))),
    }
    lines.join("\n")
}

/// Labels and annotations by which those who apply resources from Git mark them as theirs.
const MARKS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

/// Names under which they write.
const MANAGERS: &[(&str, &str)] =
    &[("argocd", "Argo CD"), ("kustomize-controller", "Flux"), ("helm-controller", "Flux"), ("flux", "Flux")];

/// Who applies a resource from Git, if anybody does.
fn keeper(whole: &Value) -> Option<&'static str> {
    let metadata = whole.get("metadata")?;
    let has = |mark: &str| ["labels", "annotations"].iter().any(|kind| metadata[*kind].get(mark).is_some());
    let marked = MARKS.iter().find(|(mark, _)| has(mark));
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    let mut managers = managers
        .filter(|entry| entry["subresource"] != "status")
        .filter_map(|entry| entry["manager"].as_str());
    let managed =
        || managers.find_map(|manager| MANAGERS.iter().find(|(prefix, _)| manager.starts_with(prefix)));
    marked.or_else(managed).map(|(_, keeper)| *keeper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_applies_from_git_is_known() {
        for (metadata, known) in [
            (json!({}), None),
            (json!({"labels": {"app": "x"}, "managedFields": [{"manager": "kubectl"}]}), None),
            (json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}), Some("Argo CD")),
            (json!({"managedFields": [{"manager": "argocd-controller"}]}), Some("Argo CD")),
            (json!({"managedFields": [{"manager": "argocd-controller", "subresource": "status"}]}), None),
            (json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}), Some("Flux")),
            (
                json!({"managedFields": [{"manager": "kubectl"}, {"manager": "kustomize-controller"}]}),
                Some("Flux"),
            ),
        ] {
            assert_eq!(keeper(&json!({"metadata": metadata})), known, "{metadata}");
        }
    }
}
