//! A manifest that is not applied yet: its hash, and what it would change.
//!
//! A dry run returns the manifest with the API server's defaults. If the dry run is denied because the change needs
//! approval, or because the user may not write, this program sets the defaults; a denial names the hash, which must then
//! be the same.

use anyhow::{Context, bail};
use eventcenter_sdk::Reason;
use serde_json::{Value, json};

use super::super::output::print_warning;
use super::super::resource_arg::ResourceArg;
use super::super::terminal::plain;
use super::render;
use super::resource::{GovernedResource, find};
use super::target::Manifest;
use crate::api::GovernedChange;
use crate::domain::approval::SpecHash;
use crate::kubernetes::{Session, SessionError};

/// What a manifest would change.
pub(super) struct Proposal {
    pub(super) resource: ResourceArg,
    pub(super) namespace: String,
    pub(super) hash: SpecHash,
    /// Whether its spec is active or declared already.
    pub(super) is_unchanged: bool,
    /// The changes as text.
    pub(super) preview: String,
}

/// Computes what a manifest would change. `namespace` is used if the manifest names none.
pub(super) async fn propose<K: GovernedResource>(
    session: &Session,
    manifest: Manifest,
    namespace: &str,
) -> anyhow::Result<Proposal> {
    let Manifest { resource, namespace: declared, json } = manifest;
    let namespace = declared.unwrap_or_else(|| namespace.to_owned());
    let stored = find::<K>(session, &namespace, &resource.name).await?;
    let json = replacement(&json, stored.as_ref().map(|stored| &stored.json), &namespace);
    let spec = with_defaults::<K>(session, &json).await?;
    let hash = SpecHash::of(&spec);
    let base = match &stored {
        Some(stored) => stored.active_spec(session).await.unwrap_or_else(|error| {
            print_warning(&format!(
                "the active spec cannot be read, so the manifest is compared with the declared spec: {error:#}"
            ));
            Some(stored.object.spec().clone())
        }),
        None => None,
    };
    let is_declared = stored.as_ref().is_some_and(|stored| stored.hash == hash);
    let is_unchanged = is_declared || base.as_ref().is_some_and(|base| SpecHash::of(base) == hash);
    let preview = preview::<K>(&resource, &namespace, base.as_ref(), &spec, &hash);
    Ok(Proposal { resource, namespace, hash, is_unchanged, preview })
}

/// The stored resource with the spec of the manifest. Labels and annotations that the manifest does not name stay.
fn replacement(manifest: &Value, stored: Option<&Value>, namespace: &str) -> Value {
    let mut json = stored.unwrap_or(manifest).clone();
    json["spec"] = manifest.get("spec").cloned().unwrap_or_else(|| json!({}));
    json["metadata"]["namespace"] = json!(namespace);
    for field in ["labels", "annotations"] {
        if let Some(Value::Object(declared)) = manifest["metadata"].get(field) {
            match json["metadata"].get_mut(field).and_then(Value::as_object_mut) {
                Some(all) => all.extend(declared.clone()),
                None => json["metadata"][field] = json!(declared),
            }
        }
    }
    json
}

/// The spec with all defaults.
async fn with_defaults<K: GovernedResource>(session: &Session, json: &Value) -> anyhow::Result<K::Spec> {
    let kind = K::kind(&());
    let parse = |json: Value| -> anyhow::Result<K::Spec> {
        let resource: K =
            serde_json::from_value(json).with_context(|| format!("the {kind} cannot be parsed"))?;
        Ok(resource.spec().clone())
    };
    match session.dry_run::<K>(json).await {
        Ok(result) => parse(result),
        Err(SessionError::Denied(denial)) if denial.reason == Reason::AwaitingApproval.as_str() => {
            let spec = parse(json.clone())?;
            if denial.spec_hash.as_deref() != Some(SpecHash::of(&spec).as_str()) {
                bail!(
                    "the versions of this program and of the operator differ: they compute different hashes of the spec. The \
                     operator reports:\n{denial}"
                );
            }
            Ok(spec)
        }
        Err(SessionError::Forbidden { .. }) => {
            print_warning(&format!(
                "you may not write {} here, so this program sets the defaults instead of the API server",
                K::plural(&())
            ));
            parse(json.clone())
        }
        Err(error) => Err(error.into()),
    }
}

/// The changes from the base to a spec as text.
fn preview<K: GovernedResource>(
    resource: &ResourceArg,
    namespace: &str,
    base: Option<&K::Spec>,
    spec: &K::Spec,
    hash: &SpecHash,
) -> String {
    let changes = K::classify(base, spec, &K::Facts::default());
    let place = resource.in_namespace(namespace);
    if changes.is_empty() {
        return format!("{place}: nothing would change\n\nhash:         {hash}");
    }
    let verb = if base.is_some() { "would change" } else { "would be created" };
    let mut lines = vec![format!("{place} {verb}"), String::new()];
    let diff = K::diff(base, spec, &K::Facts::default());
    lines.extend(diff.iter().map(|line| format!("  {}", plain(line))));
    if !diff.is_empty() {
        lines.push(String::new());
    }
    // Any adds nothing beside another change.
    let named = changes.iter().filter(|change| changes.len() == 1 || **change != GovernedChange::Any);
    lines.push(format!("changes:      {}", render::change_names(named)));
    lines.push(format!("hash:         {hash}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_annotations_of_others_stay() {
        let stored = json!({
            "metadata": {"name": "a", "resourceVersion": "7", "annotations": {"theirs": "1", "ours": "1"}},
            "spec": {"partitions": 3, "retention": {"time": "7d"}}, "status": {"x": 1},
        });
        let manifest = json!({"metadata": {"name": "a", "annotations": {"ours": "2"}, "labels": {"l": "1"}}, "spec": {"partitions": 4}});
        assert_eq!(
            replacement(&manifest, Some(&stored), "shop"),
            json!({
                "metadata": {
                    "name": "a", "namespace": "shop", "resourceVersion": "7",
                    "annotations": {"theirs": "1", "ours": "2"}, "labels": {"l": "1"},
                },
                "spec": {"partitions": 4}, "status": {"x": 1},
            })
        );
        assert_eq!(replacement(&json!({"metadata": {"name": "a"}}), None, "shop")["spec"], json!({}));
    }
}
