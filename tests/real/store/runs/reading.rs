//! Lists and filters.

use std::collections::BTreeSet;

use anyhow::Result;
use eventcenter::domain::task::{NewRun, Run, RunId, RunState, TaskKey, Trigger};
use eventcenter::store::RunFilter;
use uuid::Uuid;

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, finished, scheduled, task, tenant};

on_both! {
    filters_find_all_matching_runs,
    pages_are_complete_while_runs_are_reported,
    no_query_returns_runs_of_another_tenant,
    the_task_and_the_states_of_runs_are_found,
}

const STATES: [RunState; 6] = [
    RunState::Succeeded,
    RunState::Failed,
    RunState::Missed,
    RunState::Ready,
    RunState::Requested,
    RunState::Skipped,
];

/// Stores various runs of two tenants, some of them reported.
async fn varied(test: &TestRuns) -> Result<Vec<Run>> {
    let mut new = Vec::new();
    for number in 0..120_i64 {
        let index = usize::try_from(number)?;
        let task = TaskKey {
            tenant: tenant(["acme", "globex", "initech"][index % 3]),
            namespace: ["shop", "bank"][index / 3 % 2].to_owned(),
            name: format!("task-{}", number % 5),
            uid: Uuid::from_u128(u128::try_from(number % 10)?),
        };
        let mut run = NewRun { state: STATES[index % 6], ..scheduled(&task, number / 4) };
        if number % 7 == 0 {
            run.trigger = Trigger::Manual { id: number.to_string() };
            run.id = RunId::of(task.uid, &run.trigger);
            run.chain = run.id.0;
        }
        if number % 11 == 0 {
            run.chain = new.first().map_or(run.chain, |first: &NewRun| first.chain);
        }
        if run.state == RunState::Succeeded || run.state == RunState::Failed {
            run.state = RunState::Ready;
        }
        new.push(run);
    }
    test.runs.insert(&new, at(500)).await?;
    let claimed = test.claim("one", 60).await?;
    let state = |number: usize| if number.is_multiple_of(3) { RunState::Failed } else { RunState::Succeeded };
    let ends: Vec<_> = claimed
        .iter()
        .enumerate()
        .take(40)
        .map(|(number, one)| finished(one, "one", state(number)))
        .collect();
    test.runs.finish_attempt(&ends).await?;
    let ended: Vec<RunId> =
        test.runs.list_unreported(&[], 50).await?.into_iter().map(|one| one.run.id).collect();
    test.runs.mark_reported(&ended).await?;
    let mut all = Vec::new();
    for run in &new {
        let stored = test.runs.get(&run.task.tenant, run.id).await?.expect("it was inserted");
        all.push(Run { work: None, ..stored });
    }
    all.sort_by_key(|run| std::cmp::Reverse((run.scheduled_at, run.id)));
    let states: BTreeSet<RunState> = all.iter().map(|run| run.state).collect();
    assert!(states.len() >= 6, "{states:?}");
    Ok(all)
}

fn matches(filter: &RunFilter, run: &Run) -> bool {
    let named =
        |names: &Option<Vec<String>>| names.as_ref().is_none_or(|all| all.contains(&run.task.namespace));
    filter.tenants.contains(&run.task.tenant)
        && named(&filter.namespaces)
        && filter.task.as_ref().is_none_or(|name| *name == run.task.name)
        && filter.uid.is_none_or(|uid| uid == run.task.uid)
        && (filter.states.is_empty() || filter.states.contains(&run.state))
        && (filter.triggers.is_empty() || filter.triggers.iter().any(|kind| kind == run.trigger.kind()))
        && filter.from.is_none_or(|from| run.scheduled_at >= from)
        && filter.until.is_none_or(|until| run.scheduled_at < until)
        && filter.chain.is_none_or(|chain| run.chain == chain)
}

/// All pages of a filter.
async fn list(test: &TestRuns, filter: &RunFilter, limit: usize) -> Result<Vec<Run>> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = test.runs.list(filter, after, limit).await?;
        assert!(page.runs.len() <= limit);
        all.extend(page.runs);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn filters_find_all_matching_runs(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let all = varied(&test).await?;
    let chain = all.iter().find(|run| run.chain != run.id.0).expect("a chain").chain;
    let some = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let acme = || RunFilter { tenants: vec![tenant("acme")], ..RunFilter::default() };
    let two = || RunFilter { tenants: vec![tenant("globex"), tenant("acme")], ..RunFilter::default() };
    let every = || RunFilter { tenants: vec![tenant("initech"), tenant("globex"), tenant("acme")], ..acme() };
    let filters = [
        RunFilter::default(),
        acme(),
        two(),
        every(),
        RunFilter { tenants: vec![tenant("nobody")], ..acme() },
        RunFilter { namespaces: some(&["shop"]), ..acme() },
        RunFilter { namespaces: some(&["shop", "bank", "other"]), ..two() },
        RunFilter { namespaces: some(&[]), ..two() },
        RunFilter { namespaces: some(&["shop"]), task: Some("task-1".to_owned()), ..acme() },
        RunFilter { task: Some("task-2".to_owned()), ..every() },
        RunFilter { uid: Some(Uuid::from_u128(3)), ..every() },
        RunFilter { states: vec![RunState::Failed], ..every() },
        RunFilter { states: vec![RunState::Succeeded], ..every() },
        RunFilter { states: vec![RunState::Succeeded, RunState::Missed, RunState::Ready], ..every() },
        RunFilter { states: vec![RunState::Requested, RunState::Running], ..two() },
        RunFilter { triggers: vec!["Manual".to_owned()], ..every() },
        RunFilter { triggers: vec!["Schedule".to_owned(), "Event".to_owned()], ..two() },
        RunFilter { from: Some(at(10)), until: Some(at(20)), ..every() },
        RunFilter { from: Some(at(20)), until: Some(at(10)), ..every() },
        RunFilter { chain: Some(chain), ..every() },
        RunFilter { chain: Some(chain), states: vec![RunState::Skipped, RunState::Ready], ..every() },
        RunFilter { chain: Some(Uuid::from_u128(1)), ..every() },
    ];
    for filter in filters {
        let expected: Vec<&Run> = all.iter().filter(|run| matches(&filter, run)).collect();
        for limit in [1, 7, 500] {
            // Pages of one run take long for many runs.
            if limit > 1 || expected.len() < 20 {
                let listed = list(&test, &filter, limit).await?;
                assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?}");
            }
        }
    }
    Ok(())
}

async fn pages_are_complete_while_runs_are_reported(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let missed: Vec<NewRun> =
        (0..200).map(|second| NewRun { state: RunState::Missed, ..scheduled(&task(1), second) }).collect();
    test.runs.insert(&missed, at(0)).await?;
    let runs = test.runs.clone();
    let reporting = tokio::spawn(async move {
        for run in missed {
            runs.mark_reported(&[run.id]).await?;
        }
        anyhow::Ok(())
    });
    let filter = RunFilter { tenants: vec![tenant("acme")], ..RunFilter::default() };
    while !reporting.is_finished() {
        let listed = list(&test, &filter, 30).await?;
        let ids: BTreeSet<RunId> = listed.iter().map(|run| run.id).collect();
        assert_eq!((listed.len(), ids.len()), (200, 200), "each run once");
    }
    reporting.await?
}

async fn no_query_returns_runs_of_another_tenant(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let ids = test.ready(&task(1), 2).await?;
    let claimed = test.claim("one", 2).await?;
    test.runs.finish_attempt(&[finished(&claimed[0], "one", RunState::Failed)]).await?;
    for _ in 0..2 {
        let other = tenant("globex");
        for id in &ids {
            assert_eq!(test.runs.get(&other, *id).await?, None);
            assert_eq!(test.runs.attempts(&other, *id).await?, []);
            assert_eq!(test.runs.log_tail(&other, *id, 1).await?, None);
        }
        let chain = ids[0].0;
        for filter in [
            RunFilter { tenants: vec![other.clone()], ..RunFilter::default() },
            RunFilter { tenants: vec![other.clone()], chain: Some(chain), ..RunFilter::default() },
            RunFilter { tenants: vec![other], uid: Some(task(1).uid), ..RunFilter::default() },
            RunFilter { chain: Some(chain), ..RunFilter::default() },
        ] {
            assert_eq!(list(&test, &filter, 10).await?, []);
        }
        assert_eq!(test.runs.attempts(&tenant("acme"), ids[0]).await?.len(), 1);
        // The same holds for the history.
        test.runs.mark_reported(&ids).await?;
    }
    Ok(())
}

async fn the_task_and_the_states_of_runs_are_found(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    // Some of the runs are in the history.
    let runs = varied(&test).await?;
    for run in &runs {
        assert_eq!(test.runs.task_of(run.id).await?.as_ref(), Some(&run.task));
    }
    let unknown = RunId(Uuid::from_u128(1));
    assert_eq!(test.runs.task_of(unknown).await?, None);
    let ids: Vec<RunId> = runs.iter().map(|run| run.id).chain([unknown]).collect();
    for name in ["acme", "globex"] {
        let expected: std::collections::HashMap<RunId, RunState> = runs
            .iter()
            .filter(|run| run.task.tenant == tenant(name))
            .map(|run| (run.id, run.state))
            .collect();
        assert_eq!(test.runs.states(&tenant(name), &ids).await?, expected);
    }
    assert!(test.runs.states(&tenant("acme"), &[]).await?.is_empty());
    Ok(())
}
