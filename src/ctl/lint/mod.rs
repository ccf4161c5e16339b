//! `eventctl lint`: checks manifests as the API server and the webhook would.

mod format;
mod report;
mod sarif;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use self::report::{Problem, Report};
use super::file;
use super::manifest::{self, Manifest};
use super::output::Answer;
use crate::api::{GROUP, Scope, kinds};
use crate::domain::lint::{self, Diagnostic, FieldPath};

const EXAMPLES: &str = "\
Examples:
  eventctl lint topics/ --tenants platform/tenants.yaml
  git worktree add /tmp/main main && eventctl lint . --against /tmp/main
  eventctl lint . -o sarif > lint.sarif

Exit codes: 0 no resource is refused, 1 a resource is refused, 2 an error occurred.";

/// Arguments of `eventctl lint`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Lint {
    /// Files with manifests in YAML or JSON, or directories, which are searched for such files; - for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Files or directories with the Tenants and KafkaClusters that are not among the manifests.
    #[arg(long, value_name = "PATH")]
    tenants: Vec<PathBuf>,
    /// The applied manifests, such as those of the main branch; the others are checked as changes of them.
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// Namespace of manifests that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
    /// The same as -o json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// Text with a line for each problem and its position in the file.
    Text,
    /// JSON for programs.
    Json,
    /// Annotations of GitHub Actions, which GitHub shows beside the line.
    Github,
    /// SARIF 2.1.0, as code scanning services read it.
    Sarif,
}

/// A manifest and its file.
struct Source {
    file: String,
    manifest: Manifest,
}

pub(super) fn answer(arguments: &Lint) -> anyhow::Result<Answer> {
    let Lint { paths, tenants, against, namespace, output, json } = arguments;
    file::check_input_once(paths.iter().chain(tenants).chain(against).map(PathBuf::as_path))?;
    let (platform, changed) = (read(tenants, namespace)?, read(paths, namespace)?);
    let now: Vec<&Source> = platform.iter().chain(&changed).collect();
    let applied = read(against, namespace)?;
    let before: Vec<&Source> = match against.as_slice() {
        [] => Vec::new(),
        _ => platform.iter().chain(&applied).collect(),
    };
    let reports = lint::lint(&inputs(&now), &inputs(&before));
    if reports.is_empty() {
        bail!("there is no resource of {GROUP} in {}", list(paths));
    }
    let reports: Vec<Report> = reports.into_iter().map(|report| locate(report, &now)).collect();
    let yes = !reports.iter().any(Report::is_refused);
    let text = match output {
        _ if *json => format::json(&reports)?,
        Output::Json => format::json(&reports)?,
        Output::Text => format::text(&reports),
        Output::Github => format::github(&reports),
        Output::Sarif => sarif::render(&reports)?,
    };
    Ok(Answer { yes, text })
}

fn inputs<'a>(sources: &[&'a Source]) -> Vec<lint::Manifest<'a>> {
    let input = |source: &&'a Source| {
        let Source { manifest, .. } = *source;
        lint::Manifest { object: &manifest.object, repeated_keys: manifest.repeated_keys() }
    };
    sources.iter().map(input).collect()
}

/// Adds positions to the problems of a resource.
fn locate(report: lint::Report, sources: &[&Source]) -> Report {
    let Source { file, manifest } = sources[report.manifest];
    let located =
        |diagnostic: Diagnostic| Problem { position: manifest.position(&diagnostic.field), diagnostic };
    let mut problems: Vec<Problem> = report.diagnostics.into_iter().map(located).collect();
    problems.sort_by_key(|problem| problem.position);
    Report {
        file: file.clone(),
        position: manifest.position(&FieldPath::default()),
        resource: report.resource,
        problems,
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| file::name(path)).collect::<Vec<_>>().join(", ")
}

/// Reads the manifests in files and directories.
fn read(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Vec<Source>> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => find_files(path, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    let mut sources = Vec::new();
    for path in files {
        for mut manifest in manifest::read(&path)? {
            set_namespace(&mut manifest.object, namespace);
            sources.push(Source { file: file::name(&path), manifest });
        }
    }
    Ok(sources)
}

/// Finds the manifests in a directory, sorted by name, so that every run checks them in the same order.
fn find_files(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    // Names that begin with a dot belong to git and editors.
    let is_hidden =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    for path in paths.into_iter().filter(|path| !is_hidden(path)) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            find_files(&path, files)?;
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    Ok(())
}

/// Sets the namespace of a namespaced object that does not name it.
fn set_namespace(object: &mut Value, namespace: &str) {
    let is_namespaced = |kind: &str| {
        let info = kinds().find(|info| info.name == kind);
        kind == "ConfigMap" || info.is_some_and(|info| info.scope == Scope::Namespaced)
    };
    if object.get("kind").and_then(Value::as_str).is_some_and(is_namespaced)
        && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.entry("namespace").or_insert_with(|| json!(namespace));
    }
}
