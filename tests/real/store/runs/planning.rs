//! Cursors and insertions.

use anyhow::Result;
use eventcenter::domain::task::{Executor, NewRun, RunState, Trigger};
use eventcenter::store::{Cursor, CursorMove};
use uuid::Uuid;

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, scheduled, task, tenant};

on_both! {
    a_run_is_read_back_unchanged,
    a_cursor_moves_by_compare_and_set,
    a_stale_cursor_writes_nothing,
    one_of_several_leaders_plans_an_occurrence,
    an_id_exists_once,
    a_run_that_is_final_at_first_is_ended,
    planned_runs_stay_open_when_the_planner_dies,
    nul_is_replaced,
    an_empty_batch_has_no_effect,
    many_processes_insert_a_run_once_while_it_is_reported,
}

fn cursor(number: u128, second: i64) -> Cursor {
    Cursor { task: Uuid::from_u128(number), at: at(second), schedule_hash: "hash".to_owned() }
}

fn moved(number: u128, from: Option<i64>, to: i64) -> CursorMove {
    CursorMove { from: from.map(|second| (at(second), "hash".to_owned())), to: cursor(number, to) }
}

async fn a_run_is_read_back_unchanged(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let mut new = NewRun {
        parameters: [("day".to_owned(), "\"Monday\" \\ Ä".to_owned())].into(),
        state: RunState::Requested,
        executor: None,
        work: None,
        requested_by: Some("alice".to_owned()),
        message: Some("requested".to_owned()),
        chain: Uuid::from_u128(9),
        ..scheduled(&task(1), 5)
    };
    new.trigger = Trigger::Manual { id: "by hand".to_owned() };
    assert_eq!(test.runs.insert(&[new.clone()], at(0)).await?, [new.id]);
    let run = test.get(new.id).await?;
    assert_eq!(run.task, new.task);
    assert_eq!(run.trigger, new.trigger);
    assert_eq!((run.scheduled_at, run.due_at, run.state), (new.scheduled_at, new.due_at, new.state));
    assert_eq!((run.executor, run.chain, &run.parameters), (None, new.chain, &new.parameters));
    assert_eq!((run.work.as_deref(), run.requested_by.as_deref()), (None, Some("alice")));
    assert_eq!((run.attempts, run.started_at, run.ended_at), (0, None, None));
    assert_eq!(run.outcome.message.as_deref(), Some("requested"));
    assert_eq!(test.runs.list_requested(&[task(1).uid], 10).await?, [], "those of the task are left out");
    assert_eq!(test.runs.list_requested(&[task(2).uid], 10).await?, [run]);
    Ok(())
}

async fn a_cursor_moves_by_compare_and_set(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let planned = test.runs.plan(&[moved(1, None, 10), moved(2, None, 20)], &[], at(0)).await?;
    assert_eq!((planned.inserted.len(), planned.stale.len()), (0, 0));
    let runs = [scheduled(&task(1), 15), scheduled(&task(2), 25)];
    let planned = test.runs.plan(&[moved(1, Some(10), 11), moved(2, Some(20), 21)], &runs, at(0)).await?;
    assert_eq!((planned.inserted.len(), planned.stale.len()), (2, 0));
    let cursors = test.runs.load_cursors().await?;
    assert_eq!(cursors.len(), 2);
    assert_eq!(cursors[&Uuid::from_u128(1)], cursor(1, 11));
    assert_eq!(cursors[&Uuid::from_u128(2)], cursor(2, 21));
    test.runs.delete_tasks(&[Uuid::from_u128(1)]).await?;
    assert_eq!(test.runs.load_cursors().await?.len(), 1);
    Ok(())
}

async fn a_stale_cursor_writes_nothing(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    test.runs.plan(&[moved(1, None, 10), moved(2, None, 10)], &[], at(0)).await?;
    let runs = [scheduled(&task(1), 15), scheduled(&task(2), 25), scheduled(&task(3), 35)];
    // A leader that was replaced has an old cursor of the first task, and knows none of the third, which has one.
    test.runs.plan(&[moved(3, None, 10)], &[], at(0)).await?;
    let moves = [moved(1, Some(9), 30), moved(2, Some(10), 30), moved(3, None, 30)];
    let planned = test.runs.plan(&moves, &runs, at(0)).await?;
    assert_eq!(planned.inserted, [runs[1].id]);
    assert_eq!(planned.stale, [Uuid::from_u128(1), Uuid::from_u128(3)]);
    let other_hash = CursorMove { from: Some((at(30), "other".to_owned())), ..moved(2, None, 40) };
    assert_eq!(test.runs.plan(&[other_hash], &[], at(0)).await?.stale, [Uuid::from_u128(2)]);
    assert_eq!(test.runs.load_cursors().await?[&Uuid::from_u128(1)], cursor(1, 10));
    assert!(test.runs.get(&tenant("acme"), runs[0].id).await?.is_none());
    Ok(())
}

async fn one_of_several_leaders_plans_an_occurrence(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    for round in 0..20 {
        let moves = [moved(1, (round > 0).then_some(round), round + 1), moved(2, None, round)];
        // Each leader would plan another run.
        let leaders = (0..4).map(|leader| {
            let (runs, moves) = (test.runs.clone(), moves.clone());
            let run = scheduled(&task(1), 1000 + round * 4 + leader);
            tokio::spawn(async move { runs.plan(&moves, &[run], at(0)).await })
        });
        let mut inserted = Vec::new();
        for planned in futures::future::join_all(leaders).await {
            let planned = planned??;
            assert_eq!(planned.inserted.len(), usize::from(!planned.stale.contains(&Uuid::from_u128(1))));
            inserted.extend(planned.inserted);
        }
        assert_eq!(inserted.len(), 1, "round {round}");
    }
    assert_eq!(test.runs.list_open(None, 100).await?.len(), 20);
    Ok(())
}

async fn an_id_exists_once(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let run = scheduled(&task(1), 1);
    assert_eq!(test.runs.insert(&[run.clone(), run.clone()], at(0)).await?, [run.id]);
    let changed = NewRun { state: RunState::Queued, ..run.clone() };
    assert_eq!(test.runs.insert(std::slice::from_ref(&changed), at(0)).await?, []);
    assert_eq!(test.state(run.id).await?, RunState::Ready);
    // Nor is it inserted again after it was reported.
    let missed = NewRun { state: RunState::Missed, ..scheduled(&task(1), 2) };
    test.runs.insert(std::slice::from_ref(&missed), at(5)).await?;
    assert_eq!(test.runs.mark_reported(&[missed.id]).await?, [missed.id]);
    let again = NewRun { state: RunState::Ready, ..missed.clone() };
    assert_eq!(test.runs.insert(&[again], at(9)).await?, []);
    assert_eq!(test.state(missed.id).await?, RunState::Missed);
    assert_eq!(test.runs.list_open(None, 10).await?.len(), 1);
    Ok(())
}

async fn a_run_that_is_final_at_first_is_ended(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let skipped =
        NewRun { state: RunState::Skipped, message: Some("busy".to_owned()), ..scheduled(&task(1), 1) };
    test.runs.plan(&[moved(1, None, 5)], std::slice::from_ref(&skipped), at(7)).await?;
    let run = test.get(skipped.id).await?;
    assert_eq!((run.state, run.ended_at, run.started_at), (RunState::Skipped, Some(at(7)), None));
    assert_eq!(test.runs.list_open(None, 10).await?, []);
    assert_eq!(test.runs.list_unreported(&[], 10).await?[0].run.outcome.message.as_deref(), Some("busy"));
    Ok(())
}

async fn planned_runs_stay_open_when_the_planner_dies(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let runs: Vec<NewRun> = (0..25)
        .map(|second| NewRun { state: RunState::Queued, work: None, ..scheduled(&task(1), second) })
        .collect();
    test.runs.plan(&[moved(1, None, 5)], &runs, at(7)).await?;
    test.store.close().await;
    // The next leader lists all of them, page by page.
    let store = test.database.store().await?;
    let (mut open, mut after) = (Vec::new(), None);
    loop {
        let page = store.runs().list_open(after, 10).await?;
        after = page.last().map(|run| run.id);
        open.extend(page);
        if after.is_none() || open.len() >= 25 {
            break;
        }
    }
    let mut expected: Vec<_> = runs.iter().map(|run| run.id).collect();
    expected.sort();
    assert_eq!(open.iter().map(|run| run.id).collect::<Vec<_>>(), expected);
    assert!(open.iter().all(|run| run.state == RunState::Queued && run.executor == Some(Executor::Runner)));
    Ok(())
}

async fn nul_is_replaced(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let run = NewRun { message: Some("a\0b".to_owned()), ..scheduled(&task(1), 1) };
    test.runs.insert(std::slice::from_ref(&run), at(0)).await?;
    assert_eq!(test.get(run.id).await?.outcome.message.as_deref(), Some("a\u{fffd}b"));
    test.runs.cancel(run.id, "a\0b", at(1)).await?;
    assert_eq!(test.get(run.id).await?.cancelled_by.as_deref(), Some("a\u{fffd}b"));
    Ok(())
}

async fn an_empty_batch_has_no_effect(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    assert_eq!(test.runs.insert(&[], at(0)).await?, []);
    assert_eq!(test.runs.plan(&[], &[scheduled(&task(1), 1)], at(0)).await?.inserted, []);
    assert_eq!(test.runs.advance(&[]).await?, []);
    assert_eq!(test.runs.end_unstarted(&[]).await?, []);
    assert_eq!(test.runs.start_job(&[]).await?, []);
    assert_eq!(test.runs.finish_attempt(&[]).await?, []);
    assert_eq!(test.runs.record(&[]).await?, []);
    assert_eq!(test.runs.mark_reported(&[]).await?, []);
    assert_eq!(test.runs.mark_start_announced(&[], &[]).await?, []);
    assert_eq!(test.runs.renew("one", &[], super::LEASE).await?, []);
    assert!(test.runs.load_work(&[]).await?.is_empty());
    assert!(test.runs.load_cursors().await?.is_empty());
    Ok(())
}

/// Whichever of the two transactions is first, the other one sees the run.
async fn many_processes_insert_a_run_once_while_it_is_reported(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    for second in 0..40 {
        let run = NewRun { state: RunState::Missed, ..scheduled(&task(1), second) };
        test.runs.insert(std::slice::from_ref(&run), at(0)).await?;
        let (again, ids) = (std::slice::from_ref(&run), [run.id]);
        let (reported, first, other) = tokio::join!(
            test.runs.mark_reported(&ids),
            test.runs.insert(again, at(1)),
            test.runs.insert(again, at(1)),
        );
        assert_eq!((reported?.len(), first?.len(), other?.len()), (1, 0, 0), "{second}");
    }
    assert_eq!(test.runs.list_unreported(&[], 100).await?, []);
    assert_eq!(test.runs.load_statistics().await?[&Uuid::from_u128(1)].missed, 40);
    Ok(())
}
