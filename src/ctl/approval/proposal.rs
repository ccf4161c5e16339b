//! A manifest that is not applied yet: what content it would be, and what it would change.
//!
//! The API server is asked for what it would make of it, so that defaults are its own. Where it refuses to say
//! because the change needs approval first, or because the one who asks may not write, the defaults are those of
//! this program; a refusal names the hash, which has to be the same then.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::file;
use super::super::login::Named;
use super::super::output::print_warning;
use super::{Seen, shown};
use crate::api::{EventTopic, EventTopicSpec, GovernedChange, Kind};
use crate::domain::approval::{Governed, SpecHash};
use crate::domain::topic::diff::diff;
use crate::kubernetes::{Session, SessionError};

/// A content that somebody would like to apply.
pub(super) struct Proposal {
    pub(super) named: Named,
    pub(super) namespace: String,
    pub(super) hash: SpecHash,
    /// Whether it is what is in force, or what the resource declares already.
    pub(super) is_there: bool,
    /// What it would change.
    pub(super) shown: String,
}

/// The EventTopic in a file: the only one, or the one of that name.
pub(super) fn manifest(path: &Path, named: Option<&Named>, namespace: Option<&str>) -> anyhow::Result<Value> {
    let text = file::text(path).with_context(|| format!("reading {}", file::name(path)))?;
    chosen(&text, named, namespace).with_context(|| file::name(path))
}

fn chosen(text: &str, named: Option<&Named>, namespace: Option<&str>) -> anyhow::Result<Value> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let document = Value::deserialize(document).context("this is not YAML")?;
        let is =
            |pointer: &str, wanted: &str| document.pointer(pointer).and_then(Value::as_str) == Some(wanted);
        let is_ours = is("/kind", "EventTopic") && is("/apiVersion", "eventcenter.io/v1alpha1");
        if is_ours && named.is_none_or(|named| is("/metadata/name", &named.name)) {
            found.push(document);
        }
    }
    let Some(topic) = found.pop() else {
        match named {
            Some(named) => bail!("there is no {named} in it"),
            None => bail!("there is no EventTopic in it"),
        }
    };
    if !found.is_empty() {
        bail!("there are several EventTopics in it: name one, such as EventTopic orders");
    }
    let said = topic.pointer("/metadata/namespace").and_then(Value::as_str);
    if let (Some(said), Some(wanted)) = (said, namespace)
        && said != wanted
    {
        bail!("it says namespace {said}, and --namespace says {wanted}");
    }
    Ok(topic)
}

/// What a manifest would be.
pub(super) async fn propose(session: &Session, manifest: Value, namespace: &str) -> anyhow::Result<Proposal> {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).map(String::from);
    let name = text("/metadata/name").context("metadata.name is missing")?;
    let namespace = text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned());
    let named = Named { kind: Kind::of::<EventTopic>(), name };
    let stored = session.topic(&namespace, &named.name).await?.map(Seen::of).transpose()?;
    let whole = in_place(&manifest, stored.as_ref().map(|stored| &stored.whole), &namespace);
    let spec = defaulted(session, &whole).await?;
    let hash = SpecHash::of(&spec);
    let base = match &stored {
        Some(stored) => stored.in_force(session).await.unwrap_or_else(|error| {
            print_warning(&format!(
                "what is in force cannot be read, so this is the difference to what is declared now: {error:#}"
            ));
            Some(stored.topic.spec.clone())
        }),
        None => None,
    };
    let is_declared = stored.as_ref().is_some_and(|stored| stored.hash == hash);
    let is_there = is_declared || base.as_ref().is_some_and(|base| SpecHash::of(base) == hash);
    let shown = changed(&named, &namespace, base.as_ref(), &spec, &hash);
    Ok(Proposal { named, namespace, hash, is_there, shown })
}

/// The manifest in the place of what is stored: what it does not declare is gone, and labels and annotations of others
/// stay.
fn in_place(manifest: &Value, stored: Option<&Value>, namespace: &str) -> Value {
    let mut whole = stored.unwrap_or(manifest).clone();
    whole["spec"] = manifest.get("spec").cloned().unwrap_or_else(|| json!({}));
    whole["metadata"]["namespace"] = json!(namespace);
    for kind in ["labels", "annotations"] {
        if let Some(Value::Object(ours)) = manifest["metadata"].get(kind) {
            match whole["metadata"].get_mut(kind).and_then(Value::as_object_mut) {
                Some(all) => all.extend(ours.clone()),
                None => whole["metadata"][kind] = json!(ours),
            }
        }
    }
    whole
}

/// A spec with all defaults.
async fn defaulted(session: &Session, whole: &Value) -> anyhow::Result<EventTopicSpec> {
    let own = || -> anyhow::Result<EventTopicSpec> {
        Ok(serde_json::from_value::<EventTopic>(whole.clone()).context("the EventTopic cannot be read")?.spec)
    };
    match session.try_topic(whole).await {
        Ok(answer) => Ok(serde_json::from_value::<EventTopic>(answer)?.spec),
        Err(SessionError::Refused(why)) if why.starts_with("AwaitingApproval: ") => {
            let spec = own()?;
            if !why.contains(SpecHash::of(&spec).as_str()) {
                bail!(
                    "this program and the operator do not make the same of it, so they are of different versions. The operator \
                     says:\n{why}"
                );
            }
            Ok(spec)
        }
        Err(SessionError::Forbidden { .. }) => {
            print_warning(
                "you may not write EventTopics here, so the API server was not asked: defaults are those of this program",
            );
            own()
        }
        Err(error) => Err(error.into()),
    }
}

/// What a content would change, for people.
fn changed(
    named: &Named,
    namespace: &str,
    base: Option<&EventTopicSpec>,
    spec: &EventTopicSpec,
    hash: &SpecHash,
) -> String {
    let touched = EventTopic::classify(base, spec, &None);
    let head = shown::place(named, namespace);
    if touched.is_empty() {
        return format!("{head}: nothing would change\n\nhash:         {hash}");
    }
    let what = if base.is_some() { "would change" } else { "would be made" };
    let mut lines = vec![format!("{head} {what}"), String::new()];
    let difference = diff(base, spec);
    lines.extend(difference.iter().map(|line| format!("  {}", shown::plain(line))));
    if !difference.is_empty() {
        lines.push(String::new());
    }
    // Every change is any change.
    let named = touched.iter().filter(|change| touched.len() == 1 || **change != GovernedChange::Any);
    lines.push(format!("changes:      {}", shown::changes(named)));
    lines.push(format!("hash:         {hash}"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: orders}
---
apiVersion: eventcenter.io/v1alpha1
kind: EventTopic
metadata: {name: orders, namespace: shop}
---
apiVersion: eventcenter.io/v1alpha1
kind: EventTopic
metadata: {name: users}
";

    fn choose(name: Option<&str>, namespace: Option<&str>) -> Result<String, String> {
        let named = name.map(|name| Named { kind: Kind::of::<EventTopic>(), name: name.into() });
        chosen(TWO, named.as_ref(), namespace)
            .map(|topic| topic["metadata"]["name"].as_str().unwrap_or_default().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_document_is_meant() {
        assert_eq!(choose(Some("orders"), None), Ok("orders".into()));
        assert_eq!(choose(Some("orders"), Some("shop")), Ok("orders".into()));
        assert_eq!(choose(Some("users"), Some("shop")), Ok("users".into()));
        assert_eq!(
            choose(Some("orders"), Some("x")),
            Err("it says namespace shop, and --namespace says x".into())
        );
        assert_eq!(choose(Some("gone"), None), Err("there is no EventTopic gone in it".into()));
        assert!(choose(None, None).is_err_and(|error| error.contains("several")));
    }

    #[test]
    fn what_others_have_noted_on_it_stays() {
        let stored = json!({
            "metadata": {"name": "a", "resourceVersion": "7", "annotations": {"theirs": "1", "ours": "1"}},
            "spec": {"partitions": 3, "retention": {"time": "7d"}}, "status": {"x": 1},
        });
        let manifest = json!({"metadata": {"name": "a", "annotations": {"ours": "2"}, "labels": {"l": "1"}}, "spec": {"partitions": 4}});
        assert_eq!(
            in_place(&manifest, Some(&stored), "shop"),
            json!({
                "metadata": {
                    "name": "a", "namespace": "shop", "resourceVersion": "7",
                    "annotations": {"theirs": "1", "ours": "2"}, "labels": {"l": "1"},
                },
                "spec": {"partitions": 4}, "status": {"x": 1},
            })
        );
        assert_eq!(in_place(&json!({"metadata": {"name": "a"}}), None, "shop")["spec"], json!({}));
    }
}
