//! The database or the API server is away.

use std::time::{Duration, Instant};

use anyhow::Result;
use eventcenter::domain::task::{Executor, RunState};
use tokio::task::block_in_place;

use super::TaskFixture;
use crate::proxy::Mode;

/// Number of tasks that call the server every second.
const HTTP_TASKS: usize = 10;
/// Number of tasks that start a process every two seconds.
const CONTAINER_TASKS: usize = 2;
/// How long the database is away.
const OUTAGE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_occurrence_runs_once_though_the_database_was_away() -> Result<()> {
    let mut s = TaskFixture::new("task-database").await?;
    let _controllers = s.start("controllers", "controllers", true)?;
    let _runners = [s.start("runner-a", "runner", true)?, s.start("runner-b", "runner", true)?];
    s.declare(HTTP_TASKS, CONTAINER_TASKS).await;
    s.wait_for_calls(3 * HTTP_TASKS).await;
    block_in_place(|| s.postgres.lock().kill())?;
    let begin = Instant::now();
    let elapsed = async || if begin.elapsed() >= OUTAGE { Ok(()) } else { Err(begin.elapsed()) };
    s.t.eventually("the outage is long enough", elapsed).await;
    block_in_place(|| s.postgres.lock().start_again())?;
    let stop = s.finish().await;
    let counted = s.check(stop).await?;
    println!("{counted:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_continue_and_jobs_follow_though_the_api_server_was_away() -> Result<()> {
    let mut s = TaskFixture::new("task-api-server").await?;
    // The leader keeps its Lease during the outage.
    let arguments = ["--roles", "controllers", "--lease-duration", "10m"];
    let _controllers = s.start_with("controllers", &arguments, true)?;
    let _runner = s.start("runner-a", "runner", true)?;
    s.declare(HTTP_TASKS, CONTAINER_TASKS).await;
    s.wait_for_calls(3 * HTTP_TASKS).await;
    s.t.parts.api_proxy.set(Mode::Refuse);
    s.wait_for_calls(10 * HTTP_TASKS).await;
    s.t.eventually("Jobs wait for the API server", async || {
        let open = s.runs.list_open(None, super::PAGE).await.map_err(|error| error.to_string())?;
        let is_waiting = |run: &&eventcenter::domain::task::Run| {
            run.executor == Some(Executor::Job) && run.state == RunState::Ready
        };
        let waiting = open.iter().filter(is_waiting).count();
        if waiting >= 3 * CONTAINER_TASKS { Ok(()) } else { Err(format!("{waiting} are waiting")) }
    })
    .await;
    s.t.parts.api_proxy.set(Mode::Pass);
    let stop = s.finish().await;
    let counted = s.check(stop).await?;
    println!("{counted:?}");
    assert_eq!(counted.repeated, 0, "no runner was lost");
    Ok(())
}
