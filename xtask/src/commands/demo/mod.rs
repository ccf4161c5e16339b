//! `demo`: the product, shown on the real parts. Each step is one function in [`steps`].

mod manifest;
mod steps;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use xtask::{interrupt, process, supervisor::State};

use super::{Context, Place, up};

/// Watch EventTopics become Kafka topics, on a real Kubernetes API server and a real Kafka broker.
///
/// Brings the environment up, or uses the one that is up, applies examples/quickstart/ and shows what happens: every
/// command it runs is printed as you would type it. Leaves everything running for you to go on.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Stop everything at the end
    #[arg(long)]
    down: bool,

    /// Build the operator optimised
    #[arg(long)]
    release: bool,

    #[command(flatten)]
    pub(crate) place: Place,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let examples = context.repository.join("examples/quickstart");
    if !examples.is_dir() {
        bail!("{} is not there: this checkout is not complete", super::shown(&examples));
    }
    let wanted = up::Arguments {
        release: arguments.release,
        // Drift is to be seen corrected while somebody watches.
        operator_arg: vec!["--resync-interval=5s".to_owned()],
        ..up::Arguments::default()
    };
    let (state, fresh) = up::ensure(context, &wanted)?;
    if state.plan.operator.is_none() {
        bail!("the environment is up without the operator; run `{}` first", context.command("down"));
    }
    if !fresh {
        println!("Using the environment that is up already.");
    }
    let demo = Demo { context, state, folder: context.folder.path().join("demo") };
    let result = steps::all(&demo, &examples);
    if arguments.down {
        super::down::run(context)?;
    } else if result.is_ok() {
        steps::goodbye(&demo);
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// What every step works with.
struct Demo<'a> {
    context: &'a Context,
    state: State,
    /// For the demo's own copies of the manifests.
    folder: PathBuf,
}

impl Demo<'_> {
    fn heading(&self, text: &str) {
        println!("\n━━ {text}\n");
    }

    fn say(&self, text: &str) {
        println!("{text}");
    }

    fn variable(&self, name: &str) -> &str {
        self.state.variables.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A path as it is typed in the repository, where the demo's commands run.
    fn shown(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.context.repository).unwrap_or(path);
        xtask::env_file::quote_if_needed(&path.display().to_string())
    }

    /// What `. target/dev/env` does, and then the line.
    fn shell(&self, line: &str) -> Command {
        let mut shell = process::child_command("sh");
        shell.args(["-c", line]).current_dir(&self.context.repository);
        shell.envs(self.state.variables.iter().map(|(key, value)| (key, value)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.context.folder.tools()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(folders) {
            shell.env("PATH", path);
        }
        shell
    }

    /// Runs the line without showing it.
    fn ask(&self, line: &str) -> Result<String> {
        process::run(self.shell(line))
    }

    fn transcript(&self, line: &str) -> Result<Output> {
        println!("$ {line}");
        let task = self.context.console.quiet_task(line);
        let output = process::output(self.shell(line));
        task.finish();
        let output = output?;
        for text in [&output.stdout, &output.stderr] {
            print!("{}", String::from_utf8_lossy(text));
        }
        Ok(output)
    }

    /// Shows the line, runs it, shows what it prints.
    fn run(&self, line: &str) -> Result<()> {
        let output = self.transcript(line)?;
        if !output.status.success() {
            bail!("the demo stops here: `{line}` failed ({})", output.status);
        }
        Ok(())
    }

    /// The same for a line that must fail.
    fn refused(&self, line: &str) -> Result<()> {
        let output = self.transcript(line)?;
        if output.status.success() {
            bail!("the demo stops here: `{line}` should have been refused");
        }
        Ok(())
    }

    /// Asks again and again until the answer contains the text.
    fn wait_for(&self, title: &str, line: &str, text: &str, limit: Duration) -> Result<()> {
        self.context.console.run(title, |_| {
            let deadline = Instant::now() + limit;
            loop {
                let answer = self.ask(line)?;
                if answer.contains(text) {
                    return Ok(());
                }
                if Instant::now() > deadline {
                    bail!("`{line}` does not show {text} after {} s, but:\n{answer}", limit.as_secs());
                }
                interrupt::check()?;
                std::thread::sleep(Duration::from_millis(500));
            }
        })
    }
}
