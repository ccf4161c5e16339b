//! Child processes that never outlive their reason.
//!
//! Every child is started through `setpriv --pdeathsig KILL`: when this process dies, however it dies, the kernel kills
//! the child. The kernel ties that to the *thread* that forked, so all children are forked by one thread that never ends.

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

/// The words to put before a command line so that it dies with whoever starts it.
pub const MORTAL: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// A command that the kernel kills when the process that started it dies.
pub fn mortal(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(MORTAL[0]);
    command.args(&MORTAL[1..]).arg(program);
    command
}

/// How much a [`background`] process steps back behind others.
const NICENESS: [&str; 3] = ["nice", "-n", "15"];

/// A mortal command that leaves the processors to others that want them.
pub fn background(program: impl AsRef<OsStr>) -> Command {
    let mut command = mortal(NICENESS[0]);
    command.args(&NICENESS[1..]).arg(program);
    command
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Forks on the one thread that lasts as long as the process.
pub fn spawn(command: Command) -> io::Result<Child> {
    static FORKER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let forker = FORKER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                // Nobody waits for the answer only if the asking thread died; the child is then nobody's.
                if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                    let _ = child.kill();
                }
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = mpsc::channel();
    forker.lock().map_err(|_| gone())?.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// The command line as a person would type it.
pub fn describe(command: &Command) -> String {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words = words.strip_prefix(MORTAL.map(str::to_owned).as_slice()).unwrap_or(&words);
    let words = words.strip_prefix(NICENESS.map(str::to_owned).as_slice()).unwrap_or(words);
    words.iter().map(|word| crate::env_file::quote_if_needed(word)).collect::<Vec<_>>().join(" ")
}

/// Runs to the end and returns what was printed; the wait ends early if the end is asked for.
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
            // A broken pipe means the child is gone: what came before it is the output.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Like [`output`], but an error with the tail of what it said unless it ended well. Returns its standard output.
pub fn run(command: Command) -> Result<String> {
    let line = describe(&command);
    let output = output(command)?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("`{line}` failed ({}):\n{}", output.status, last_lines(&String::from_utf8_lossy(&text), 30));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs with this process's own terminal, and ends it when the end is asked for.
pub fn run_attached(command: Command) -> Result<ExitStatus> {
    let line = describe(&command);
    let mut child = spawn(command).with_context(|| format!("cannot start `{line}`"))?;
    wait(&mut child)
}

/// Runs to the end and hands over each line of its standard output as it comes; its standard error is this process's own.
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
                // A process that it left behind may hold its standard output open.
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

/// Waits for a child; if the end is asked for, ends the child first and returns an error.
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
    // A stopped process gets its TERM only when it goes on.
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

/// Ends a process that is not our child: SIGTERM, and SIGKILL if it is still there after the grace.
pub fn terminate(identity: &Identity, grace: Duration) -> Result<()> {
    identity.signal(Signal::TERM)?;
    identity.signal(Signal::CONT)?;
    if wait_until_gone(identity, grace) {
        return Ok(());
    }
    identity.signal(Signal::KILL)?;
    if !wait_until_gone(identity, Duration::from_secs(10)) {
        bail!("process {} does not end, even after SIGKILL", identity.pid);
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

/// A long-running child with a log of its own, in a process group of its own (^C in the terminal is not for it).
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
        // Not yet waited for, so the id is still this child's even if it has ended already.
        let identity = Identity::of(child.id())?;
        Ok(Self { name: name.to_owned(), child, identity, log: log.to_owned(), log_start })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    /// Who it is, to be kept beyond this process.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has written since it was started.
    pub fn output(&self) -> Result<String> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(self.log_start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.identity.signal(signal)?;
        Ok(())
    }

    /// Waits until `ready` has an answer. An error with the end of the log if it ends or takes too long instead.
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

    /// SIGTERM, and SIGKILL if it is still there after the grace.
    pub fn stop(mut self, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        stop_child(&mut self.child, grace).with_context(|| format!("cannot stop {}", self.name))
    }

    /// SIGKILL, as a crash would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have been collected already, then both say so and there is nothing to do.
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
    fn a_command_line_is_described_as_typed() {
        let mut command = mortal("kubectl");
        command.args(["get", "topic", "it's", "a b"]);
        assert_eq!(describe(&command), r"kubectl get topic 'it'\''s' 'a b'");
        assert_eq!(describe(&background("cargo")), "cargo");
    }

    #[test]
    fn the_last_lines_are_the_last() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 5), "a");
        assert_eq!(last_lines("", 5), "");
    }

    #[test]
    fn a_failing_command_says_what_it_said() {
        let mut command = mortal("sh");
        command.args(["-c", "echo to-out; echo to-err >&2; exit 3"]);
        let error = run(command).expect_err("it exits with 3").to_string();
        assert!(
            error.contains("exit status: 3") && error.contains("to-out") && error.contains("to-err"),
            "{error}"
        );
    }

    #[test]
    fn lines_are_handed_over_in_order() {
        let mut command = background("sh");
        command.args(["-c", "sleep 5 & echo one; echo two; exit 3"]);
        let mut lines = Vec::new();
        let status = run_lines(command, |line| lines.push(line.to_owned())).expect("it runs");
        assert_eq!((lines, status.code()), (vec!["one".to_owned(), "two".to_owned()], Some(3)));
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let asked = thread::spawn(move || {
            let mut command = mortal("sleep");
            command.arg("60");
            Service::start("sleep", command, &log)
        });
        let mut service = asked.join().expect("no panic").expect("it starts");
        thread::sleep(Duration::from_millis(200));
        assert!(service.exited().expect("it can be asked").is_none(), "killed with its thread");
        service.stop(Duration::from_secs(5)).expect("it stops");
    }

    #[test]
    fn a_service_that_ends_early_is_reported_with_its_log() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = mortal("sh");
        command.args(["-c", "echo no such luck; exit 7"]);
        let mut service = Service::start("thing", command, &dir.path().join("log")).expect("it starts");
        let error = service.wait_ready(Duration::from_secs(5), |_| Ok(None::<()>)).expect_err("it ends");
        let error = error.to_string();
        assert!(error.contains("thing ended before it was ready"), "{error}");
        assert!(error.contains("no such luck"), "{error}");
    }

    #[test]
    fn a_paused_service_can_be_stopped() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut command = mortal("sleep");
        command.arg("60");
        let service = Service::start("sleep", command, &dir.path().join("log")).expect("it starts");
        service.signal(Signal::STOP).expect("it pauses");
        let begun = Instant::now();
        service.stop(Duration::from_secs(20)).expect("it stops");
        assert!(begun.elapsed() < Duration::from_secs(10), "it had to be killed");
    }
}
