//! Kills databases and writers at random moments under load. All acknowledged records exist, none exists twice, and the logs verify.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::audit::{Filter, LogName};
use eventcenter::store::{Options, Store};
use parking_lot::Mutex;
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use super::database::TestDatabase;
use super::journal::{TestJournal, all, event, in_time, log, options, verify};
use crate::support::until;

const ROUNDS: usize = 20;
const WRITERS: usize = 16;

/// Random number of acknowledgements before a kill.
fn random_count() -> usize {
    usize::try_from(RandomState::new().hash_one(0) % 400).unwrap_or_default() + 5
}

fn logs() -> [LogName; 2] {
    [log("acme"), log("globex")]
}

/// All acknowledged records exist once, and no log has a finding.
async fn check(store: &Store, acknowledged: &[Uuid], round: usize) -> Result<()> {
    let mut found = BTreeSet::new();
    let mut records = 0;
    for log in logs() {
        for stored in all(&store.audit(), &log, &Filter::default(), 500).await? {
            found.insert(stored.record.id);
            records += 1;
        }
        if let Err(finding) = verify(&store.audit(), &log, &[]).await? {
            panic!("round {round}: {log}: {finding}");
        }
    }
    assert_eq!(records, found.len(), "round {round}: a record exists twice");
    let missing: Vec<_> = acknowledged.iter().filter(|id| !found.contains(id)).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let folder = temporary_folder()?;
    let server = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
    let server = Arc::new(Mutex::new(server));
    let store = TestDatabase::on_server(server.clone())?.store().await?;
    let options = Options { timeout: Duration::from_secs(3), ..options("a") };
    let journal = Arc::new(TestJournal::start(&store, options)?);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = tokio_util::sync::CancellationToken::new();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (journal, acknowledged, stop) = (journal.clone(), acknowledged.clone(), stop.clone());
        writers.push(tokio::spawn(async move {
            let mut number = writer;
            while !stop.is_cancelled() {
                // A failed record may exist or not, an acknowledged one has to.
                if let Ok(id) = journal.record(event(&logs()[writer % 2], number)).await {
                    acknowledged.lock().push(id);
                }
                number += WRITERS;
            }
        }));
    }
    let count = || acknowledged.lock().len();
    for round in 0..ROUNDS {
        let target = count() + random_count();
        let load =
            until(async || if count() >= target { Ok(()) } else { Err(format!("{} written", count())) });
        load.await.expect("records are written");
        block_in_place(|| {
            let mut server = server.lock();
            server.kill()?;
            server.start_again()
        })?;
        let recorded = acknowledged.lock().clone();
        // The writers continue, so only existing records are checked.
        let checked = until(async || check_during_writes(&store, &recorded, round).await).await;
        checked.expect("readable again");
    }
    stop.cancel();
    for writer in writers {
        in_time("the writers stop", writer).await?;
    }
    let recorded = acknowledged.lock().clone();
    check(&store, &recorded, ROUNDS).await?;
    assert!(recorded.len() > ROUNDS * 5);
    Arc::into_inner(journal).context("all writers have stopped")?.stop().await
}

/// All acknowledged records exist while others are written. Returns an error if reading fails.
async fn check_during_writes(store: &Store, acknowledged: &[Uuid], round: usize) -> Result<(), String> {
    let mut found = BTreeSet::new();
    for log in logs() {
        let records = all(&store.audit(), &log, &Filter::default(), 500).await;
        found.extend(records.map_err(|error| error.to_string())?.iter().map(|stored| stored.record.id));
    }
    let missing: Vec<_> = acknowledged.iter().filter(|id| !found.contains(id)).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
    Ok(())
}

/// Environment variable of the writer process: the URL of its database.
const DATABASE_VARIABLE: &str = "EVENTCENTER_TEST_STORE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_to_postgres_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let name = "store::crash::a_writer_to_postgres_is_killed_and_nothing_acknowledged_is_missing";
    a_writer_is_killed(TestDatabase::postgres, name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_to_sqlite_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let name = "store::crash::a_writer_to_sqlite_is_killed_and_nothing_acknowledged_is_missing";
    a_writer_is_killed(TestDatabase::sqlite, name).await
}

/// The test program is also the writer process: it runs itself with the name of the test.
async fn a_writer_is_killed(create: fn() -> Result<TestDatabase>, test: &str) -> Result<()> {
    if let Ok(url) = std::env::var(DATABASE_VARIABLE) {
        return write_endlessly(&url).await;
    }
    let database = create()?;
    let store = database.store().await?;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let written = block_in_place(|| {
            // Like the operator, it is killed together with this process.
            let mut writer = xtask::process::child_command(std::env::current_exe()?);
            writer.args(["--exact", "--nocapture", test]).env(DATABASE_VARIABLE, database.url_text());
            run_and_kill(writer, random_count())
        })?;
        acknowledged.extend(written);
        check(&store, &acknowledged, round).await?;
    }
    assert!(acknowledged.len() > ROUNDS * 5);
    store.close().await;
    Ok(())
}

/// Runs a process until it has acknowledged a number of records, kills it, and returns all acknowledged ids.
fn run_and_kill(mut writer: Command, count: usize) -> Result<Vec<Uuid>> {
    writer.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = xtask::process::spawn(writer)?;
    let output = BufReader::new(child.stdout.take().context("standard output is not piped")?);
    let mut ids = Vec::new();
    let mut is_killed = false;
    // Up to the end of the output: lines written before the kill count as well.
    for line in output.lines() {
        ids.extend(line?.strip_prefix("acknowledged ").and_then(|id| id.parse::<Uuid>().ok()));
        if ids.len() >= count && !is_killed {
            child.kill()?;
            is_killed = true;
        }
    }
    child.wait()?;
    anyhow::ensure!(is_killed, "the writer stopped by itself after {} records", ids.len());
    Ok(ids)
}

#[allow(clippy::print_stdout, reason = "the test reads its standard output")]
async fn write_endlessly(url: &str) -> Result<()> {
    let store = Store::open(&url.parse()?)?;
    store.migrate().await?;
    let journal = Arc::new(TestJournal::start(&store, options("writer"))?);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let journal = journal.clone();
        writers.spawn(async move {
            for number in 0.. {
                let id = journal.record(event(&logs()[writer % 2], number)).await?;
                println!("\nacknowledged {id}");
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(())
}
