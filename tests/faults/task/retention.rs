//! Old runs are deleted, whenever the operator is killed.

use anyhow::Result;
use eventcenter::domain::task::RunState;
use jiff::{SignedDuration, Timestamp};

use super::{TaskFixture, now};
use crate::crash::Random;

/// Number of tasks that call the server every second.
const HTTP_TASKS: usize = 8;
/// How often the operator is killed.
const KILLS: usize = 6;
/// The retention, and how many of the newest runs are kept for longer.
const AGE: SignedDuration = SignedDuration::from_secs(2);
const KEEP_LAST: usize = 3;

const ARGUMENTS: [&str; 6] =
    ["--roles", "controllers,runner", "--run-retention", "2s", "--run-retention-keep-last", "3"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_runs_are_deleted_and_the_newest_kept_though_the_operator_is_killed() -> Result<()> {
    let mut random = Random::from_environment()?;
    println!("to repeat this run: EVENTCENTER_SEED={}", random.0);
    let mut s = TaskFixture::new("task-retention").await?;
    let mut operator = s.start_with("operator", &ARGUMENTS, true)?;
    s.declare(HTTP_TASKS, 0).await;
    for _ in 0..KILLS {
        s.wait_for_calls(1 + random.below(4 * HTTP_TASKS)).await;
        operator.kill()?;
        operator = s.start_with("operator", &ARGUMENTS, false)?;
    }
    s.t.eventually("the operator is ready", async || match operator.get("/readyz") {
        Some((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    s.wait_for_calls(2 * HTTP_TASKS).await;
    let suspended = s.finish().await;
    s.t.eventually("only the newest runs are left", async || {
        for task in &s.tasks {
            let runs = s.runs_of(&task.name).await.map_err(|error| error.to_string())?;
            if runs.len() != KEEP_LAST {
                return Err(format!("{} has {} runs", task.name, runs.len()));
            }
        }
        Ok(())
    })
    .await;
    let first_kept: Timestamp = suspended - SignedDuration::from_secs(KEEP_LAST as i64);
    for task in &s.tasks {
        let runs = s.runs_of(&task.name).await?;
        assert!(runs.iter().all(|run| run.state == RunState::Succeeded), "{runs:#?}");
        assert!(runs.iter().all(|run| run.scheduled_at > first_kept), "the newest are kept: {runs:#?}");
    }
    let statistics = s.runs.load_statistics().await?;
    assert!(s.tasks.iter().all(|task| statistics[&task.uid].succeeded > KEEP_LAST as u64), "sums are kept");

    // A deleted task: the run log survives it, for the retention.
    let (deleted, kept) = s.tasks.split_first().expect("several tasks");
    let at = now();
    s.task(&deleted.name).delete_and_wait().await;
    s.t.eventually("the deletion is noticed", async || {
        let deletions = s.runs.load_deletions().await.map_err(|error| error.to_string())?;
        deletions.get(&deleted.uid).copied().ok_or("no mark")?;
        Ok::<(), String>(())
    })
    .await;
    operator.kill()?;
    let _operator = s.start_with("operator", &ARGUMENTS, true)?;
    s.t.eventually("nothing is left of the deleted task", async || {
        let tasks = s.runs.list_tasks().await.map_err(|error| error.to_string())?;
        let runs = s.runs_of(&deleted.name).await.map_err(|error| error.to_string())?;
        match tasks.contains(&deleted.uid) || !runs.is_empty() {
            true => Err(format!("{} runs", runs.len())),
            false => Ok(()),
        }
    })
    .await;
    assert!(now().duration_since(at) >= AGE, "not before the retention");
    for task in kept {
        assert_eq!(s.runs_of(&task.name).await?.len(), KEEP_LAST, "the other tasks keep theirs");
    }
    assert!(s.runs.load_deletions().await?.is_empty());
    Ok(())
}
