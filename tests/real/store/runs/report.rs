//! The outbox, statistics and the retention.

use std::time::Duration;

use anyhow::Result;
use eventcenter::domain::task::{NewRun, RunId, RunState, TaskKey, Trigger};
use eventcenter::store::{Cursor, CursorMove, FinishedAttempt, NewRunEvent};
use jiff::Timestamp;

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, finished, scheduled, task, tenant};

on_both! {
    a_run_is_reported_once,
    two_processes_count_a_run_once,
    statistics_are_sums,
    a_wrong_clock_does_not_stop_reports,
    starts_are_announced_once,
    events_are_stored_once_with_what_they_are_about,
    failure_actions_do_not_count,
    the_retention_keeps_the_newest_runs_and_those_in_use,
    the_retention_proceeds_in_batches,
    a_deleted_task_is_marked_until_its_rows_are_deleted,
    only_reported_runs_are_deleted,
}

/// Ends runs of a task, one each second, in these states.
async fn end(test: &TestRuns, task: &TaskKey, states: &[RunState]) -> Result<Vec<RunId>> {
    let ids = test.ready(task, states.len() as i64).await?;
    let claimed = test.claim("one", states.len()).await?;
    let ends: Vec<FinishedAttempt> = claimed
        .iter()
        .zip(states)
        .zip(1..)
        .map(|((one, state), second)| FinishedAttempt {
            at: at(1000 + second),
            ..finished(one, "one", *state)
        })
        .collect();
    assert_eq!(test.runs.finish_attempt(&ends).await?.len(), states.len());
    Ok(ids)
}

async fn a_run_is_reported_once(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = end(&test, &task(1), &[RunState::Succeeded; 3]).await?;
    let open = test.runs.insert(&[scheduled(&task(1), 50)], at(0)).await?[0];
    let unreported = test.runs.list_unreported(&[], 2).await?;
    assert_eq!(
        unreported.iter().map(|one| one.run.id).collect::<Vec<_>>(),
        ids[..2],
        "in the order of their ends"
    );
    assert_eq!(test.runs.list_unreported(&[task(1).uid], 9).await?, [], "those of the task are left out");
    assert_eq!(test.runs.list_unreported(&[task(2).uid], 9).await?.len(), 3);
    let before = test.get(ids[0]).await?;
    let mut moved = test.runs.mark_reported(&[ids[0], ids[1], open]).await?;
    moved.sort_by_key(|id| ids.iter().position(|one| one == id));
    assert_eq!(moved, ids[..2], "an open run is not reported");
    assert_eq!(test.runs.mark_reported(&ids).await?, [ids[2]]);
    assert_eq!(test.runs.mark_reported(&ids).await?, []);
    assert_eq!(test.runs.list_unreported(&[], 9).await?, []);
    assert_eq!(test.state(open).await?, RunState::Ready);
    // The run is unchanged except for its work.
    let after = test.get(ids[0]).await?;
    assert_eq!((after.work.as_deref(), before.work.is_some()), (None, true));
    assert_eq!(after, eventcenter::domain::task::Run { work: None, ..before });
    assert_eq!(test.runs.log_tail(&tenant("acme"), ids[0], 1).await?.as_deref(), Some("tail"));
    Ok(())
}

async fn two_processes_count_a_run_once(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = end(&test, &task(1), &[RunState::Succeeded; 100]).await?;
    let reversed: Vec<RunId> = ids.iter().rev().copied().collect();
    let (one, two, three) = tokio::join!(
        test.runs.mark_reported(&ids),
        test.runs.mark_reported(&reversed),
        test.runs.mark_reported(&ids[30..60])
    );
    assert_eq!(one?.len() + two?.len() + three?.len(), 100);
    assert_eq!(test.runs.load_statistics().await?[&task(1).uid].succeeded, 100);
    Ok(())
}

async fn statistics_are_sums(database: TestDatabase) -> Result<()> {
    use RunState::{Cancelled, Failed, Missed, Skipped, Succeeded, TimedOut};
    let test = TestRuns::create(database).await?;
    let ids = end(&test, &task(1), &[Succeeded, TimedOut, Succeeded, Failed, Cancelled]).await?;
    test.runs.mark_reported(&ids[..1]).await?;
    // Runs are counted in any order.
    test.runs.mark_reported(&ids[3..]).await?;
    test.runs.mark_reported(&ids[1..3]).await?;
    let unstarted = [(Missed, 70), (Missed, 71), (Skipped, 72)];
    let unstarted = unstarted.map(|(state, second)| NewRun { state, ..scheduled(&task(1), second) });
    test.runs.insert(&unstarted, at(5000)).await?;
    test.runs.mark_reported(&unstarted.each_ref().map(|run| run.id)).await?;
    let statistics = test.runs.load_statistics().await?.remove(&task(1).uid).expect("a row");
    assert_eq!((statistics.succeeded, statistics.failed, statistics.timed_out), (2, 1, 1));
    assert_eq!((statistics.cancelled, statistics.missed, statistics.skipped), (1, 2, 1));
    assert_eq!(statistics.succeeded_duration, Duration::from_secs(4));
    assert_eq!(statistics.last_started_at, Some(at(1000)));
    assert_eq!(statistics.last_success_at, Some(at(1003)));
    assert_eq!(statistics.last_failure_at, Some(at(1004)));
    test.runs.delete_tasks(&[task(1).uid]).await?;
    assert!(test.runs.load_statistics().await?.is_empty());
    Ok(())
}

async fn a_wrong_clock_does_not_stop_reports(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let mut ids = Vec::new();
    for (second, started_at, ended_at) in
        [(1, Timestamp::UNIX_EPOCH, at(0)), (2, at(0), at(9_000_000_000)), (3, at(10), at(7))]
    {
        ids.extend(test.runs.insert(&[scheduled(&task(1), second)], at(0)).await?);
        test.database
            .sql(&format!(
                "UPDATE task_run SET state = 'Succeeded', started_at = {}, ended_at = {} WHERE state = 'Ready'",
                started_at.as_microsecond(),
                ended_at.as_microsecond()
            ))
            .await?;
    }
    assert_eq!(test.runs.mark_reported(&ids).await?.len(), 3);
    let statistics = test.runs.load_statistics().await?.remove(&task(1).uid).expect("a row");
    assert_eq!((statistics.succeeded, statistics.succeeded_duration), (3, Duration::ZERO));
    Ok(())
}

async fn starts_are_announced_once(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 3).await?;
    assert_eq!(test.runs.list_unannounced_starts(9).await?, []);
    let claimed = test.claim("one", 2).await?;
    assert_eq!(test.runs.list_unannounced_starts(9).await?.len(), 2);
    assert_eq!(test.runs.mark_start_announced(&[ids[0]], &[]).await?, [ids[0]]);
    assert_eq!(test.runs.mark_start_announced(&[ids[0]], &[]).await?, []);
    let starts = test.runs.list_unannounced_starts(9).await?;
    assert_eq!(starts.iter().map(|run| run.id).collect::<Vec<_>>(), [ids[1]]);
    let ends: Vec<_> = claimed.iter().map(|one| finished(one, "one", RunState::Succeeded)).collect();
    test.runs.finish_attempt(&ends).await?;
    assert_eq!(test.runs.list_unannounced_starts(9).await?, []);
    // The end of a run tells whether its start is still to be announced.
    let mut ended = test.runs.list_unreported(&[], 9).await?;
    ended.sort_by_key(|one| !one.start_announced);
    let announced: Vec<_> = ended.iter().map(|one| (one.run.id, one.start_announced)).collect();
    assert_eq!(announced, [(ids[0], true), (ids[1], false)]);
    Ok(())
}

async fn events_are_stored_once_with_what_they_are_about(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 3).await?;
    let claimed = test.claim("one", 2).await?;
    let events = |name: &str, runs: &[RunId]| -> Vec<NewRunEvent> {
        runs.iter().map(|run| NewRunEvent { run: *run, event: format!("{name} {run}") }).collect()
    };
    assert_eq!(test.runs.mark_start_announced(&[ids[0]], &events("start", &ids)).await?, [ids[0]]);
    assert_eq!(test.runs.mark_start_announced(&ids[..2], &events("start", &ids)).await?, [ids[1]]);
    let ends: Vec<_> = claimed.iter().map(|one| finished(one, "one", RunState::Succeeded)).collect();
    test.runs.finish_attempt(&ends).await?;
    // The third run has not ended.
    for _ in 0..2 {
        test.runs.mark_reported_with(&ids, &events("end", &ids)).await?;
    }
    let stored = test.runs.list_events(9).await?;
    let texts: Vec<&str> = stored.iter().map(|one| one.event.as_str()).collect();
    let expected: Vec<String> = [("start", 0), ("start", 1), ("end", 0), ("end", 1)]
        .map(|(name, place)| format!("{name} {}", ids[place]))
        .into();
    assert_eq!(texts, expected);
    assert_eq!(test.runs.estimate_events().await?, 4);
    assert_eq!(test.runs.list_events(1).await?, stored[..1]);
    test.runs.delete_events(&[stored[0].sequence, stored[2].sequence]).await?;
    assert_eq!(test.runs.list_events(9).await?, [stored[1].clone(), stored[3].clone()]);
    test.runs.delete_events(&[stored[1].sequence, stored[3].sequence]).await?;
    assert_eq!((test.runs.list_events(9).await?.len(), test.runs.estimate_events().await?), (0, 0));
    Ok(())
}

async fn failure_actions_do_not_count(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let failed = end(&test, &task(1), &[RunState::Failed]).await?;
    let trigger = Trigger::Failure { of: failed[0] };
    let action = NewRun { id: RunId::of(task(1).uid, &trigger), trigger, ..scheduled(&task(1), 9) };
    let id = test.runs.insert(&[action], at(0)).await?;
    let claimed = test.claim("one", 1).await?;
    test.runs.finish_attempt(&[finished(&claimed[0], "one", RunState::Succeeded)]).await?;
    assert_eq!(test.runs.mark_reported(&[failed[0], id[0]]).await?.len(), 2);
    let statistics = test.runs.load_statistics().await?.remove(&task(1).uid).expect("a row");
    assert_eq!((statistics.failed, statistics.succeeded, statistics.last_success_at), (1, 0, None));
    assert_eq!(test.get(id[0]).await?.state, RunState::Succeeded);
    Ok(())
}

/// Deletes until nothing is left to examine.
async fn expire(test: &TestRuns, before: Timestamp, keep_last: u32, limit: usize) -> Result<(usize, usize)> {
    let (mut deleted, mut batches, mut from) = (0, 0, None);
    loop {
        let page = test.runs.list_expiring(before, keep_last, from, limit).await?;
        let expired: Vec<RunId> =
            page.runs.iter().filter(|run| !run.is_among_newest).map(|run| run.id).collect();
        deleted += test.runs.delete_reported(&expired).await?;
        batches += 1;
        from = page.next;
        if from.is_none() {
            return Ok((deleted, batches));
        }
    }
}

async fn the_retention_keeps_the_newest_runs_and_those_in_use(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let often = end(&test, &task(1), &[RunState::Succeeded; 6]).await?;
    let seldom = end(&test, &task(2), &[RunState::Failed; 2]).await?;
    test.runs.mark_reported(&often).await?;
    test.runs.mark_reported(&seldom).await?;
    let unreported = end(&test, &task(3), &[RunState::Succeeded]).await?;
    let open = test.runs.insert(&[scheduled(&task(3), 9)], at(0)).await?;
    assert_eq!(expire(&test, at(1001), 0, 100).await?.0, 0, "none has ended before");
    assert_eq!(expire(&test, at(9000), 2, 100).await?.0, 4);
    for id in &often[..4] {
        assert!(test.runs.get(&tenant("acme"), *id).await?.is_none());
        assert_eq!(test.runs.log_tail(&tenant("acme"), *id, 1).await?, None);
    }
    for id in often[4..].iter().chain(&seldom).chain(&unreported).chain(&open) {
        assert!(test.runs.get(&tenant("acme"), *id).await?.is_some());
    }
    assert_eq!(test.runs.attempts(&tenant("acme"), often[5]).await?.len(), 1);
    assert_eq!(expire(&test, at(1006), 0, 100).await?.0, 3, "those that ended before");
    assert_eq!(expire(&test, at(9000), 0, 100).await?.0, 1);
    assert_eq!(test.runs.list_unreported(&[], 9).await?.len(), 1);
    assert_eq!(test.runs.load_statistics().await?[&task(1).uid].succeeded, 6, "sums are kept");
    Ok(())
}

async fn the_retention_proceeds_in_batches(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = end(&test, &task(1), &[RunState::Succeeded; 25]).await?;
    test.runs.mark_reported(&ids).await?;
    // Kept runs do not stop the batches.
    assert_eq!(expire(&test, at(9000), 25, 10).await?, (0, 3));
    assert_eq!(expire(&test, at(9000), 3, 10).await?, (22, 3));
    Ok(())
}

async fn a_deleted_task_is_marked_until_its_rows_are_deleted(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let (one, two) = (task(1).uid, task(2).uid);
    let ids = end(&test, &task(1), &[RunState::Succeeded]).await?;
    test.runs.mark_reported(&ids).await?;
    let cursor = Cursor { task: two, at: at(1), schedule_hash: "hash".to_owned() };
    test.runs.plan(&[CursorMove { from: None, to: cursor }], &[], at(0)).await?;
    let mut tasks = test.runs.list_tasks().await?;
    tasks.sort_unstable();
    assert_eq!(tasks, [one, two], "those with statistics, and with a cursor");
    test.runs.mark_deleted(&[one, two], at(100)).await?;
    test.runs.mark_deleted(&[two], at(200)).await?;
    assert_eq!(
        test.runs.load_deletions().await?,
        [(one, at(100)), (two, at(100))].into(),
        "the first time counts"
    );
    test.runs.unmark_deleted(&[two]).await?;
    assert_eq!(test.runs.load_deletions().await?, [(one, at(100))].into());
    test.runs.delete_tasks(&[one]).await?;
    assert_eq!(test.runs.list_tasks().await?, [two]);
    assert!(test.runs.load_deletions().await?.is_empty());
    assert!(test.runs.get(&tenant("acme"), ids[0]).await?.is_some(), "its run has not expired");
    for empty in [test.runs.delete_tasks(&[]).await, test.runs.unmark_deleted(&[]).await] {
        empty?;
    }
    Ok(())
}

async fn only_reported_runs_are_deleted(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let unreported = end(&test, &task(1), &[RunState::Succeeded]).await?;
    assert_eq!(test.runs.delete_reported(&unreported).await?, 0);
    assert_eq!(test.runs.attempts(&tenant("acme"), unreported[0]).await?.len(), 1, "its attempt stays");
    test.runs.mark_reported(&unreported).await?;
    assert_eq!(test.runs.delete_reported(&unreported).await?, 1);
    assert_eq!(test.runs.delete_reported(&unreported).await?, 0, "it can be repeated");
    assert_eq!(test.runs.attempts(&tenant("acme"), unreported[0]).await?.len(), 0);
    Ok(())
}
