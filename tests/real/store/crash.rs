//! Databases and writers are killed at random moments under load. Nothing that was acknowledged is missing, nothing is there
//! twice, and chain and tree hold.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use eventcenter::domain::audit::{Filter, LogName};
use eventcenter::store::{Options, Store};
use tokio::task::block_in_place;
use uuid::Uuid;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use super::keeper::{Keeper, all, event, in_time, log, options, verify};
use super::place::{Place, lock};
use crate::support::until;

const ROUNDS: usize = 20;
const WRITERS: usize = 16;

/// How many acknowledgements there are before something is killed.
fn some() -> usize {
    usize::try_from(RandomState::new().hash_one(0) % 400).unwrap_or_default() + 5
}

fn logs() -> [LogName; 2] {
    [log("acme"), log("globex")]
}

/// Everything that was acknowledged is there, nothing is there twice, and nothing is found.
async fn holds(store: &Store, acknowledged: &[Uuid], round: usize) -> Result<()> {
    let mut there = BTreeSet::new();
    let mut records = 0;
    for log in logs() {
        for stored in all(&store.audit(), &log, &Filter::default(), 500).await? {
            there.insert(stored.record.id);
            records += 1;
        }
        if let Err(finding) = verify(&store.audit(), &log, &[]).await? {
            panic!("round {round}: {log}: {finding}");
        }
    }
    assert_eq!(records, there.len(), "round {round}: a record is there twice");
    let missing: Vec<_> = acknowledged.iter().filter(|id| !there.contains(id)).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let folder = temporary_folder()?;
    let server = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
    let server = Arc::new(Mutex::new(server));
    let store = Place::on(server.clone())?.store().await?;
    let options = Options { timeout: Duration::from_secs(3), ..options("a") };
    let keeper = Arc::new(Keeper::start(&store, options)?);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let stop = tokio_util::sync::CancellationToken::new();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (keeper, acknowledged, stop) = (keeper.clone(), acknowledged.clone(), stop.clone());
        writers.push(tokio::spawn(async move {
            let mut number = writer;
            while !stop.is_cancelled() {
                // One that fails may be there or not; one that is acknowledged must be.
                if let Ok(id) = keeper.record(event(&logs()[writer % 2], number)).await {
                    acknowledged.lock().expect("no panic").push(id);
                }
                number += WRITERS;
            }
        }));
    }
    let count = || acknowledged.lock().expect("no panic").len();
    for round in 0..ROUNDS {
        let enough = count() + some();
        let load =
            until(async || if count() >= enough { Ok(()) } else { Err(format!("{} written", count())) });
        load.await.expect("records are written");
        block_in_place(|| {
            let mut server = lock(&server);
            server.kill()?;
            server.start_again()
        })?;
        let known = acknowledged.lock().expect("no panic").clone();
        // The writers go on meanwhile: what is verified is what there was at one moment.
        let settled = until(async || holds_at_a_moment(&store, &known, round).await).await;
        settled.expect("it can be read again");
    }
    stop.cancel();
    for writer in writers {
        in_time("the writers end", writer).await?;
    }
    let known = acknowledged.lock().expect("no panic").clone();
    holds(&store, &known, ROUNDS).await?;
    assert!(known.len() > ROUNDS * 5);
    Arc::into_inner(keeper).context("its writers have ended")?.end().await
}

/// While others write: every acknowledged record of that moment is there. An error is one of reading.
async fn holds_at_a_moment(store: &Store, acknowledged: &[Uuid], round: usize) -> Result<(), String> {
    let mut there = BTreeSet::new();
    for log in logs() {
        let found = all(&store.audit(), &log, &Filter::default(), 500).await;
        there.extend(found.map_err(|error| error.to_string())?.iter().map(|stored| stored.record.id));
    }
    let missing: Vec<_> = acknowledged.iter().filter(|id| !there.contains(id)).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
    Ok(())
}

/// Set for the process that writes: which database.
const DATABASE: &str = "EVENTCENTER_TEST_STORE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_to_postgres_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let name = "store::crash::a_writer_to_postgres_is_killed_and_nothing_acknowledged_is_missing";
    a_writer_is_killed(Place::postgres, name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_to_sqlite_is_killed_and_nothing_acknowledged_is_missing() -> Result<()> {
    let name = "store::crash::a_writer_to_sqlite_is_killed_and_nothing_acknowledged_is_missing";
    a_writer_is_killed(Place::sqlite, name).await
}

/// The test of that name is also the process that is killed: it calls its own program.
async fn a_writer_is_killed(place: fn() -> Result<Place>, test: &str) -> Result<()> {
    if let Ok(url) = std::env::var(DATABASE) {
        return write_for_ever(&url).await;
    }
    let place = place()?;
    let store = place.store().await?;
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let written = block_in_place(|| {
            // As the operator would be started: it dies with this process in any case.
            let mut writer = xtask::process::child_command(std::env::current_exe()?);
            writer.args(["--exact", "--nocapture", test]).env(DATABASE, place.url_text());
            killed_after(writer, some())
        })?;
        acknowledged.extend(written);
        holds(&store, &acknowledged, round).await?;
    }
    assert!(acknowledged.len() > ROUNDS * 5);
    store.close().await;
    Ok(())
}

/// What a process acknowledges before it is killed.
fn killed_after(mut writer: Command, count: usize) -> Result<Vec<Uuid>> {
    writer.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = xtask::process::spawn(writer)?;
    let output = BufReader::new(child.stdout.take().context("it is piped")?);
    let mut ids = Vec::new();
    let mut killed = false;
    // To the end: what it said before it died counts as well.
    for line in output.lines() {
        ids.extend(line?.strip_prefix("acknowledged ").and_then(|id| id.parse::<Uuid>().ok()));
        if ids.len() >= count && !killed {
            child.kill()?;
            killed = true;
        }
    }
    child.wait()?;
    anyhow::ensure!(killed, "the writer ended by itself after {} records", ids.len());
    Ok(ids)
}

#[allow(clippy::print_stdout, reason = "its standard output is how the test reads it")]
async fn write_for_ever(url: &str) -> Result<()> {
    let store = Store::open(&url.parse()?)?;
    store.migrate().await?;
    let keeper = Arc::new(Keeper::start(&store, options("writer"))?);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let keeper = keeper.clone();
        writers.spawn(async move {
            for number in 0.. {
                let id = keeper.record(event(&logs()[writer % 2], number)).await?;
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
