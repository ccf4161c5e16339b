//! `down`: stops the environment.

use std::process::ExitCode;

use anyhow::Result;

use super::Context;

pub(crate) fn run(context: &Context) -> Result<ExitCode> {
    let _lock = context.folder.lock(&context.console)?;
    if !context.folder.path().exists() {
        println!("Nothing is up.");
        return Ok(ExitCode::SUCCESS);
    }
    let stopped = context.console.run("Stopping the environment", |_| context.folder.down())?;
    match stopped {
        None | Some(0) => println!("Nothing was running any more; its folder is removed."),
        Some(1) => println!("1 process stopped; its folder is removed."),
        Some(count) => println!("{count} processes stopped; their folder is removed."),
    }
    Ok(ExitCode::SUCCESS)
}
