//! Child processes that end with this process.
//!
//! Every child is started through `setpriv --pdeathsig KILL`: when this process dies, for whatever reason, the kernel
//! kills the child. The kernel ties that to the *thread* that forked, so one thread, which never ends, forks all children.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Mutex, OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;

use crate::{interrupt, procfs::Identity};

const POLL: Duration = Duration::from_millis(40);

/// How long output may lag behind the end of the process that wrote it.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The prefix of a command line that makes the kernel kill the process when its parent dies.
pub const KILL_WITH_PARENT: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// A command that the kernel kills when the process that started it dies.
pub fn child_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(KILL_WITH_PARENT[0]);
    command.args(&KILL_WITH_PARENT[1..]).arg(program);
    command
}

/// The prefix of a command line that gives a process a low scheduling priority.
const LOW_PRIORITY: [&str; 3] = ["nice", "-n", "15"];

/// As [`child_command`], with a low scheduling priority.
pub fn low_priority_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = child_command(LOW_PRIORITY[0]);
    command.args(&LOW_PRIORITY[1..]).arg(program);
    command
}

type SpawnRequest = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child on the one thread that lasts as long as the process.
pub fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<SpawnRequest>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes has ended");
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = mpsc::channel::<SpawnRequest>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                // If the requesting thread died, no code owns the child.
                if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                    let _ = child.kill();
                }
            }
        });
        Mutex::new(requests)
    });
    let (reply, answer) = mpsc::channel();
    spawner.lock().map_err(|_| gone())?.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// The command line as a user would type it, without these prefixes.
pub fn describe(command: &Command) -> String {
    let arguments: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments =
        arguments.strip_prefix(KILL_WITH_PARENT.map(str::to_owned).as_slice()).unwrap_or(&arguments);
    let arguments = arguments.strip_prefix(LOW_PRIORITY.map(str::to_owned).as_slice()).unwrap_or(arguments);
    arguments.iter().map(|argument| crate::env_file::quote_if_needed(argument)).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end and returns its output. An interrupt ends it early.
pub fn output(mut command: Command) -> Result<Output> {
    let line = describe(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command).with_context(|| format!("cannot start `{line}`"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = wait(&mut child)?;
    let join = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status, stdout: join(stdout), stderr: join(stderr) })
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A broken pipe means that the child has ended: the output is what came before.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Runs a command to its end and returns its standard output. A failure is an error with the last lines of the output.
pub fn run(command: Command) -> Result<String> {
    let line = describe(&command);
    let output = output(command)?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("`{line}` failed ({}):\n{}", output.status, last_lines(&String::from_utf8_lossy(&text), 30));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command on this process's own terminal. An interrupt ends it early.
pub fn run_attached(command: Command) -> Result<ExitStatus> {
    let line = describe(&command);
    let mut child = spawn(command).with_context(|| format!("cannot start `{line}`"))?;
    wait(&mut child)
}

/// Runs a command to its end and passes each line of its standard output to `each` as it arrives. Standard error is
/// inherited. An interrupt ends it early.
pub fn run_lines(mut command: Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let line = describe(&command);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = spawn(command).with_context(|| format!("cannot start `{line}`"))?;
    let (sender, lines) = mpsc::channel::<String>();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut bytes = Vec::new();
            while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
                bytes.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
    }
    loop {
        match lines.recv_timeout(POLL) {
            Ok(text) => each(&text),
            Err(mpsc::RecvTimeoutError::Disconnected) => return wait(&mut child),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // A grandchild that still runs may hold standard output open.
                if interrupt::requested() || child.try_wait()?.is_some() {
                    let status = wait(&mut child)?;
                    while let Ok(text) = lines.recv_timeout(LAST_LINES) {
                        each(&text);
                    }
                    return Ok(status);
                }
            }
        }
    }
}

/// Waits for a child. After an interrupt it ends the child and returns an error.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            interrupt::check()?;
            return Ok(status);
        }
        if interrupt::requested() {
            stop_child(child, Duration::from_secs(5))?;
            interrupt::check()?;
        }
        thread::sleep(POLL);
    }
}

fn stop_child(child: &mut Child, grace: Duration) -> io::Result<ExitStatus> {
    let identity = Identity::of(child.id())?;
    identity.signal(Signal::TERM)?;
    // A stopped process receives SIGTERM only after it continues.
    identity.signal(Signal::CONT)?;
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    child.wait()
}

/// Ends a process that is not our child: SIGTERM, then SIGKILL after the grace period.
pub fn terminate(identity: &Identity, grace: Duration) -> Result<()> {
    identity.signal(Signal::TERM)?;
    identity.signal(Signal::CONT)?;
    if wait_until_gone(identity, grace) {
        return Ok(());
    }
    identity.signal(Signal::KILL)?;
    if !wait_until_gone(identity, Duration::from_secs(10)) {
        bail!("process {} still runs after SIGKILL", identity.pid);
    }
    Ok(())
}

fn wait_until_gone(identity: &Identity, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while identity.is_alive() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// A long-running child with its own log and its own process group, so that ^C in the terminal does not reach it.
/// Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    name: String,
    child: Child,
    identity: Identity,
    log: PathBuf,
    log_start: u64,
}

impl Service {
    /// Starts the command with its output appended to the log.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        let log_start = file.metadata()?.len();
        let line = describe(&command);
        command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file).process_group(0);
        let child = spawn(command).with_context(|| format!("cannot start `{line}`"))?;
        // The child has not been reaped yet, so the id is still its own even if it has ended.
        let identity = Identity::of(child.id())?;
        Ok(Self { name: name.to_owned(), child, identity, log: log.to_owned(), log_start })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Identifies the process, also for other programs.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has written to its log since its start.
    pub fn output(&self) -> Result<String> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.log_start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The exit status, once it has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.identity.signal(signal)?;
        Ok(())
    }

    /// Waits until `ready` returns a value. If the process ends or the limit passes, the error has the last lines of the log.
    pub fn wait_ready<T>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited()? {
                return Err(self.failure(&format!("ended before it was ready ({status})")));
            }
            if let Some(answer) = ready(self)? {
                return Ok(answer);
            }
            interrupt::check()?;
            if Instant::now() >= deadline {
                return Err(self.failure(&format!("was not ready within {} s", limit.as_secs())));
            }
            thread::sleep(POLL);
        }
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let tail = self.output().map(|text| last_lines(&text, 25)).unwrap_or_default();
        let tail = if tail.is_empty() { "(it wrote nothing)".to_owned() } else { tail };
        anyhow!("{} {what}. The end of its log {}:\n{tail}", self.name, self.log.display())
    }

    /// Ends it: SIGTERM, then SIGKILL after the grace period.
    pub fn stop(mut self, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        stop_child(&mut self.child, grace).with_context(|| format!("cannot stop {}", self.name))
    }

    /// Kills it with SIGKILL, as a crash would end it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The last `count` lines of a file; empty if it cannot be read.
pub fn tail(path: &Path, count: usize) -> String {
    fs::read(path).map(|bytes| last_lines(&String::from_utf8_lossy(&bytes), count)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_quoted_as_typed() {
        let mut command = child_command("kubectl");
        command.args(["get", "topic", "it's", "a b"]);
        assert_eq!(describe(&command), r"kubectl get topic 'it'\''s' 'a b'");
        assert_eq!(describe(&low_priority_command("cargo")), "cargo");
    }

    #[test]
    fn last_lines_returns_the_end_of_a_text() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
        assert_eq!(last_lines("", 5), "");
    }

    #[test]
    fn the_error_of_a_command_contains_its_output() {
        let mut command = child_command("sh");
        command.args(["-c", "echo to-out; echo to-err >&2; exit 3"]);
        let error = run(command).expect_err("the exit code is 3").to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("to-out") && error.contains("to-err"),
            "{error}"
        );
    }

    #[test]
    fn lines_arrive_in_order() {
        let mut command = low_priority_command("sh");
        command.args(["-c", "sleep 5 & echo one; echo two; exit 3"]);
        let mut lines = Vec::new();
        let status = run_lines(command, |line| lines.push(line.to_owned())).expect("the command runs");
        assert_eq!((lines, status.code()), (vec!["one".to_owned(), "two".to_owned()], Some(3)));
    }

    #[test]
    fn a_child_outlives_the_thread_that_started_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let starting = thread::spawn(move || {
            let mut command = child_command("sleep");
            command.arg("60");
            Service::start("sleep", command, &log)
        });
        let mut service = starting.join().expect("no panic").expect("the service starts");
        thread::sleep(Duration::from_millis(200));
        assert!(service.exited().expect("the process is our child").is_none(), "killed with its thread");
        service.stop(Duration::from_secs(5)).expect("the service stops");
    }

    #[test]
    fn a_service_that_ends_early_is_reported_with_its_log() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = child_command("sh");
        command.args(["-c", "echo no such luck; exit 7"]);
        let mut service =
            Service::start("thing", command, &dir.path().join("log")).expect("the service starts");
        let error = service
            .wait_ready(Duration::from_secs(5), |_| Ok(None::<()>))
            .expect_err("the service has ended");
        let error = error.to_string();
        assert!(error.contains("thing ended before it was ready"), "{error}");
        assert!(error.contains("no such luck"), "{error}");
    }

    #[test]
    fn a_paused_service_can_be_stopped() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = child_command("sleep");
        command.arg("60");
        let service = Service::start("sleep", command, &dir.path().join("log")).expect("the service starts");
        service.signal(Signal::STOP).expect("the signal is sent");
        let begun = Instant::now();
        service.stop(Duration::from_secs(20)).expect("the service stops");
        assert!(begun.elapsed() < Duration::from_secs(10), "the service had to be killed");
    }
}
