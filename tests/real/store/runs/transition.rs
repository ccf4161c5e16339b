//! Changes of state and their guards.

use anyhow::Result;
use eventcenter::domain::task::{Executor, NewRun, Outcome, RunId, RunState};
use eventcenter::store::{
    Advance, CancelOutcome, EarlierAttempt, FinishedAttempt, JobStart, ObservedEnd, ObservedRun, Then,
    UnstartedEnd,
};

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, finished, scheduled, task, tenant};

on_both! {
    a_requested_run_advances_to_its_job,
    a_started_run_neither_advances_nor_is_skipped,
    an_attempt_ends_once,
    a_retry_is_ready_again,
    a_run_is_cancelled_in_each_state,
    an_observed_run_never_returns_from_its_end,
}

fn advance(id: RunId, state: RunState, executor: Executor) -> Advance {
    Advance {
        id,
        state,
        due_at: at(30),
        executor: Some(executor),
        work: Some("{}".to_owned()),
        message: None,
    }
}

fn job_end(id: RunId, attempt: u32, then: Then) -> FinishedAttempt {
    FinishedAttempt {
        id,
        attempt,
        at: at(50),
        state: RunState::Failed,
        outcome: Outcome { exit_code: Some(-3), items: Some(7), errors: Some(1), ..Outcome::default() },
        executed_by: Some("pod-1".to_owned()),
        runner: None,
        then,
    }
}

async fn a_requested_run_advances_to_its_job(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let new = NewRun { state: RunState::Requested, executor: None, work: None, ..scheduled(&task(1), 1) };
    let id = new.id;
    test.runs.insert(&[new], at(0)).await?;
    let queued = Advance {
        executor: None,
        work: None,
        message: Some("place 3".to_owned()),
        ..advance(id, RunState::Queued, Executor::Job)
    };
    assert_eq!(test.runs.advance(&[queued]).await?, [id]);
    assert_eq!(test.get(id).await?.outcome.message.as_deref(), Some("place 3"));
    assert_eq!(test.runs.advance(&[advance(id, RunState::Ready, Executor::Job)]).await?, [id]);
    assert_eq!(test.runs.load_work(&[id]).await?[&id], "{}");
    assert_eq!(test.runs.next_due(Executor::Job).await?, Some(at(30)));
    assert_eq!(test.runs.next_due(Executor::Runner).await?, None);
    let start = |attempt| JobStart { id, attempt, at: at(40), job: "job-1".to_owned() };
    assert_eq!(test.runs.start_job(&[start(2)]).await?, [], "the first attempt is number 1");
    assert_eq!(test.runs.start_job(&[start(1)]).await?, [id]);
    assert_eq!(test.runs.start_job(&[start(1)]).await?, [], "it has started");
    assert_eq!(test.runs.finish_attempt(&[job_end(id, 1, Then::End)]).await?, [id]);
    let run = test.get(id).await?;
    assert_eq!((run.state, run.attempts, run.due_at), (RunState::Failed, 1, at(30)));
    assert_eq!((run.started_at, run.ended_at), (Some(at(40)), Some(at(50))));
    assert_eq!((run.executed_by.as_deref(), run.outcome.exit_code), (Some("job-1"), Some(-3)));
    let attempts = test.runs.attempts(&tenant("acme"), id).await?;
    assert_eq!((attempts.len(), attempts[0].executed_by.as_deref()), (1, Some("pod-1")));
    assert_eq!((attempts[0].outcome.items, attempts[0].outcome.errors), (Some(7), Some(1)));
    Ok(())
}

async fn a_started_run_neither_advances_nor_is_skipped(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 2).await?;
    assert_eq!(test.runs.advance(&[advance(ids[0], RunState::Queued, Executor::Job)]).await?, []);
    let skip = |id| UnstartedEnd {
        id,
        state: RunState::Skipped,
        at: at(5),
        message: Some("replaced".to_owned()),
        cancelled_by: None,
    };
    let start = |id| JobStart { id, attempt: 1, at: at(40), job: "job".to_owned() };
    assert_eq!(test.runs.start_job(&[start(ids[0])]).await?, [], "its executor is a runner");
    assert_eq!(test.claim("one", 1).await?[0].run.id, ids[0]);
    assert_eq!(test.runs.end_unstarted(&[skip(ids[0]), skip(ids[1])]).await?, [ids[1]]);
    assert_eq!(test.runs.end_unstarted(&[skip(ids[1])]).await?, [], "it has ended");
    assert_eq!(test.state(ids[0]).await?, RunState::Running);
    let run = test.get(ids[1]).await?;
    assert_eq!((run.state, run.ended_at, run.attempts), (RunState::Skipped, Some(at(5)), 0));
    Ok(())
}

async fn an_attempt_ends_once(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 3).await?;
    let claimed = test.claim("one", 3).await?;
    let ends: Vec<_> = claimed.iter().map(|run| finished(run, "one", RunState::Succeeded)).collect();
    let wrong_runner = FinishedAttempt { runner: Some("two".to_owned()), ..ends[0].clone() };
    let no_runner = FinishedAttempt { runner: None, ..ends[0].clone() };
    let wrong_attempt = FinishedAttempt { attempt: 2, ..ends[0].clone() };
    assert_eq!(test.runs.finish_attempt(&[wrong_runner, no_runner, wrong_attempt]).await?, []);
    let mut changed = test.runs.finish_attempt(&ends).await?;
    changed.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(changed, expected);
    let failed: Vec<_> = claimed.iter().map(|run| finished(run, "one", RunState::Failed)).collect();
    assert_eq!(test.runs.finish_attempt(&failed).await?, [], "they have ended");
    for id in ids {
        let run = test.get(id).await?;
        assert_eq!((run.state, run.outcome.http_status), (RunState::Succeeded, Some(200)));
        let attempts = test.runs.attempts(&tenant("acme"), id).await?;
        assert_eq!((attempts.len(), attempts[0].state), (1, RunState::Succeeded));
        assert_eq!((attempts[0].started_at, attempts[0].ended_at), (at(1000), Some(at(1001))));
        assert_eq!(attempts[0].outcome.log_tail, None);
        assert_eq!(test.runs.log_tail(&tenant("acme"), id, 1).await?.as_deref(), Some("tail"));
        assert_eq!(test.runs.log_tail(&tenant("acme"), id, 2).await?, None);
    }
    Ok(())
}

async fn a_retry_is_ready_again(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 2).await?;
    let claimed = test.claim("one", 2).await?;
    let then = Then::Retry { due_at: at(2000) };
    let retries: Vec<_> = claimed
        .iter()
        .map(|run| FinishedAttempt { then, ..finished(run, "one", RunState::TimedOut) })
        .collect();
    // The second one is cancelled meanwhile, and does not retry.
    assert_eq!(test.runs.cancel(ids[1], "alice", at(1001)).await?, CancelOutcome::Requested);
    assert_eq!(test.runs.finish_attempt(&retries).await?.len(), 2);
    let run = test.get(ids[0]).await?;
    assert_eq!((run.state, run.due_at, run.ended_at), (RunState::Ready, at(2000), None));
    assert_eq!((run.attempts, run.started_at), (1, Some(at(1000))));
    let cancelled = test.get(ids[1]).await?;
    assert_eq!((cancelled.state, cancelled.ended_at), (RunState::Cancelled, Some(at(1001))));
    assert_eq!(test.runs.attempts(&tenant("acme"), ids[1]).await?[0].state, RunState::TimedOut);
    assert_eq!(test.claim("one", 9).await?, [], "it is not due yet");
    assert_eq!(test.runs.next_due(Executor::Runner).await?, Some(at(2000)));
    let again = test.runs.claim("two", at(2000), 9, super::LEASE).await?;
    assert_eq!((again.len(), again[0].attempt, again[0].run.id), (1, 2, ids[0]));
    assert_eq!(again[0].run.started_at, Some(at(1000)), "the start of the first attempt");
    let attempts = test.runs.attempts(&tenant("acme"), ids[0]).await?;
    let of = |number: usize| (attempts[number].number, attempts[number].state, attempts[number].started_at);
    assert_eq!(of(0), (1, RunState::TimedOut, at(1000)));
    assert_eq!(of(1), (2, RunState::Running, at(2000)));
    Ok(())
}

async fn a_run_is_cancelled_in_each_state(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let states = [RunState::Requested, RunState::Queued, RunState::Ready];
    for (state, second) in states.into_iter().zip(1..) {
        let run = NewRun { state, ..scheduled(&task(1), second) };
        test.runs.insert(std::slice::from_ref(&run), at(0)).await?;
        assert_eq!(test.runs.cancel(run.id, "alice", at(5)).await?, CancelOutcome::Cancelled);
        let stored = test.get(run.id).await?;
        assert_eq!((stored.state, stored.ended_at), (RunState::Cancelled, Some(at(5))));
        assert_eq!(stored.cancelled_by.as_deref(), Some("alice"));
        let already = CancelOutcome::AlreadyEnded(RunState::Cancelled);
        assert_eq!(test.runs.cancel(run.id, "bob", at(6)).await?, already);
        assert_eq!(test.get(run.id).await?, stored);
        test.runs.mark_reported(&[run.id]).await?;
        assert_eq!(test.runs.cancel(run.id, "bob", at(6)).await?, already);
    }
    let id = test.ready(&task(2), 1).await?[0];
    test.claim("one", 1).await?;
    assert_eq!(test.runs.cancel(id, "alice", at(5)).await?, CancelOutcome::Requested);
    assert_eq!(test.runs.cancel(id, "bob", at(5)).await?, CancelOutcome::Requested);
    let run = test.get(id).await?;
    assert_eq!((run.state, run.cancelled_by.as_deref()), (RunState::Running, Some("alice")));
    let unknown = scheduled(&task(3), 1).id;
    assert_eq!(test.runs.cancel(unknown, "alice", at(5)).await?, CancelOutcome::NotFound);
    Ok(())
}

async fn an_observed_run_never_returns_from_its_end(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let new = NewRun { executor: Some(Executor::CronJob), work: None, ..scheduled(&task(1), 1) };
    let id = new.id;
    let running = ObservedRun { run: new, job: "nightly-1".to_owned(), started_at: at(2), end: None };
    let end = |state| ObservedEnd {
        at: at(9),
        state,
        outcome: Outcome { exit_code: Some(0), log_tail: Some("bye".to_owned()), ..Outcome::default() },
        pod: Some("pod-2".to_owned()),
        started_at: at(6),
        earlier: vec![EarlierAttempt {
            started_at: at(2),
            at: at(4),
            outcome: Outcome { exit_code: Some(1), ..Outcome::default() },
            pod: "pod-1".to_owned(),
        }],
    };
    let still = std::slice::from_ref(&running);
    let ended = |state| ObservedRun { end: Some(end(state)), ..running.clone() };
    assert_eq!(test.runs.record(still).await?, []);
    assert_eq!(test.runs.record(still).await?, []);
    assert_eq!(test.state(id).await?, RunState::Running);
    assert_eq!(test.runs.attempts(&tenant("acme"), id).await?[0].executed_by.as_deref(), Some("nightly-1"));
    assert_eq!(test.runs.record(&[ended(RunState::Succeeded)]).await?, [id]);
    assert_eq!(test.runs.record(&[ended(RunState::Failed)]).await?, []);
    assert_eq!(test.runs.record(still).await?, []);
    assert_eq!(test.state(id).await?, RunState::Succeeded);
    test.runs.mark_reported(&[id]).await?;
    assert_eq!(test.runs.record(still).await?, []);
    assert_eq!(test.runs.record(&[ended(RunState::Failed)]).await?, []);
    let run = test.get(id).await?;
    assert_eq!((run.state, run.started_at, run.ended_at), (RunState::Succeeded, Some(at(2)), Some(at(9))));
    assert_eq!(test.runs.list_open(None, 10).await?, []);
    let attempts = test.runs.attempts(&tenant("acme"), id).await?;
    let attempts: Vec<_> =
        attempts.iter().map(|one| (one.number, one.state, one.started_at, one.ended_at)).collect();
    let expected = [(1, RunState::Failed, at(2), Some(at(4))), (2, RunState::Succeeded, at(6), Some(at(9)))];
    assert_eq!((attempts.as_slice(), run.attempts), (expected.as_slice(), 2));
    // A run that has ended before it was observed.
    let late = ObservedRun { run: scheduled(&task(2), 1), ..ended(RunState::Failed) };
    let late = ObservedRun { run: NewRun { executor: Some(Executor::CronJob), ..late.run }, ..late };
    assert_eq!(test.runs.record(std::slice::from_ref(&late)).await?, [late.run.id]);
    assert_eq!(test.state(late.run.id).await?, RunState::Failed);
    Ok(())
}
