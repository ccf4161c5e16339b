//! The environment that `up` leaves running: later commands find it, it ends as a whole, and no other process is killed.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use xtask::{
    console::Console,
    env_file,
    environment::Plan,
    paths,
    procfs::Identity,
    supervisor::{Folder, Health, State},
};

fn xtask(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).arg("--dir").arg(folder).stdin(Stdio::null());
    command
}

fn succeed(folder: &Path, arguments: &[&str]) -> Result<String> {
    let Output { status, stdout, stderr } = xtask(folder, arguments).output()?;
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    ensure!(status.success(), "{arguments:?}: {status}\n{text}");
    Ok(text)
}

fn state_of(folder: &Path) -> Result<State> {
    match Folder::new(folder).health() {
        Health::Up(state) => Ok(state),
        other => anyhow::bail!("the environment is not up: {other:?}"),
    }
}

fn processes(state: &State) -> Vec<Identity> {
    std::iter::once(&state.supervisor)
        .chain(state.components.iter().map(|part| &part.identity))
        .cloned()
        .collect()
}

fn eventually(expectation: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        ensure!(Instant::now() < deadline, "not within a minute: {expectation}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Stops the environment at the end of a test.
struct Down<'a>(&'a Path);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let _ = xtask(self.0, &["down"]).output();
    }
}

#[test]
fn everything_dies_with_a_killed_supervisor_and_up_restarts_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("dev");
    let _down = Down(&folder);

    let text = succeed(&folder, &["up", "--no-operator"])?;
    assert!(text.contains("Everything is up."), "{text}");
    let first = state_of(&folder)?;
    let names: Vec<&str> = first.components.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["controlplane", "apiserver", "controller-manager", "kafka"]);
    let variables = env_file::parse(&fs::read_to_string(folder.join("env"))?);
    for key in ["KUBECONFIG", "KUBECTL", "KAFKA_BOOTSTRAP", "KAFKA_PID", "APISERVER_PID", "CONTROLPLANE_PID"]
    {
        assert!(
            variables.iter().any(|(name, value)| name == key && !value.is_empty()),
            "{key}: {variables:?}"
        );
    }

    let text = succeed(&folder, &["up", "--no-operator"])?;
    assert!(text.contains("It is up already."), "{text}");
    assert_eq!(state_of(&folder)?.supervisor, first.supervisor, "the environment was restarted");

    first.supervisor.signal(Signal::KILL)?;
    eventually("every process has died", || processes(&first).iter().all(|process| !process.is_alive()))?;
    assert_eq!(xtask(&folder, &["status"]).output()?.status.code(), Some(1));

    let text = succeed(&folder, &["up", "--no-operator"])?;
    assert!(text.contains("Something has died") && text.contains("Everything is up."), "{text}");
    let second = state_of(&folder)?;
    assert!(succeed(&folder, &["status"])?.contains("running"));

    let text = succeed(&folder, &["down"])?;
    assert!(text.contains("4 processes stopped"), "{text}");
    assert!(processes(&second).iter().all(|process| !process.is_alive()));
    assert!(!folder.exists());
    assert!(succeed(&folder, &["down"])?.contains("Nothing is up."));
    assert_eq!(xtask(&folder, &["status"]).output()?.status.code(), Some(3));
    Ok(())
}

#[test]
fn nothing_keeps_running_when_up_is_killed_before_it_is_ready() -> Result<()> {
    // Makes the artefacts, so that the test does not wait for them.
    Plan::for_tests(&paths::repository()?, &Console::stderr())?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("dev");
    let _down = Down(&folder);
    let mut up =
        xtask(&folder, &["up", "--no-operator"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let log = folder.join("controlplane/controlplane.log");
    eventually("the control plane is starting", || log.exists())?;
    let state: State = serde_json::from_slice(&fs::read(folder.join("state.json"))?)?;
    assert!(state.supervisor.is_alive() && !state.ready);
    up.kill()?;
    up.wait()?;

    eventually("the supervisor has ended", || !state.supervisor.is_alive())?;
    eventually("its children have ended", || processes_below(&folder).is_empty())?;
    assert!(succeed(&folder, &["down"])?.contains("Nothing was running any more"));
    Ok(())
}

/// The processes with the folder in their command line.
fn processes_below(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}

#[test]
fn a_process_that_reuses_a_recorded_id_is_not_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("dev");
    fs::create_dir_all(&folder)?;
    let mut innocent = Command::new("sleep").arg("300").spawn()?;
    let mut stale = serde_json::to_value(Identity::of(innocent.id())?)?;
    let started = stale.get("started_ticks").and_then(Value::as_u64).context("started_ticks is missing")?;
    stale["started_ticks"] = Value::from(started - 1);
    let nothing = Path::new("/nonexistent");
    let plan = Plan {
        repository: nothing.into(),
        kafka_libs: nothing.into(),
        kubectl: nothing.into(),
        cluster: xtask::environment::Cluster::Existing(nothing.into()),
        kafka: xtask::environment::Kafka::Existing("127.0.0.1:1".into()),
        sasl: false,
        operator: None,
    };
    let state = serde_json::json!({
        "supervisor": stale,
        "plan": plan,
        "ready": true,
        "components": [{"name": "kafka", "identity": stale, "address": "", "log": "/nonexistent"}],
        "variables": [],
    });
    fs::write(folder.join("state.json"), state.to_string())?;
    assert!(matches!(Folder::new(&folder).health(), Health::Broken(..)), "the state can be read");

    let text = succeed(&folder, &["down"]);
    let still_there = innocent.try_wait()?.is_none();
    innocent.kill()?;
    innocent.wait()?;
    assert!(text?.contains("Nothing was running any more"));
    assert!(still_there, "another process was killed");
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn unknown_flags_and_conflicting_flags_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let nothing = folder.path().join("dev").display().to_string();
    for (arguments, reason) in [
        (&["up", "--colour"][..], "unexpected argument '--colour'"),
        (&["up", "--no-operator", "--release"], "cannot be used with"),
        (&["up", "--dir", &nothing, "--bootstrap", "nowhere"], "--bootstrap: `nowhere` is not HOST:PORT"),
        (&["up", "--dir", &nothing, "--kubeconfig", "/no/such/file"], "cannot read /no/such/file"),
        (&["logs", "nothing"], "invalid value 'nothing'"),
        (&["logs", "--dir", &nothing], "nothing is up"),
        (&["test", "--only", "nothing"], "invalid value 'nothing'"),
        (&["test", "--only", "lint", "filter"], "--only lint have none"),
        (&["generate", "--dir", &nothing], "unexpected argument '--dir'"),
        (&["bench"], "topics"),
        (&["nonsense"], "unrecognized subcommand 'nonsense'"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} was accepted");
        assert!(text.contains(reason), "{arguments:?} prints: {text}");
    }
    Ok(())
}
