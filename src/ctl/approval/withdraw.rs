//! `eventctl withdraw`: withdraws a pending change.

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::super::login::LoginArgs;
use super::super::output::{Answer, Refused, print_warning, program_name};
use super::super::resource_arg::ResourceArg;
use super::super::terminal::plain;
use super::confirm::{Confirmation, is_confirmed};
use super::resource::{GovernedResource, StoredResource, read};

const EXAMPLES: &str = "\
Examples:
  eventctl withdraw EventTopic orders -n shop
  eventctl withdraw etopic/orders --yes

Exit codes: 0 withdrawn, 1 nothing to withdraw, 2 an error occurred.";

/// Withdraw a pending change: the resource declares its active spec again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Withdraw {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required = true)]
    pub(super) resource: Vec<String>,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    login: LoginArgs,
}

/// Replaces the declared spec with the active one.
pub(super) async fn withdraw<K: GovernedResource>(
    arguments: &Withdraw,
    resource: ResourceArg,
) -> anyhow::Result<Answer> {
    let session = arguments.login.open().await?;
    let namespace = arguments.login.namespace_in(&session);
    let stored = read::<K>(&session, &namespace, &resource).await?;
    let place = resource.in_namespace(&namespace);
    let Some(active) = stored.active_spec(&session).await? else {
        return Err(Refused(format!(
            "{place} has no active spec to return to: delete it (kubectl delete {} -n {namespace})",
            resource.slashed()
        ))
        .into());
    };
    if active == *stored.object.spec() {
        return Err(Refused(format!("{place} declares its active spec: there is nothing to withdraw")).into());
    }
    if let Some(tool) = gitops_tool(&stored.json) {
        print_warning(&format!(
            "{tool} applies this resource from Git: revert the change there as well, or it is applied again"
        ));
    }
    let given = Confirmation { by_hash: false, by_yes: arguments.yes };
    let preview = preview(&place, &stored, &active);
    if !is_confirmed(given, &preview, "Withdraw this change?", "--yes to withdraw it")? {
        return Err(Refused(format!("{resource} is not withdrawn")).into());
    }
    let mut json = stored.json;
    json["spec"] = serde_json::to_value(&active).context("serializing the spec")?;
    session.replace_resource::<K>(&json).await?;
    let text = format!(
        "{resource} withdrawn: it declares its active spec again (see {} diff {resource} -n {namespace})",
        program_name()
    );
    Ok(Answer { yes: true, text })
}

/// What would be withdrawn.
fn preview<K: GovernedResource>(place: &str, stored: &StoredResource<K>, active: &K::Spec) -> String {
    let mut lines =
        vec![format!("{place} would declare its active spec again, without these changes:"), String::new()];
    let diff = K::diff(Some(active), stored.object.spec(), &K::Facts::default());
    match diff.is_empty() {
        true => lines.push(format!("  hash {}", stored.hash)),
        false => lines.extend(diff.iter().map(|line| format!("  {}", plain(line)))),
    }
    lines.join("\n")
}

/// Labels and annotations with which GitOps tools mark the resources that they apply.
const GITOPS_MARKS: &[(&str, &str)] = &[
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];

/// Prefixes of the field managers of GitOps tools.
const GITOPS_MANAGERS: &[(&str, &str)] =
    &[("argocd", "Argo CD"), ("kustomize-controller", "Flux"), ("helm-controller", "Flux"), ("flux", "Flux")];

/// The GitOps tool that applies a resource.
fn gitops_tool(json: &Value) -> Option<&'static str> {
    let metadata = json.get("metadata")?;
    let has = |mark: &str| ["labels", "annotations"].iter().any(|field| metadata[*field].get(mark).is_some());
    let marked = GITOPS_MARKS.iter().find(|(mark, _)| has(mark));
    let managers = metadata["managedFields"].as_array().into_iter().flatten();
    let mut managers = managers
        .filter(|entry| entry["subresource"] != "status")
        .filter_map(|entry| entry["manager"].as_str());
    let managed = || {
        managers.find_map(|manager| GITOPS_MANAGERS.iter().find(|(prefix, _)| manager.starts_with(prefix)))
    };
    marked.or_else(managed).map(|(_, tool)| *tool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gitops_tools_are_recognized() {
        for (metadata, expected) in [
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
            assert_eq!(gitops_tool(&json!({"metadata": metadata})), expected, "{metadata}");
        }
    }
}
