//! Two processes that both believe to lead.

use anyhow::Result;

use super::TaskFixture;

/// Number of tasks that call the server every second.
const HTTP_TASKS: usize = 20;
/// Number of tasks that start a process every two seconds.
const CONTAINER_TASKS: usize = 2;
/// How often the leader is paused.
const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_doubles_no_run_when_it_continues() -> Result<()> {
    let mut s = TaskFixture::new("task-leaders").await?;
    let arguments = ["--roles", "controllers"];
    let _runner = s.start("runner-a", "runner", true)?;
    let mut leader = s.start_with("controllers-0", &arguments, true)?;
    s.declare(HTTP_TASKS, CONTAINER_TASKS).await;
    for round in 1..=ROUNDS {
        s.wait_for_calls(2 * HTTP_TASKS).await;
        let next = s.start_with(&format!("controllers-{round}"), &arguments, true)?;
        leader.pause()?;
        // Those that were planned before it was paused, and those that the next leader plans.
        s.wait_for_calls(5 * HTTP_TASKS).await;
        leader.resume()?;
        let exited = async || match leader.exited() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        };
        let status = s.t.eventually("the leader that was paused exits", exited).await;
        assert!(!status.success(), "it has lost its Lease");
        leader = next;
    }
    s.wait_for_calls(2 * HTTP_TASKS).await;
    let stop = s.finish().await;
    let counted = s.check(stop).await?;
    println!("{counted:?}");
    assert_eq!(counted.repeated, 0, "no runner was lost");
    Ok(())
}
