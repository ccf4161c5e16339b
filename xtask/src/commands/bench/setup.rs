//! The programs and the environment that every benchmark needs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use xtask::{environment::Plan, process};

use super::{
    super::{Context, build},
    stage::Programs,
};

/// An environment with one plaintext broker. The benchmark starts the operator.
pub(super) fn plan(context: &Context) -> Result<Plan> {
    Ok(Plan { sasl: false, ..Plan::for_tests(&context.repository, &context.console)? })
}

/// The given programs, or optimised ones that this function builds.
pub(super) fn programs(
    context: &Context,
    operator: Option<&Path>,
    generator: Option<&Path>,
) -> Result<Programs> {
    let given =
        |program: &Path| program.canonicalize().with_context(|| format!("no program {}", program.display()));
    Ok(Programs {
        operator: operator.map_or_else(|| build::operator(context, true), given)?,
        generator: generator.map_or_else(|| build_generator(context), given)?,
    })
}

/// Builds the load generator and returns its path.
pub(super) fn build_generator(context: &Context) -> Result<PathBuf> {
    let mut build = build::cargo(&context.repository);
    build.args(["build", "--release", "--package", "eventcenter-bench"]);
    context.console.line("Building the load generator");
    let status = process::run_attached(build)?;
    if !status.success() {
        bail!("the load generator does not compile ({status}); the messages are above");
    }
    Ok(build::target_folder(&context.repository)?.join("release/eventcenter-bench"))
}
