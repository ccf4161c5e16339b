//! `eventcenter crds`: prints the CustomResourceDefinitions, generated from the types.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use kube::ResourceExt;

use super::config::Crds;

pub(super) fn crds(arguments: &Crds) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            drop(writeln!(std::io::stderr(), "eventcenter: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Crds) -> anyhow::Result<()> {
    for definition in crate::api::definitions() {
        let text = format!("---\n{}", serde_yaml::to_string(&definition).context("writing YAML")?);
        match &arguments.output_dir {
            None => std::io::stdout().write_all(text.as_bytes()).context("printing")?,
            Some(folder) => {
                let file = folder.join(format!("{}.yaml", definition.name_any()));
                std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
            }
        }
    }
    Ok(())
}
