//! `eventctl audit`: verifies that a database or an export is unchanged.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use eventcenter::domain::audit::checkpoint::{Checkpoint, origin};
use eventcenter::domain::audit::export::{End, Header, Line, VERSION};
use eventcenter::domain::audit::merkle::{Hash, Range};
use eventcenter::domain::audit::{Action, Actor, Event, Filter, LogName, Outcome, Target, Via};
use eventcenter::domain::signature::SigningKey;
use eventcenter::store::{Journal, Metrics, Options, Policy, Store, StoreUrl, StoredCheckpoint};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use regex::Regex;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::MAX_WAIT;

/// The number of records, and how many of them a checkpoint in the database covers.
const ALL: u64 = 300;
const SIGNED: u64 = 200;

/// The exit code, standard output and standard error.
type CommandOutput = (i32, String, String);

#[allow(clippy::disallowed_methods, reason = "the journal is given a clock, as by the program")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn shop() -> LogName {
    "shop".parse().expect("a log")
}

fn key(seed: &str) -> SigningKey {
    SigningKey::from_seed(&seed.repeat(32)).expect("a seed")
}

fn event(log: LogName, number: u64) -> Event {
    let actor = Actor { user: "alice".into(), groups: vec!["shop".into()], via: Via::Admission };
    let mut event = Event::new(log, actor, Action::Update, Outcome::Allowed);
    let (kind, namespace) = ("EventTopic".into(), Some("shop".into()));
    event.target = Some(Target { kind, namespace, name: format!("topic-{number}"), uid: None });
    event
}

/// A folder with a closed database of two logs, the keys, checkpoints and an export.
struct Archive(TempDir);

impl Archive {
    async fn new() -> Self {
        let archive = Self(tempfile::tempdir().expect("a folder"));
        let store = Store::open(&StoreUrl::Sqlite(archive.path("audit.db"))).expect("a database");
        store.migrate().await.expect("its tables");
        archive.fill(&store, &shop(), SIGNED).await;
        let early = archive.sign_checkpoint(&store).await;
        store.audit().insert_checkpoint(&shop(), &early).await.expect("the checkpoint is stored");
        archive.fill(&store, &shop(), ALL - SIGNED).await;
        archive.fill(&store, &LogName::platform(), 3).await;
        let late = archive.sign_checkpoint(&store).await;
        archive.write("keys.txt", &format!("{}\n", key("5a").public_key()));
        archive.write("other-keys.txt", &format!("{}\n", key("5b").public_key()));
        archive.write("early.note", &early.note);
        archive.write("late.note", &late.note);
        archive.export(&store, &early.note).await;
        store.close().await;
        archive
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    async fn fill(&self, store: &Store, log: &LogName, count: u64) {
        let stop = CancellationToken::new();
        let metrics = Metrics::register(&mut Registry::default());
        let (policy, instance) = (Policy::Required, "a".into());
        let options = Options { policy, timeout: MAX_WAIT, instance, spool: None };
        let (journal, work) =
            Journal::start(store.clone(), options, metrics, now, stop.clone()).expect("a journal");
        let work = tokio::spawn(work);
        let recorder = journal.recorder("webhook");
        let records = (0..count).map(|number| recorder.record(event(log.clone(), number)));
        for written in futures::future::join_all(records).await {
            written.expect("the event is recorded");
        }
        stop.cancel();
        work.await.expect("the journal ends");
    }

    /// Signs a checkpoint of the whole log.
    async fn sign_checkpoint(&self, store: &Store) -> StoredCheckpoint {
        let head = store.audit().read_head(&shop()).await.expect("a head");
        let root = head.range.root().expect("the range begins at 0");
        let checkpoint = Checkpoint { origin: origin("eventcenter", &shop()), size: head.size, root };
        StoredCheckpoint { size: head.size, note: checkpoint.sign(&key("5a")), time: now() }
    }

    /// An export of the whole log, with a checkpoint.
    async fn export(&self, store: &Store, note: &str) {
        let rows = store.audit().read_rows(&shop(), 0, 1000).await.expect("rows");
        let mut lines = vec![
            Line::Export(Header {
                version: VERSION.into(),
                installation: "eventcenter".into(),
                log: shop(),
                filter: Filter::default(),
                dropped: Range::empty(0),
                chain: Hash([0; 32]),
                size: ALL,
            }),
            Line::Checkpoint(note.to_owned()),
        ];
        lines.extend(rows.into_iter().map(|row| {
            let body = String::from_utf8(row.body).expect("text");
            Line::Record(RawValue::from_string(body).expect("JSON"))
        }));
        lines.push(Line::End(End { records: ALL }));
        let lines = lines.iter().map(|line| serde_json::to_string(line).expect("JSON") + "\n");
        self.write("shop.ndjson", &lines.collect::<String>());
    }

    /// Writes an edited copy of the export. Record N is in line N + 2, counted from 0.
    fn write_edited(&self, edit: impl FnOnce(&mut Vec<String>)) {
        let text = std::fs::read_to_string(self.path("shop.ndjson")).expect("an export");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        self.write("edited.ndjson", &(lines.join("\n") + "\n"));
    }

    async fn sql(&self, statement: &'static str) {
        let url = format!("sqlite:{}", self.path("audit.db").display());
        let mut connection = SqliteConnection::connect(&url).await.expect("a database");
        connection.execute(statement).await.expect("the statement succeeds");
        connection.close().await.expect("the connection closes");
    }

    /// Runs the program in the folder, without the environment variables of the test process that name a cluster or a server.
    fn eventctl(&self, line: &str) -> CommandOutput {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventctl"));
        for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "EVENTCTL_SERVER", "EVENTCTL_TOKEN"] {
            command.env_remove(name);
        }
        let input = match line.contains("--file -") {
            true => Stdio::from(std::fs::File::open(self.path("shop.ndjson")).expect("an export")),
            false => Stdio::null(),
        };
        let command = command.arg("audit").args(line.split_whitespace()).current_dir(self.0.path());
        let output = command.env("HOME", self.0.path()).env("TZ", "UTC").stdin(input).output();
        let output = output.expect("eventctl runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Runs the program. Asserts its exit code and a part of its output.
    #[track_caller]
    fn check(&self, line: &str, code: i32, part: &str) {
        let (actual, out, err) = self.eventctl(line);
        assert_eq!(actual, code, "{line}\n{out}{err}");
        let id = Regex::new("[0-9a-f]{8}-[0-9a-f-]{27}").expect("a pattern");
        let output = format!("{out}{err}");
        let output = id.replace_all(&output, "ID");
        assert!(output.contains(part), "{line}\nexpected: {part}\noutput: {output}");
    }
}

#[tokio::test]
async fn an_export_is_verified_offline() {
    let archive = Archive::new().await;
    let (code, out, err) = archive.eventctl("verify --file shop.ndjson --key keys.txt");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(lines[0], "shop: 300 records (0 to 299) are intact");
    assert!(lines[1].starts_with("  size 300, root ") && lines[1].ends_with('…'), "{out}");
    assert_eq!(
        lines[2],
        "  1 checkpoint, signed by a trusted key, up to 200 records; no checkpoint covers the last 100"
    );

    archive.check("verify --file - --key keys.txt", 0, "are intact");
    let all = "2 checkpoints, signed by a trusted key, and all records are covered";
    archive.check("verify --file shop.ndjson --key keys.txt --checkpoint late.note", 0, all);
    archive.check("verify --file shop.ndjson --key other-keys.txt --key keys.txt", 0, "are intact");
    archive.check(
        "verify --file shop.ndjson",
        2,
        "no signature was verified, because no public key is known",
    );
    archive.check("verify --file shop.ndjson --unsigned", 0, "are intact");

    let (code, out, _) = archive.eventctl("verify --file shop.ndjson --key keys.txt -o json");
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer[0]["right"], &answer[0]["verified"]["signed"]), (0, &true.into(), &200.into()));
}

#[tokio::test]
async fn tampering_with_an_export_is_detected() {
    let archive = Archive::new().await;
    let verify = "verify --file edited.ndjson --key keys.txt";
    let assert_detected = |part: &str| archive.check(verify, 1, part);

    archive.write_edited(|lines| lines[9] = lines[9].replace("alice", "mallory"));
    assert_detected(
        "shop: records between 0 and 199 were rewritten: their root does not match the checkpoint in line 2",
    );
    archive.write_edited(|lines| drop(lines.remove(9)));
    assert_detected("shop: record 7 is missing");
    archive.write_edited(|lines| lines.swap(9, 10));
    assert_detected("shop: records 7 and 8 were swapped");
    archive.write_edited(|lines| lines.insert(10, lines[9].clone()));
    assert_detected("shop: the record at position 8 (ID) was inserted");
    archive.write_edited(|lines| lines[1] = lines[1].replace("\\n200\\n", "\\n199\\n"));
    assert_detected("the checkpoint in line 2 is not trusted: the signature is invalid");
    archive.check("verify --file shop.ndjson --key other-keys.txt", 1, "not signed by a trusted key");

    // A consistent truncation is detectable only with a later checkpoint.
    archive.write_edited(|lines| {
        lines.truncate(252);
        lines.push("{\"end\":{\"records\":250}}".into());
        lines[0] = lines[0].replace("\"size\":300", "\"size\":250");
    });
    archive.check(verify, 0, "250 records (0 to 249) are intact");
    let late = format!("{verify} --checkpoint late.note");
    archive.check(
        &late,
        1,
        "the log was truncated: it has 250 records, 300 according to the checkpoint of 300",
    );
    archive.check(&late, 1, "what to do: keep the database");

    // So is a change after the last checkpoint of the export.
    archive.write_edited(|lines| lines[280] = lines[280].replace("alice", "mallory"));
    archive.check(verify, 0, "are intact");
    archive.check(&late, 1, "shop: records between 200 and 299 were rewritten: their root does not match");
    let (code, out, _) = archive.eventctl(&format!("{late} -o json"));
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer[0]["findings"][0]["finding"]), (1, &"Root".into()), "{out}");
}

#[tokio::test]
async fn unverifiable_input_is_an_error() {
    let archive = Archive::new().await;
    archive.write_edited(|lines| lines.truncate(100));
    archive.write("none.txt", "none\n");
    for (line, part) in [
        ("verify --file edited.ndjson --key keys.txt", "edited.ndjson: line 101: unexpected end of file"),
        ("verify --file none.txt --key keys.txt", "none.txt: line 1: this is not an export"),
        ("verify --file gone.ndjson --key keys.txt", "reading gone.ndjson: No such file"),
        ("verify --file shop.ndjson --key none.txt", "none.txt: the file has no public key"),
        (
            "verify --file shop.ndjson --checkpoint late.note",
            "--checkpoint cannot be verified without a public key",
        ),
        (
            "verify --file shop.ndjson --key keys.txt --checkpoint none.txt",
            "none.txt: not a signed checkpoint: the note has no signature",
        ),
        ("verify --file shop.ndjson --key keys.txt --tenant other", "this is the log shop, not other"),
        (
            "verify --file shop.ndjson --key keys.txt --installation x",
            "of the installation eventcenter, not of x",
        ),
        ("verify --file shop.ndjson --store sqlite:audit.db", "cannot be used with"),
        ("verify --file shop.ndjson --cluster", "no configuration to reach Kubernetes"),
        ("verify --store sqlite:gone.db --key keys.txt", "there is no database gone.db"),
        ("verify --store mysql:x --key keys.txt", "write sqlite:FILE or postgres://"),
        ("verify --key keys.txt", "give --server URL, or set EVENTCTL_SERVER"),
        ("list", "give --server URL, or set EVENTCTL_SERVER"),
        ("list --server http://eventcenter.example.com --token x", "http is not encrypted"),
        ("list --server https://127.0.0.1:1", "finding a token (give --token, or set EVENTCTL_TOKEN)"),
        ("list --server http://127.0.0.1:1 --token x", "the server cannot be reached"),
        ("list --since soon", "\"soon\" is not a time"),
        ("list --action Dance", "is none of: Create, Update"),
        ("list --limit 0", "--limit"),
        ("show 17", "<ID>"),
        ("tail --server http://127.0.0.1:1 --token x", "the server cannot be reached"),
    ] {
        archive.check(line, 2, part);
    }
    let to = "export --server http://127.0.0.1:1 --token x --to out.ndjson";
    archive.check(to, 2, "the server cannot be reached");
    assert!(!archive.path("out.ndjson").exists());
}

#[tokio::test]
async fn a_database_is_verified_without_the_operator() {
    let archive = Archive::new().await;
    let verify = "verify --store sqlite:audit.db --key keys.txt";
    archive.check(verify, 0, "_platform: 3 records (0 to 2) are intact");
    archive.check(verify, 0, "shop: 300 records (0 to 299) are intact");
    archive.check("verify --store sqlite:audit.db", 2, "no signature was verified");
    archive.check(&format!("{verify} --tenant shop --checkpoint late.note"), 0, "all records are covered");
    archive.check(
        &format!("{verify} --tenant _platform --checkpoint late.note"),
        2,
        "which was not verified",
    );
    archive.check(&format!("{verify} --installation x"), 1, "is not trusted");

    archive
        .sql(
            "UPDATE audit_record SET body = replace(body, 'alice', 'mallory') WHERE log = 'shop' AND seq = 7",
        )
        .await;
    archive.check(verify, 1, "shop: record 7 (ID) was edited: its content does not match its hash");
    archive.check(verify, 1, "  record: ID, ");
    archive.check(verify, 1, "mallory, Update EventTopic shop/topic-7, Allowed");
    archive.check(verify, 1, "_platform: 3 records (0 to 2) are intact");
    archive
        .sql(
            "UPDATE audit_record SET body = replace(body, 'mallory', 'alice') WHERE log = 'shop' AND seq = 7",
        )
        .await;
    archive.check(verify, 0, "shop: 300 records");

    archive.sql("UPDATE audit_record SET actor = 'mallory' WHERE log = 'shop' AND seq = 8").await;
    archive.check(verify, 1, "shop: record 8 (ID): the column actor does not match its content");
    archive.sql("UPDATE audit_record SET actor = 'alice' WHERE log = 'shop' AND seq = 8").await;

    archive.sql("DELETE FROM audit_record WHERE log = 'shop' AND seq >= 290").await;
    archive.check(verify, 1, "shop: the log was truncated: it has 290 records, 300 according to");
    // A deleted log is detectable only with a checkpoint of it.
    archive.sql("DELETE FROM audit_record WHERE log = 'shop'").await;
    archive.sql("DELETE FROM audit_head WHERE log = 'shop'").await;
    archive.sql("DELETE FROM audit_checkpoint").await;
    archive.check(verify, 0, "_platform");
    archive.check(
        &format!("{verify} --checkpoint early.note"),
        1,
        "shop: the log was truncated: it has 0 records, 256 according to a stored tree node",
    );
}

#[test]
fn help_lists_examples_and_exit_codes() {
    let archive = Archive(tempfile::tempdir().expect("a folder"));
    for command in ["list", "show", "export", "verify", "tail"] {
        let (code, out, _) = archive.eventctl(&format!("{command} --help"));
        assert_eq!(code, 0, "{command}");
        assert!(out.contains(&format!("  eventctl audit {command} ")) && out.contains("Exit codes"), "{out}");
    }
}
