//! Claims of runners.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::domain::task::{Executor, NewRun, RunId, RunState};
use eventcenter::store::{CancelOutcome, Claim, FinishedAttempt, Then};

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{LEASE, TestRuns, at, finished, scheduled, task, tenant};

on_both! {
    due_runs_are_claimed_oldest_first,
    concurrent_runners_claim_each_run_once,
    an_expired_claim_is_taken_over,
    an_expired_claim_of_a_cancelled_run_ends_it,
    claims_are_renewed,
    a_runner_renews_claims_while_it_ends_attempts,
    the_clock_of_a_runner_takes_over_nothing,
}

async fn due_runs_are_claimed_oldest_first(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let of_a_job = NewRun { executor: Some(Executor::Job), ..scheduled(&task(1), 0) };
    let queued = NewRun { state: RunState::Queued, ..scheduled(&task(1), 1) };
    let late = scheduled(&task(1), 2000);
    let due: Vec<NewRun> = [30, 10, 20].map(|second| scheduled(&task(1), second)).into();
    test.runs.insert(&[of_a_job, queued, late], at(0)).await?;
    test.runs.insert(&due, at(0)).await?;
    assert_eq!(test.runs.next_due(Executor::Runner).await?, Some(at(10)));
    let claimed = test.claim("one", 2).await?;
    assert_eq!(claimed.iter().map(|one| one.run.id).collect::<Vec<_>>(), [due[1].id, due[2].id]);
    let run = &claimed[0].run;
    assert_eq!((claimed[0].attempt, run.attempts, run.state), (1, 1, RunState::Running));
    assert_eq!((run.started_at, run.executed_by.as_deref()), (Some(at(1000)), Some("one")));
    assert_eq!(run.work, due[1].work);
    assert_eq!(test.claim("two", 9).await?.iter().map(|one| one.run.id).collect::<Vec<_>>(), [due[0].id]);
    assert_eq!(test.claim("two", 9).await?, []);
    assert_eq!(test.runs.next_due(Executor::Runner).await?, Some(at(2000)));
    Ok(())
}

async fn concurrent_runners_claim_each_run_once(database: TestDatabase) -> Result<()> {
    const RUNS: i64 = 900;
    let test = TestRuns::create(database).await?;
    let expected: BTreeSet<RunId> = test.ready(&task(1), RUNS).await?.into_iter().collect();
    let runners = (0..6).map(|number| {
        let runs = test.runs.clone();
        tokio::spawn(async move {
            let (runner, mut all) = (format!("runner-{number}"), Vec::new());
            loop {
                let claimed = runs.claim(&runner, at(1000), 17, LEASE).await?;
                if claimed.is_empty() {
                    return anyhow::Ok(all);
                }
                let ends: Vec<_> =
                    claimed.iter().map(|one| finished(one, &runner, RunState::Succeeded)).collect();
                let ended = runs.finish_attempt(&ends).await?;
                assert_eq!(ended.len(), claimed.len(), "nobody else has the runs");
                all.extend(claimed.into_iter().map(|one| (one.run.id, one.attempt)));
            }
        })
    });
    let mut all = Vec::new();
    for runner in futures::future::join_all(runners).await {
        all.extend(runner??);
    }
    assert_eq!(all.len(), expected.len());
    assert!(all.iter().all(|(_, attempt)| *attempt == 1));
    assert_eq!(all.into_iter().map(|(id, _)| id).collect::<BTreeSet<_>>(), expected);
    Ok(())
}

async fn an_expired_claim_is_taken_over(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let id = test.ready(&task(1), 1).await?[0];
    let first = test.claim("one", 1).await?.remove(0);
    assert_eq!(test.claim("two", 9).await?, [], "the claim is valid");
    test.expire_claims().await?;
    assert_eq!(test.claim("one", 9).await?, [], "a runner does not take over its own claims");
    let second = test.runs.claim("two", at(1500), 9, LEASE).await?.remove(0);
    assert_eq!((second.run.id, second.attempt), (id, 2));
    assert_eq!((second.run.started_at, &second.run.work), (Some(at(1000)), &first.run.work));
    assert_eq!(second.run.executed_by.as_deref(), Some("two"));
    let attempts = test.runs.attempts(&tenant("acme"), id).await?;
    assert_eq!((attempts[0].state, attempts[0].ended_at), (RunState::Failed, Some(at(1500))));
    assert_eq!(attempts[0].executed_by.as_deref(), Some("one"));
    let message = "the runner one was lost: it did not renew its claim";
    assert_eq!(attempts[0].outcome.message.as_deref(), Some(message));
    assert_eq!(
        (attempts[1].number, attempts[1].state, attempts[1].started_at),
        (2, RunState::Running, at(1500))
    );
    // The lost runner ends its attempt late.
    let late = finished(&first, "one", RunState::Succeeded);
    let retry = FinishedAttempt { then: Then::Retry { due_at: at(0) }, ..late.clone() };
    assert_eq!(test.runs.finish_attempt(&[late]).await?, []);
    assert_eq!(test.runs.finish_attempt(&[retry]).await?, []);
    assert_eq!(test.runs.renew("one", &[(id, 1)], LEASE).await?[0].claim, Claim::Lost);
    assert_eq!(test.state(id).await?, RunState::Running);
    let end = finished(&second, "two", RunState::Succeeded);
    assert_eq!(test.runs.finish_attempt(&[end]).await?, [id]);
    assert_eq!(test.runs.attempts(&tenant("acme"), id).await?.len(), 2);
    Ok(())
}

async fn an_expired_claim_of_a_cancelled_run_ends_it(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let id = test.ready(&task(1), 1).await?[0];
    test.claim("one", 1).await?;
    assert_eq!(test.runs.cancel(id, "alice", at(1100)).await?, CancelOutcome::Requested);
    test.expire_claims().await?;
    assert_eq!(test.runs.claim("two", at(1500), 9, LEASE).await?, []);
    let run = test.get(id).await?;
    assert_eq!((run.state, run.ended_at, run.attempts), (RunState::Cancelled, Some(at(1500)), 1));
    assert_eq!(run.executed_by.as_deref(), Some("one"));
    let attempts = test.runs.attempts(&tenant("acme"), id).await?;
    assert_eq!((attempts.len(), attempts[0].state), (1, RunState::Cancelled));
    assert_eq!(test.runs.list_unreported(&[], 9).await?.len(), 1);
    Ok(())
}

async fn claims_are_renewed(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 3).await?;
    test.claim("one", 3).await?;
    test.expire_claims().await?;
    test.runs.cancel(ids[1], "alice", at(1001)).await?;
    let claims = [(ids[2], 7), (ids[1], 1), (ids[0], 1), (scheduled(&task(9), 1).id, 1)];
    let renewals = test.runs.renew("one", &claims, LEASE).await?;
    assert_eq!(renewals.iter().map(|one| one.id).collect::<Vec<_>>(), claims.map(|(id, _)| id));
    let kept: Vec<Claim> = renewals.iter().map(|one| one.claim).collect();
    assert_eq!(kept, [Claim::Lost, Claim::CancelRequested, Claim::Kept, Claim::Lost]);
    assert_eq!(test.runs.renew("two", &[(ids[0], 1)], LEASE).await?[0].claim, Claim::Lost);
    // Only the claim that was not renewed is taken over.
    let taken = test.claim("two", 9).await?;
    assert_eq!(taken.iter().map(|one| one.run.id).collect::<Vec<_>>(), [ids[2]]);
    Ok(())
}

/// Both change many runs at once, in opposite orders.
async fn a_runner_renews_claims_while_it_ends_attempts(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    for round in 0..10 {
        let new: Vec<NewRun> = (0..100).map(|second| scheduled(&task(1), round * 100 + second)).collect();
        test.runs.insert(&new, at(0)).await?;
        let claimed = test.claim("one", 100).await?;
        let mut ends: Vec<_> = claimed.iter().map(|one| finished(one, "one", RunState::Succeeded)).collect();
        let claims: Vec<_> = claimed.iter().rev().map(|one| (one.run.id, one.attempt)).collect();
        ends.reverse();
        let renewing = || test.runs.renew("one", &claims, LEASE);
        let (ended, first, second) = tokio::join!(test.runs.finish_attempt(&ends), renewing(), renewing());
        assert_eq!(ended?.len(), 100);
        for renewals in [first?, second?] {
            let kept = renewals.iter().filter(|one| one.claim == Claim::Kept).count();
            assert!(kept == 0 || kept == 100, "before or after the end: {kept}");
        }
    }
    Ok(())
}

async fn the_clock_of_a_runner_takes_over_nothing(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    test.ready(&task(1), 1).await?;
    test.claim("one", 1).await?;
    assert_eq!(test.runs.claim("two", at(1_000_000), 9, LEASE).await?, []);
    assert_eq!(test.runs.claim("two", at(-1_000_000), 9, LEASE).await?, []);
    Ok(())
}
