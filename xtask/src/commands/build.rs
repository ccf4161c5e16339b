//! Runs cargo from a program that cargo started.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::{prerequisites, prerequisites::Tool, process};

use super::Context as Commands;

/// `cargo` in the repository. What runs under it dies with it.
pub(crate) fn cargo(repository: &Path) -> Command {
    prepare(process::child_command(program()), repository)
}

/// The same with a low priority, for work beside tests that are sensitive to time.
pub(crate) fn background_cargo(repository: &Path) -> Command {
    prepare(process::low_priority_command(program()), repository)
}

/// The cargo on the path is the one that started this program, unless there is none.
fn program() -> OsString {
    let named = std::env::var_os("CARGO").filter(|_| !prerequisites::on_path("cargo"));
    named.unwrap_or_else(|| "cargo".into())
}

fn prepare(mut cargo: Command, repository: &Path) -> Command {
    cargo.current_dir(repository);
    // Cargo starts programs through this runner. Killing cargo alone would leave them running.
    let target = format!("{}_UNKNOWN_LINUX_GNU", std::env::consts::ARCH.to_uppercase());
    cargo.env(format!("CARGO_TARGET_{target}_RUNNER"), process::KILL_WITH_PARENT.join(" "));
    // Cargo set these variables for this program.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "CARGO_PRIMARY_PACKAGE"
        {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Builds the operator and, beside it, `eventctl`. Returns the operator's path.
pub(crate) fn operator(context: &Commands, release: bool) -> Result<PathBuf> {
    prerequisites::ensure(&Tool::BUILD, &context.repository, &context.console)?;
    let mut build = cargo(&context.repository);
    build.args(["build", "--package", "eventcenter", "--bin", "eventcenter", "--bin", "eventctl"]);
    if release {
        build.arg("--release");
    }
    let how =
        if release { "optimised, 10 to 20 minutes the first time" } else { "5 to 10 minutes the first time" };
    context.console.line(&format!("Building the operator ({how})"));
    let status = process::run_attached(build)?;
    if !status.success() {
        bail!("the operator does not compile ({status}); the messages are above");
    }
    let program = target_folder(&context.repository)?
        .join(if release { "release" } else { "debug" })
        .join("eventcenter");
    if !program.is_file() {
        bail!("cargo built the operator but {} does not exist", program.display());
    }
    Ok(program)
}

/// The target folder of cargo.
pub(crate) fn target_folder(repository: &Path) -> Result<PathBuf> {
    let mut metadata = cargo(repository);
    metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&process::run(metadata)?)?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder.map(PathBuf::from).context("cargo metadata names no target folder")
}
