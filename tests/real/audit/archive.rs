//! A folder with a database, an export, keys and checkpoints, and `eventctl audit` in it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use eventcenter::domain::audit::checkpoint::{Checkpoint, origin};
use eventcenter::domain::audit::export::{End, Header, Line, VERSION};
use eventcenter::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Target, Via};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{Journal, Metrics, Options, Policy, Store, StoreUrl, StoredCheckpoint};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use regex::Regex;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::MAX_WAIT;

/// The exit code, standard output and standard error.
pub(crate) type CommandOutput = (i32, String, String);

/// The clock of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The time now: a log is written within seconds.
    System,
    /// Each reading is a minute after the one before.
    Minutes,
}

impl Clock {
    fn function(self) -> fn() -> Timestamp {
        match self {
            Self::System => now,
            Self::Minutes => next_minute,
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the journal is given a clock, as by the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn next_minute() -> Timestamp {
    static MINUTES: AtomicI64 = AtomicI64::new(0);
    let minute = MINUTES.fetch_add(1, Ordering::Relaxed);
    Timestamp::from_second(1_790_000_000 + 60 * minute).expect("a time")
}

pub(crate) fn shop() -> LogName {
    "shop".parse().expect("a log")
}

pub(crate) fn key(seed: &str) -> SigningKey {
    SigningKey::from_seed(&seed.repeat(32)).expect("a seed")
}

fn event(log: LogName, number: u64) -> Event {
    let actor = Actor { user: "alice".into(), groups: vec!["shop".into()], via: Via::Admission };
    let mut event = Event::new(log, actor, Action::Update, Outcome::Allowed);
    let (kind, namespace) = ("EventTopic".into(), Some("shop".into()));
    event.target = Some(Target { kind, namespace, name: format!("topic-{number}"), uid: None });
    event
}

/// A folder with a closed database of two logs, the keys, checkpoints and an export. The first checkpoint is in the database and
/// in the export.
pub(crate) struct Archive {
    folder: TempDir,
    clock: Clock,
}

impl Archive {
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), clock: Clock::System }
    }

    /// Writes a log of `records` records, of which the first checkpoint covers `signed`.
    pub(crate) async fn create(records: u64, signed: u64, clock: Clock) -> Self {
        let archive = Self { clock, ..Self::empty() };
        let store = archive.open().await;
        archive.fill(&store, &shop(), signed).await;
        let early = archive.sign(&store, &shop()).await;
        store.audit().insert_checkpoint(&shop(), &early).await.expect("the checkpoint is stored");
        archive.fill(&store, &shop(), records - signed).await;
        let platform = LogName::platform();
        archive.fill(&store, &platform, 3).await;
        let signed_platform = archive.sign(&store, &platform).await;
        store.audit().insert_checkpoint(&platform, &signed_platform).await.expect("the checkpoint is stored");
        let late = archive.sign(&store, &shop()).await;
        archive.write("keys.txt", &format!("{}\n", key("5a").public_key()));
        archive.write("other-keys.txt", &format!("{}\n", key("5b").public_key()));
        archive.write("early.note", &early.note);
        archive.write("late.note", &late.note);
        archive.export(&store, &[&early.note]).await;
        store.close().await;
        archive
    }

    /// Opens the database.
    pub(crate) async fn open(&self) -> Store {
        let store = Store::open(&StoreUrl::Sqlite(self.path("audit.db"))).expect("a database");
        store.migrate().await.expect("its tables");
        store
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    async fn fill(&self, store: &Store, log: &LogName, count: u64) {
        self.record(store, (0..count).map(|number| event(log.clone(), number))).await;
    }

    /// Records events.
    pub(crate) async fn record(&self, store: &Store, events: impl IntoIterator<Item = Event>) {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut Registry::default());
        let (policy, instance) = (Policy::Required, "a".into());
        let options = Options { policy, timeout: MAX_WAIT, instance, spool: None };
        let (journal, work) =
            Journal::start(store.clone(), options, metrics, self.clock.function(), stop.clone())
                .expect("a journal");
        let work = tokio::spawn(work);
        let recorder = journal.recorder("webhook");
        let records = events.into_iter().map(|event| recorder.record(event));
        for written in futures::future::join_all(records).await {
            written.expect("the event is recorded");
        }
        stop.cancel();
        work.await.expect("the journal ends");
    }

    /// Signs a checkpoint of a whole log.
    pub(crate) async fn sign(&self, store: &Store, log: &LogName) -> StoredCheckpoint {
        let head = store.audit().read_head(log).await.expect("a head");
        let root = head.range.root().expect("the range begins at 0");
        let checkpoint = Checkpoint { origin: origin("eventcenter", log), size: head.size, root };
        StoredCheckpoint { size: head.size, note: checkpoint.sign(&key("5a")), time: now() }
    }

    /// Exports the whole log with these checkpoints.
    pub(crate) async fn export(&self, store: &Store, notes: &[&str]) {
        let head = store.audit().read_head(&shop()).await.expect("a head");
        let rows = store.audit().read_rows(&shop(), head.first, 10_000).await.expect("rows");
        let dropped = store.audit().read_range(&shop(), 0, head.first).await.expect("the nodes are kept");
        let mut lines = vec![Line::Export(Header {
            version: VERSION.into(),
            installation: "eventcenter".into(),
            log: shop(),
            filter: Filter::default(),
            dropped,
            chain: store.audit().read_first_chain(&shop()).await.expect("a chain"),
            size: head.size,
        })];
        lines.extend(notes.iter().map(|note| Line::Checkpoint((*note).to_owned())));
        let records = rows.len() as u64;
        lines.extend(rows.into_iter().map(|row| {
            let body = String::from_utf8(row.body).expect("text");
            Line::Record(RawValue::from_string(body).expect("JSON"))
        }));
        lines.push(Line::End(End { records }));
        let lines = lines.iter().map(|line| serde_json::to_string(line).expect("JSON") + "\n");
        self.write("shop.ndjson", &lines.collect::<String>());
    }

    /// Writes an edited copy of the export. Record N is in line N + 2, counted from 0.
    pub(crate) fn write_edited(&self, edit: impl FnOnce(&mut Vec<String>)) {
        let text = std::fs::read_to_string(self.path("shop.ndjson")).expect("an export");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        self.write("edited.ndjson", &(lines.join("\n") + "\n"));
    }

    pub(crate) async fn sql(&self, statements: &str) {
        let url = format!("sqlite:{}", self.path("audit.db").display());
        let mut connection = SqliteConnection::connect(&url).await.expect("a database");
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await
            .expect("the statement succeeds");
        connection.close().await.expect("the connection closes");
    }

    /// Runs the program in the folder, without the environment variables of the test process that name a cluster or a server.
    pub(crate) fn eventctl(&self, line: &str) -> CommandOutput {
        self.run(Command::new(env!("CARGO_BIN_EXE_eventctl")), line)
    }

    fn run(&self, mut command: Command, line: &str) -> CommandOutput {
        for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "EVENTCTL_SERVER", "EVENTCTL_TOKEN"] {
            command.env_remove(name);
        }
        let input = match line.contains("--file -") {
            true => Stdio::from(std::fs::File::open(self.path("shop.ndjson")).expect("an export")),
            false => Stdio::null(),
        };
        let command = command.arg("audit").args(line.split_whitespace()).current_dir(self.folder.path());
        let output = command.env("HOME", self.folder.path()).env("TZ", "UTC").stdin(input).output();
        let output = output.expect("eventctl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Runs the program. Asserts its exit code and a part of its output.
    #[track_caller]
    pub(crate) fn check(&self, line: &str, code: i32, part: &str) {
        assert_output(line, &self.eventctl(line), code, part);
    }

    /// As [`Archive::check`], with a limit of the address space.
    #[track_caller]
    pub(crate) fn check_within(&self, limit_kib: u64, line: &str, code: i32, part: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {limit_kib} && exec \"$0\" \"$@\"")]);
        // Memory that is reserved for threads does not count.
        command.arg(env!("CARGO_BIN_EXE_eventctl")).env("MALLOC_ARENA_MAX", "1");
        assert_output(line, &self.run(command, line), code, part);
    }
}

/// Asserts an exit code and a part of the output. Ids are replaced.
#[track_caller]
fn assert_output(line: &str, (actual, out, err): &CommandOutput, code: i32, part: &str) {
    assert_eq!(*actual, code, "{line}\n{out}{err}");
    let id = Regex::new("[0-9a-f]{8}-[0-9a-f-]{27}").expect("a pattern");
    let output = format!("{out}{err}");
    let output = id.replace_all(&output, "ID");
    assert!(output.contains(part), "{line}\nexpected: {part}\noutput: {output}");
}
