//! `eventctl lint`: a folder of manifests, judged as the webhook would judge it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::domain::lint::{Finding, Manifest, lint};

const EXAMPLES: &str = "\
Examples:
  eventctl lint topics/ --tenants platform/tenants.yaml
  git worktree add /tmp/main main && eventctl lint . --against /tmp/main

Exit codes: 0 nothing is refused, 1 something is, 2 a file cannot be used.";

/// Arguments of `eventctl lint`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lint {
    /// Folders and files with manifests, in YAML or JSON; folders with all that is in them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Tenants and KafkaClusters, if they are not among the manifests.
    #[arg(long, value_name = "PATH")]
    tenants: Vec<PathBuf>,
    /// What is applied now, such as the main branch: then changes are judged, and schemas compared.
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// The namespace of manifests that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn answer(arguments: &Lint) -> anyhow::Result<Answer> {
    let Lint { paths, tenants, against, namespace, json } = arguments;
    let platform = manifests(tenants, namespace)?;
    let mut now = platform.clone();
    now.extend(manifests(paths, namespace)?);
    let mut before = platform;
    before.extend(manifests(against, namespace)?);
    let found = lint(&now, if against.is_empty() { &[] } else { &before });
    if found.is_empty() {
        bail!("there is no Tenant, KafkaCluster or EventTopic in {}", shown(paths));
    }
    let yes = found.iter().all(|finding| finding.verdict.refusals.is_empty());
    let text = if *json { as_json(yes, &found)? } else { tell(&found)? };
    Ok(Answer { yes, text })
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn manifests(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Vec<Manifest>> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, true, &mut files)?;
    }
    let mut manifests = Vec::new();
    for file in files {
        let origin = file.display().to_string();
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {origin}"))?;
        let documents = serde_yaml::Deserializer::from_str(&text);
        for (number, document) in documents.enumerate() {
            let object = Value::deserialize(document)
                .with_context(|| format!("{origin}: document {} cannot be read", number + 1))?;
            let items = object.get("items").and_then(Value::as_array).cloned();
            for mut object in items.unwrap_or_else(|| vec![object]) {
                if !object.is_object() {
                    continue;
                }
                place(&mut object, namespace);
                manifests.push(Manifest { origin: origin.clone(), object });
            }
        }
    }
    Ok(manifests)
}

/// Files of a folder in the order of their names, so that two runs judge alike.
fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
        let mut inside =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        inside.sort();
        // What begins with a dot is git's, or somebody's editor's.
        let is_hidden =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        return inside
            .iter()
            .filter(|path| !is_hidden(path))
            .try_for_each(|path| collect(path, false, files));
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    if named || matches!(ending, Some("yaml" | "yml" | "json")) {
        files.push(path.to_owned());
    }
    Ok(())
}

/// Names the namespace of what has one and does not say it.
fn place(object: &mut Value, namespace: &str) {
    let kind = object.get("kind").and_then(Value::as_str);
    if matches!(kind, Some("EventTopic" | "ConfigMap"))
        && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.entry("namespace").or_insert_with(|| json!(namespace));
    }
}

fn as_json(yes: bool, found: &[Finding]) -> anyhow::Result<String> {
    let told: Vec<Value> = found
        .iter()
        .map(|Finding { origin, subject, verdict }| {
            let refusals = verdict.refusals.iter();
            let refusals: Vec<Value> = refusals
                .map(|refusal| json!({"reason": refusal.reason, "message": refusal.message()}))
                .collect();
            json!({"file": origin, "resource": subject, "refusals": refusals, "warnings": verdict.warnings})
        })
        .collect();
    Ok(serde_json::to_string_pretty(&json!({"accepted": yes, "resources": told}))?)
}

fn tell(found: &[Finding]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let mut refused = 0_usize;
    for Finding { origin, subject, verdict } in found {
        refused += usize::from(!verdict.refusals.is_empty());
        if verdict.refusals.is_empty() && verdict.warnings.is_empty() {
            continue;
        }
        writeln!(text, "{origin}: {subject}")?;
        for refusal in &verdict.refusals {
            writeln!(text, "  refused: {refusal}")?;
        }
        for warning in &verdict.warnings {
            writeln!(text, "  warning: {warning}")?;
        }
    }
    let resources = if found.len() == 1 { "resource" } else { "resources" };
    writeln!(text, "{} {resources}, {refused} refused", found.len())?;
    Ok(text)
}
