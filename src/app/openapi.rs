//! `eventcenter openapi`: the description of the REST API, generated from its routes.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::config::OpenApi;

pub(super) fn openapi(arguments: &OpenApi) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "eventcenter: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &OpenApi) -> anyhow::Result<()> {
    let text = crate::rest::document();
    match &arguments.output {
        None => std::io::stdout().write_all(text.as_bytes()).context("printing"),
        Some(file) => std::fs::write(file, text).with_context(|| format!("writing {}", file.display())),
    }
}
