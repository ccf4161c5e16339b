//! The process that owns the environment of `cargo xtask up`.
//!
//! `up` returns while the environment runs, so another process must be the parent: this program again, in its own
//! session. It starts the plan in the folder, reports progress to `up` on its standard output, and keeps running. Its
//! children die with it. Until `up` writes `go` to its standard input, the end of that input means that `up` was killed.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    console::{Console, Relayed},
    env_file,
    environment::{Component, Environment, Plan},
    interrupt, process,
    procfs::Identity,
};

/// How long `down` waits for the supervisor, which waits for each of its children.
const GRACE: Duration = Duration::from_secs(90);
const GO: &str = "go";
const READY: &str = "ready";
const FAILED: &str = "failed\t";

/// The supervisor's state, stored for `down`, `status` and `logs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The supervisor's process.
    pub supervisor: Identity,
    /// What it starts.
    pub plan: Plan,
    /// Whether all parts became ready.
    pub ready: bool,
    /// Its child processes.
    pub components: Vec<Component>,
    /// The environment variables for a shell.
    pub variables: Vec<(String, String)>,
}

/// The state of an environment.
#[derive(Debug)]
pub enum Health {
    /// No environment.
    Down,
    /// All processes run.
    Up(State),
    /// A process has died, or the environment never became ready. With the reasons.
    Broken(State, Vec<String>),
}

/// The files of an environment in its folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The environment in this folder, which may not exist.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file for the shell.
    pub fn env(&self) -> PathBuf {
        self.0.join("env")
    }

    /// The supervisor's log.
    pub fn log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Small programs for the shell's path.
    pub fn tools(&self) -> PathBuf {
        self.0.join("bin")
    }

    fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }

    /// The lock that `up` and `down` hold while they run. The file is beside the folder, because `down` removes the folder.
    pub fn lock(&self, console: &Console) -> Result<fs::File> {
        if let Some(parent) = self.0.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = self.0.with_extension("lock");
        crate::cache::lock(&file, console, "Waiting for another `cargo xtask up` or `down`")
    }

    fn read_state(&self) -> Option<State> {
        serde_json::from_slice(&fs::read(self.state()).ok()?).ok()
    }

    fn write_state(&self, state: &State) -> Result<()> {
        let unfinished = self.0.join(".state.json");
        fs::write(&unfinished, serde_json::to_vec_pretty(state)?)?;
        fs::rename(&unfinished, self.state())?;
        Ok(())
    }

    /// The state of the environment, with a look at each of its processes.
    pub fn health(&self) -> Health {
        let Some(state) = self.read_state() else { return Health::Down };
        let dead = |name: &str, identity: &Identity| (!identity.is_alive()).then(|| name.to_owned());
        let mut problems: Vec<String> = dead("supervisor", &state.supervisor).into_iter().collect();
        problems.extend(state.components.iter().filter_map(|part| dead(&part.name, &part.identity)));
        if problems.is_empty() && !state.ready {
            problems.push("not ready yet".to_owned());
        }
        if problems.is_empty() { Health::Up(state) } else { Health::Broken(state, problems) }
    }

    /// Stops the environment and removes the folder. Signals only processes that it started itself. Returns how many it
    /// stopped; `None` if the folder does not exist.
    pub fn down(&self) -> Result<Option<usize>> {
        if !self.0.exists() {
            return Ok(None);
        }
        let mut stopped = 0;
        if let Some(state) = self.read_state() {
            stopped = state.components.iter().filter(|part| part.identity.is_alive()).count();
            process::terminate(&state.supervisor, GRACE)?;
            // Its children die with it; this waits for each.
            for component in &state.components {
                process::terminate(&component.identity, Duration::from_secs(5))?;
            }
        }
        fs::remove_dir_all(&self.0).with_context(|| format!("cannot remove {}", self.0.display()))?;
        Ok(Some(stopped))
    }

    /// Starts a supervisor for the plan and shows its progress until all parts are ready.
    pub fn up(&self, plan: &Plan, console: &Console) -> Result<State> {
        fs::create_dir_all(&self.0)?;
        fs::write(self.plan(), serde_json::to_vec_pretty(plan)?)?;
        let mut child = self.spawn_supervisor()?;
        let stdout = child.stdout.take().context("the supervisor has no output")?;
        let mut relayed = Relayed::new(console);
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line == READY {
                let stdin = child.stdin.as_mut().context("the supervisor has no input")?;
                writeln!(stdin, "{GO}").context("the supervisor has ended")?;
                return self.read_state().context("the supervisor is ready but left no state");
            }
            if let Some(message) = line.strip_prefix(FAILED) {
                let message: String = serde_json::from_str(message).unwrap_or_else(|_| message.to_owned());
                // It stops what it started before it ends.
                let _ = child.wait();
                bail!(message);
            }
            relayed.handle(&line);
        }
        let status = child.wait()?;
        bail!("the supervisor ended ({status}):\n{}", process::tail(&self.log(), 20))
    }

    /// It outlives this process. If this process dies before the supervisor is ready, the supervisor ends.
    fn spawn_supervisor(&self) -> Result<Child> {
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("supervise").arg(&self.0).current_dir(&self.0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        command.spawn().context("cannot start the supervisor")
    }
}

/// The hidden subcommand: owns the environment in the folder until a signal ends it.
pub fn run(folder: &Path) -> Result<()> {
    rustix::process::setsid().context("cannot create a session")?;
    interrupt::install()?;
    let folder = Folder::new(folder);
    let console = Console::relay(std::io::stdout());
    let plan: Plan = serde_json::from_slice(&fs::read(folder.plan())?)?;
    let mut state = State {
        supervisor: Identity::own()?,
        plan: plan.clone(),
        ready: false,
        components: Vec::new(),
        variables: Vec::new(),
    };
    folder.write_state(&state)?;
    let go = watch_input();
    log("starting");
    let mut environment = match start(&folder, &plan, &console, &mut state) {
        Ok(environment) => environment,
        Err(error) => {
            log(&format!("failed: {error:#}"));
            // As JSON, because the message has several lines.
            let _ = writeln!(std::io::stdout(), "{FAILED}{}", serde_json::to_string(&format!("{error:#}"))?);
            return Ok(());
        }
    };
    let _ = writeln!(std::io::stdout(), "{READY}");
    if go.recv() != Ok(()) {
        log("`up` has ended before the environment was ready");
    } else {
        log("ready");
        watch(&mut environment)?;
    }
    log("stopping");
    let result = environment.stop();
    log("stopped");
    result
}

fn start(folder: &Folder, plan: &Plan, console: &Console, state: &mut State) -> Result<Environment> {
    let environment = Environment::start(folder.path(), plan, console)?;
    state.components = environment.components();
    state.variables = environment.variables();
    state.ready = true;
    let tools = folder.tools();
    fs::create_dir_all(&tools)?;
    std::os::unix::fs::symlink(&plan.kubectl, tools.join("kubectl"))?;
    if let Some(operator) = &plan.operator {
        // It is built beside the operator.
        std::os::unix::fs::symlink(operator.program.with_file_name("eventctl"), tools.join("eventctl"))?;
    }
    plan.libs().write_scripts(&tools)?;
    fs::write(folder.env(), env_file::render(&state.variables, &tools.display().to_string()))?;
    folder.write_state(state)?;
    Ok(environment)
}

/// Sends once when `up` writes `go`. Requests an interrupt if standard input ends without it.
fn watch_input() -> mpsc::Receiver<()> {
    let (send, go) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line) {
            Ok(_) if line.trim() == GO => drop(send.send(())),
            _ => interrupt::request(),
        }
    });
    go
}

/// Logs each child that dies, until an interrupt.
fn watch(environment: &mut Environment) -> Result<()> {
    let mut dead = BTreeSet::new();
    while !interrupt::requested() {
        environment.collect()?;
        for component in environment.components() {
            if !component.identity.is_alive() && dead.insert(component.name.clone()) {
                log(&format!("{} (process {}) has died", component.name, component.identity.pid));
            }
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// Writes a line to the supervisor's log, which is its standard error.
fn log(text: &str) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{} {text}", utc(since.as_secs()));
}

/// `HH:MM:SS` of the day, UTC.
fn utc(seconds: u64) -> String {
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}Z", day / 3600, day / 60 % 60, day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_formatted() {
        assert_eq!(utc(86_400 * 3 + 3_600 + 61), "01:01:01Z");
    }

    #[test]
    fn a_missing_folder_is_down() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::new(&folder.path().join("dev"));
        assert!(matches!(folder.health(), Health::Down));
        assert_eq!(folder.down().expect("nothing to do"), None);
    }
}
