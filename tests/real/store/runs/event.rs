//! Positions of tasks in topics, and the runs of events.

use anyhow::{Context, Result};
use eventcenter::domain::task::{NewRun, RunId, RunState, Trigger};
use eventcenter::store::{EventPosition, PositionMove, PositionTopic, Signal};
use uuid::Uuid;

use super::super::database::TestDatabase;
use super::super::on_both;
use super::{TestRuns, at, scheduled, task, tenant};

on_both! {
    positions_begin_once_and_other_topics_are_forgotten,
    a_position_moves_with_the_runs_before_it,
    a_stale_position_changes_nothing,
    one_of_several_leaders_plans_the_events,
    open_runs_of_events_are_counted,
}

fn position(number: u128, topic: &str, id: &str, partition: i32, next_offset: i64) -> EventPosition {
    let topic = PositionTopic { name: topic.to_owned(), id: id.to_owned() };
    EventPosition { task: Uuid::from_u128(number), topic, partition, next_offset }
}

fn moved(number: u128, partition: i32, from: i64, to: i64) -> PositionMove {
    PositionMove { from, to: position(number, "main/orders", "a", partition, to) }
}

fn requested(number: u128, offset: i64) -> NewRun {
    let trigger = Trigger::Event { position: format!("orders/0/{offset}"), topic_id: "a".to_owned() };
    NewRun {
        id: RunId::of(Uuid::from_u128(number), &trigger),
        trigger,
        state: RunState::Requested,
        executor: None,
        work: None,
        ..scheduled(&task(number), offset)
    }
}

async fn positions(test: &TestRuns, tasks: &[u128]) -> Result<Vec<String>> {
    let tasks: Vec<Uuid> = tasks.iter().map(|number| Uuid::from_u128(*number)).collect();
    let mut positions: Vec<String> = test
        .runs
        .load_event_positions(&tasks)
        .await?
        .into_iter()
        .map(|one| {
            let EventPosition { task, topic, partition, next_offset } = one;
            format!("{} {} {} {partition} {next_offset}", task.as_u128(), topic.name, topic.id)
        })
        .collect();
    positions.sort();
    Ok(positions)
}

async fn positions_begin_once_and_other_topics_are_forgotten(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let of_orders = |partition, offset| position(1, "main/orders", "a", partition, offset);
    test.runs
        .begin_event_positions(&[of_orders(0, 7), of_orders(1, 8), position(2, "main/orders", "a", 0, 5)])
        .await?;
    // Those that exist are kept, and others are added.
    test.runs.begin_event_positions(&[of_orders(1, 0), of_orders(2, 0)]).await?;
    let expected =
        ["1 main/orders a 0 7", "1 main/orders a 1 8", "1 main/orders a 2 0", "2 main/orders a 0 5"];
    assert_eq!(positions(&test, &[1, 2, 3]).await?, expected);
    // The topic was created again.
    test.runs.begin_event_positions(&[position(1, "main/orders", "b", 0, 0)]).await?;
    assert_eq!(positions(&test, &[1, 2]).await?, ["1 main/orders b 0 0", "2 main/orders a 0 5"]);
    test.runs.begin_event_positions(&[position(1, "main/others", "c", 0, 3)]).await?;
    assert_eq!(positions(&test, &[1]).await?, ["1 main/others c 0 3"]);
    test.runs.delete_event_positions(&[Uuid::from_u128(1)]).await?;
    assert_eq!(test.runs.list_tasks_with_positions().await?, [Uuid::from_u128(2)]);
    test.runs.delete_tasks(&[Uuid::from_u128(2)]).await?;
    assert!(test.runs.list_tasks_with_positions().await?.is_empty());
    Ok(())
}

async fn a_position_moves_with_the_runs_before_it(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    let mut changed = test.runs.subscribe(Signal::Changed);
    test.runs.begin_event_positions(&[moved(1, 0, 0, 5).to, moved(2, 0, 0, 6).to]).await?;
    let runs = [requested(1, 5), requested(1, 6), requested(2, 6)];
    let inserted = test.runs.plan_events(&[moved(1, 0, 5, 7), moved(2, 0, 6, 7)], &runs, at(0)).await?;
    assert_eq!(inserted, Some(runs.iter().map(|run| run.id).collect()));
    changed.notified().await;
    assert_eq!(positions(&test, &[1, 2]).await?, ["1 main/orders a 0 7", "2 main/orders a 0 7"]);
    assert_eq!(test.runs.list_requested(&[], 10).await?.len(), 3);
    // A run that exists is none again.
    let inserted = test.runs.plan_events(&[moved(1, 0, 7, 8)], &runs[..1], at(0)).await?;
    assert_eq!(inserted, Some(Vec::new()));
    assert_eq!(test.runs.plan_events(&[], &[], at(0)).await?, Some(Vec::new()));
    Ok(())
}

async fn a_stale_position_changes_nothing(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    test.runs.begin_event_positions(&[moved(1, 0, 0, 5).to, moved(2, 0, 0, 5).to]).await?;
    let runs = [requested(1, 5), requested(2, 5)];
    let mut other_topic = moved(2, 0, 5, 6);
    other_topic.to.topic.id = "b".to_owned();
    for stale in [moved(2, 0, 4, 6), moved(2, 1, 5, 6), moved(3, 0, 5, 6), other_topic] {
        let planned = test.runs.plan_events(&[moved(1, 0, 5, 6), stale.clone()], &runs, at(0)).await?;
        assert_eq!(planned, None, "{stale:?}");
        assert!(test.runs.get(&tenant("acme"), runs[0].id).await?.is_none(), "{stale:?}");
    }
    assert_eq!(positions(&test, &[1, 2, 3]).await?, ["1 main/orders a 0 5", "2 main/orders a 0 5"]);
    Ok(())
}

async fn one_of_several_leaders_plans_the_events(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    test.runs.begin_event_positions(&[moved(1, 0, 0, 0).to]).await?;
    for round in 0..20 {
        // Each leader would plan another run.
        let leaders = (0..4).map(|leader| {
            let (runs, run) = (test.runs.clone(), requested(1, 1000 + round * 4 + leader));
            tokio::spawn(
                async move { runs.plan_events(&[moved(1, 0, round, round + 1)], &[run], at(0)).await },
            )
        });
        let mut inserted = 0;
        for planned in futures::future::join_all(leaders).await {
            inserted += planned??.map_or(0, |inserted| inserted.len());
        }
        assert_eq!(inserted, 1, "round {round}");
    }
    assert_eq!(test.runs.list_open(None, 100).await?.len(), 20);
    Ok(())
}

async fn open_runs_of_events_are_counted(database: TestDatabase) -> Result<()> {
    let test = TestRuns::create(database).await?;
    test.ready(&task(1), 2).await?;
    let failed = NewRun { state: RunState::Failed, ..requested(1, 3) };
    test.runs.insert(&[requested(1, 1), requested(1, 2), failed, requested(2, 1)], at(0)).await?;
    let open = test.runs.count_open_of_events().await?;
    assert_eq!(open.len(), 2);
    assert_eq!(open.get(&Uuid::from_u128(1)).copied().context("the task has open runs")?, 2);
    Ok(())
}
