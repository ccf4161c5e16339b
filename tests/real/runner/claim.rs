//! Several runners, kills and stops.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use eventcenter::domain::task::{NewRun, RunState};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::block_in_place;
use xtask::environment::temporary_folder;
use xtask::postgres::Postgres;

use super::server::{Reply, Server};
use super::{Runner, Task, now};
use crate::store::database::TestDatabase;
use crate::store::on_both;
use crate::support::operator::sum;
use crate::support::until;

on_both! {
    two_runners_call_once_for_each_run,
    a_killed_runner_is_replaced_and_the_call_has_the_same_key,
    a_stopped_runner_ends_its_calls_first,
    a_claim_that_was_given_up_is_taken_over_at_once,
}

const RUNS: usize = 300;

async fn two_runners_call_once_for_each_run(database: TestDatabase) -> Result<()> {
    let s = Runner::new("twice", database).await?;
    let runners = [s.start("one")?, s.start("two")?];
    let server = Server::start(|_, _| Reply::new(200, "")).await?;
    let task = Task::http(json!({"url": server.url("/")}));
    for _ in 0..RUNS / 50 {
        let runs: Vec<NewRun> = (0..50).map(|_| s.new_run(&task)).collect();
        s.runs.insert(&runs, now()).await?;
    }
    let ended = until(async || {
        let open = s.runs.list_open(None, 1000).await.map_err(|error| error.to_string())?;
        let open: Vec<_> = open.iter().filter(|run| !run.state.is_final()).collect();
        if open.is_empty() { Ok(()) } else { Err(format!("{} runs are open", open.len())) }
    });
    ended.await.expect("all runs end");
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in server.received() {
        *calls.entry(call.key().to_owned()).or_default() += 1;
    }
    assert_eq!(calls.len(), RUNS);
    assert!(calls.values().all(|count| *count == 1), "{calls:?}");
    let succeeded = async || {
        let count = |runner: &xtask::operator::Operator| {
            let metrics = runner.get("/metrics").expect("the runner answers").1;
            sum(&metrics, "eventcenter_runner_attempts_total", &["target=\"http\"", "outcome=\"Succeeded\""])
        };
        let counted: f64 = block_in_place(|| runners.iter().map(count).sum());
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        if counted == RUNS as f64 { Ok(()) } else { Err(format!("{counted} results are counted")) }
    };
    until(succeeded).await.expect("each result is counted once");
    Ok(())
}

async fn a_killed_runner_is_replaced_and_the_call_has_the_same_key(database: TestDatabase) -> Result<()> {
    let s = Runner::new("killed", database).await?;
    let first = s.start("first")?;
    let server =
        Server::start(|_, before| if before == 0 { Reply::default() } else { Reply::new(200, "again") })
            .await?;
    let id = s.insert(&Task::http(json!({"url": server.url("/")}))).await?;
    server.wait(1).await;
    first.kill()?;
    let _second = s.start("second")?;
    let run = s.wait_ended(id).await;
    assert_eq!((run.state, run.attempts), (RunState::Succeeded, 2), "{run:#?}");
    let calls = server.received();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert!(calls.iter().all(|call| call.key() == id.to_string()));
    let numbers: Vec<_> = calls.iter().map(|call| call.header("eventcenter-attempt")).collect();
    assert_eq!(numbers, ["1", "2"]);
    let attempts = s.attempts(id).await?;
    assert_eq!(attempts[0].state, RunState::Failed);
    let message = attempts[0].outcome.message.as_deref().unwrap_or_default();
    assert!(message.starts_with("the runner first.") && message.contains("was lost"), "{message}");
    Ok(())
}

async fn a_stopped_runner_ends_its_calls_first(database: TestDatabase) -> Result<()> {
    let s = Runner::new("stop", database).await?;
    let runner = s.start("one")?;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    // The server answers once it is told to.
    let server = Server::start(move |_, _| {
        let _ = block_in_place(|| released.lock().recv());
        Reply::new(200, "late")
    })
    .await?;
    let running = s.insert(&Task::http(json!({"url": server.url("/")}))).await?;
    server.wait(1).await;
    let stopping = std::thread::spawn(move || runner.stop());
    // The process has got the signal when it no longer claims: a run that is due stays ready.
    let log = s.folder.path().join("one.log");
    let noticed = until(async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.contains("no further runs are claimed") { Ok(()) } else { Err(text) }
    });
    noticed.await.expect("the runner stops");
    let waiting = s.insert(&Task::http(json!({"url": server.url("/")}))).await?;
    release.send(())?;
    let run = s.wait_ended(running).await;
    assert_eq!((run.state, run.attempts), (RunState::Succeeded, 1), "{run:#?}");
    let status = block_in_place(|| stopping.join().expect("no panic"))?;
    assert!(status.success(), "{status}");
    assert_eq!(s.get(waiting).await?.state, RunState::Ready);
    drop(release);
    Ok(())
}

async fn a_claim_that_was_given_up_is_taken_over_at_once(database: TestDatabase) -> Result<()> {
    const LEASE: Duration = Duration::from_secs(3600);
    let s = Runner::new("release", database).await?;
    let id = s.insert(&Task::http(json!({"url": "http://127.0.0.1/"}))).await?;
    let claimed = s.runs.claim("first", now(), 10, LEASE).await?;
    assert_eq!(claimed.iter().map(|one| (one.run.id, one.is_taken_over)).collect::<Vec<_>>(), [(id, false)]);
    assert_eq!(s.runs.release("second", &[(id, 1)]).await?, [], "it is not its claim");
    assert!(s.runs.claim("second", now(), 10, LEASE).await?.is_empty());
    assert_eq!(s.runs.release("first", &[(id, 1)]).await?, [id]);
    let taken = s.runs.claim("second", now(), 10, LEASE).await?;
    let taken: Vec<_> = taken.iter().map(|one| (one.run.id, one.attempt, one.is_taken_over)).collect();
    assert_eq!(taken, [(id, 2, true)]);
    let message = s.attempts(id).await?[0].outcome.message.clone();
    assert_eq!(message.as_deref(), Some("the runner first stopped before the attempt had ended"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_stored_after_an_outage_and_the_call_is_not_repeated() -> Result<()> {
    let folder = temporary_folder()?;
    let postgres = block_in_place(|| Postgres::start(&folder.path().join("postgres")))?;
    let postgres = Arc::new(Mutex::new(postgres));
    let s = Runner::new("outage", TestDatabase::on_server(Arc::clone(&postgres))?).await?;
    let runner = s.start("one")?;
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let server = Server::start(move |_, _| {
        let _ = block_in_place(|| released.lock().recv());
        Reply::new(200, "done")
    })
    .await?;
    let id = s.insert(&Task::http(json!({"url": server.url("/")}))).await?;
    server.wait(1).await;
    block_in_place(|| postgres.lock().kill())?;
    release.send(())?;
    // The outage lasts until the claim would have expired: renewals fail twice a second.
    let failed = until(async || {
        let metrics = block_in_place(|| runner.get("/metrics")).expect("the runner answers").1;
        let failed = |operation: &str| {
            sum(&metrics, "eventcenter_runner_store_errors_total", &[&format!("operation=\"{operation}\"")])
        };
        if failed("finish") >= 1.0 && failed("renew") >= 12.0 { Ok(()) } else { Err(metrics) }
    });
    failed.await.expect("storing the result and renewing the claim fail");
    block_in_place(|| postgres.lock().start_again())?;
    let run = s.wait_ended(id).await;
    assert_eq!((run.state, run.attempts), (RunState::Succeeded, 1), "{run:#?}");
    assert_eq!(server.received().len(), 1);
    drop(release);
    Ok(())
}
