use std::num::NonZeroUsize;

use expect_test::{Expect, expect};

use super::*;
use crate::domain::task::schedule::plan_due;
use crate::domain::task::testing::{definition, task};

pub(in crate::domain::task) fn active(spec: &str) -> ActiveTask {
    let task = task(spec);
    let definition = definition(&task);
    ActiveTask {
        key: TaskKey {
            tenant: "shop".parse().expect("a name"),
            namespace: "shop".into(),
            name: "nightly".into(),
            uid: Uuid::from_u128(1),
        },
        engine: super::super::engine::choose(&task.spec, &definition).engine,
        definition,
        destination: None,
        failure_destination: None,
        source: None,
        schedule_hash: schedule_hash(&task.spec),
        since: "2026-01-01T00:00:00Z".parse().expect("a time"),
    }
}

fn plan(spec: &str, cursor: &str, now: &str, expected: Expect) {
    let task = active(spec);
    let Timing::Time { timetable, catch_up, .. } = &task.definition.timing else { panic!("no times") };
    let [cursor, now] = [cursor, now].map(|time| time.parse().expect("a time"));
    let due = plan_due(timetable, cursor, now, *catch_up, NonZeroUsize::new(10).expect("not 0"));
    let (mut board, mut planned) = (Board::default(), PlannedRuns::default());
    task.plan_occurrences(&due, &mut board, &mut planned);
    let mut lines: Vec<String> = planned
        .runs
        .iter()
        .map(|run| {
            let message = run.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
            format!("{} {}{message}", run.scheduled_at, run.state)
        })
        .collect();
    lines.extend(planned.replaced.iter().map(|id| format!("replace {id}")));
    expected.assert_eq(&lines.join("\n"));
}

const CALL: &str = "target: {http: {url: 'https://a/'}}";

#[test]
fn occurrences_become_runs_and_records_of_missed_ones() {
    let every =
        |more: &str| format!("{{schedule: {{every: 1m, {more}}}, concurrency: {{policy: Queue}}, {CALL}}}");
    plan(
        &every("catchUp: All"),
        "2026-06-01T00:00:00Z",
        "2026-06-01T00:02:01Z",
        expect![[r#"
        2026-06-01T00:01:00Z Ready
        2026-06-01T00:02:00Z Queued: waits for runs of this task; at most 1 run at once"#]],
    );
    plan(
        &every("catchUp: Latest"),
        "2026-06-01T00:00:00Z",
        "2026-06-01T00:03:30Z",
        expect![[r#"
        2026-06-01T00:01:00Z Missed: it could not start on time, and catchUp Latest starts only the latest run
        2026-06-01T00:02:00Z Missed: it could not start on time, and catchUp Latest starts only the latest run
        2026-06-01T00:03:00Z Ready"#]],
    );
    plan(
        &every("catchUp: Skip"),
        "2026-06-01T00:00:00Z",
        "2026-06-01T00:02:30Z",
        expect![[r#"
        2026-06-01T00:01:00Z Missed: it could not start on time, and catchUp Skip starts no late run
        2026-06-01T00:02:00Z Missed: it could not start on time, and catchUp Skip starts no late run"#]],
    );
    plan(
        &format!("{{schedule: {{every: 1m, catchUp: All}}, {CALL}}}"),
        "2026-06-01T00:00:00Z",
        "2026-06-01T00:02:00Z",
        expect![[r#"
            2026-06-01T00:01:00Z Ready
            2026-06-01T00:02:00Z Skipped: a previous run has not ended (concurrency policy Forbid)"#]],
    );
}

#[test]
fn a_suspension_is_another_schedule() {
    let hash = |spec: &str| active(spec).schedule_hash;
    let plain = format!("{{schedule: {{every: 1m}}, {CALL}}}");
    assert_eq!(hash(&plain), hash(&format!("{{schedule: {{every: 1m}}, timeout: 5s, {CALL}}}")));
    assert_ne!(hash(&plain), hash(&format!("{{schedule: {{every: 1m}}, suspend: true, {CALL}}}")));
    assert_ne!(hash(&plain), hash(&format!("{{schedule: {{every: 2m}}, {CALL}}}")));
}

#[test]
fn a_fan_in_waits_for_all_and_skips_what_cannot_match() {
    use RunState::{Cancelled, Failed, Skipped, Succeeded};
    use UpstreamResult as On;
    let upstream = |task: &str, result| Upstream { task: task.into(), result };
    let both = [upstream("a", On::Succeeded), upstream("b", On::Completed)];
    let ended =
        |states: &[(&str, RunState)]| states.iter().map(|(name, state)| ((*name).into(), *state)).collect();
    let skip = |why: &str| FanIn::Skip(why.into());
    for (states, expected) in [
        (&[][..], FanIn::Wait),
        (&[("a", Succeeded)], FanIn::Wait),
        (&[("a", Succeeded), ("b", Failed)], FanIn::Run),
        (&[("a", Failed)], skip("task a ended as Failed, and this task follows Succeeded runs only")),
        (&[("b", Cancelled)], skip("task b ended as Cancelled, and this task follows Completed runs only")),
        (&[("b", Skipped)], skip("task b ended as Skipped, and this task follows Completed runs only")),
    ] {
        assert_eq!(decide_fan_in(&both, &ended(states)), expected, "{states:?}");
    }
}

#[test]
fn requested_runs_pass_the_same_gates() {
    let task = active(&format!("{{parameters: {{a: b}}, {CALL}}}"));
    let (mut board, mut planned) = (Board::default(), PlannedRuns::default());
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    let mut admit = |id: &str, parameters: &[(&str, &str)]| {
        let new = new_run(&task.key, Trigger::Manual { id: id.into() }, None, now);
        let run = Run {
            id: new.id,
            task: new.task,
            trigger: new.trigger,
            scheduled_at: new.scheduled_at,
            due_at: new.due_at,
            state: new.state,
            executor: None,
            chain: new.chain,
            parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            work: None,
            requested_by: None,
            cancelled_by: None,
            attempts: 0,
            started_at: None,
            ended_at: None,
            outcome: Default::default(),
            executed_by: None,
        };
        task.admit_requested(&run, &mut board, &mut planned).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(admit("1", &[("a", "c")]), Ok((RunState::Ready, None)));
    assert_eq!(
        admit("2", &[]),
        Ok((RunState::Skipped, Some("a previous run has not ended (concurrency policy Forbid)".into())))
    );
    assert_eq!(
        admit("3", &[("x", "y")]),
        Err("InvalidResource: parameters.x: the task has no such parameter: write one of a".into())
    );
}

fn ended(task: &ActiveTask, trigger: Trigger, state: RunState) -> Run {
    let now = "2026-06-01T00:00:00Z".parse().expect("a time");
    let new = new_run(&task.key, trigger, None, now);
    Run {
        id: new.id,
        task: new.task,
        trigger: new.trigger,
        scheduled_at: now,
        due_at: now,
        state,
        executor: Some(Executor::Runner),
        chain: new.chain,
        parameters: BTreeMap::from([("region".into(), "us".into())]),
        work: None,
        requested_by: None,
        cancelled_by: None,
        attempts: 3,
        started_at: Some(now),
        ended_at: Some(now),
        outcome: super::super::Outcome { message: Some("no space left".into()), ..Default::default() },
        executed_by: None,
    }
}

#[test]
fn a_failed_run_has_one_action_with_its_own_values() {
    let task = active(
        "{target: {http: {url: 'https://a/'}}, parameters: {region: eu}, \
         onFailure: {http: {url: 'https://b/', body: '$(run.id) $(run.state) $(run.attempt) $(run.message) $(params.region)'}}}",
    );
    let now = "2026-06-01T00:01:00Z".parse().expect("a time");
    let manual = || Trigger::Manual { id: "1".into() };
    for state in [RunState::Succeeded, RunState::Cancelled, RunState::Missed, RunState::Skipped] {
        assert_eq!(task.failure_action(&ended(&task, manual(), state), now), None, "{state}");
    }
    let failed = ended(&task, manual(), RunState::Failed);
    let action = task.failure_action(&failed, now).expect("an action");
    assert_eq!(action.trigger, Trigger::Failure { of: failed.id });
    assert_eq!(
        (action.chain, action.state, action.executor),
        (failed.chain, RunState::Ready, Some(Executor::Runner))
    );
    let work = Work::parse(action.work.as_deref().expect("work")).expect("valid");
    let of_action = ended(&task, action.trigger, RunState::Failed);
    let values = work.values(&of_action, 1);
    let body = work.target.http.as_ref().and_then(|target| target.body.clone()).expect("a body");
    assert_eq!(values.render(&body, |value| value), format!("{} Failed 3 no space left us", failed.id));
    assert_eq!(task.failure_action(&of_action, now), None, "no action of an action");
    let without = active(&format!("{{{CALL}}}"));
    assert_eq!(without.failure_action(&failed, now), None);
}

#[test]
fn runs_of_a_backfill_and_repetitions_wait_and_triggers_follow_the_policy() {
    let admit = |policy: &str, trigger: Trigger| {
        let task = active(&format!("{{{CALL}, concurrency: {{policy: {policy}}}}}"));
        let (mut board, mut planned) = (Board::default(), PlannedRuns::default());
        let other = ended(&task, Trigger::Manual { id: "other".into() }, RunState::Requested);
        task.admit_requested(&Run { parameters: BTreeMap::new(), ..other }, &mut board, &mut planned)
            .expect("admitted");
        let run = Run { parameters: BTreeMap::new(), ..ended(&task, trigger, RunState::Requested) };
        task.admit_requested(&run, &mut board, &mut planned).expect("admitted").0
    };
    let time = "2026-06-01T00:00:00Z".parse().expect("a time");
    let occurrence = || Trigger::Schedule { time };
    let rerun = || Trigger::Rerun { of: RunId(Uuid::nil()), number: 1 };
    let manual = || Trigger::Manual { id: "1".into() };
    for (policy, trigger, expected) in [
        ("Forbid", occurrence(), RunState::Queued),
        ("Forbid", rerun(), RunState::Queued),
        ("Forbid", manual(), RunState::Skipped),
        ("Replace", occurrence(), RunState::Queued),
        ("Replace", manual(), RunState::Ready),
        ("Allow", occurrence(), RunState::Ready),
        ("Queue", manual(), RunState::Queued),
    ] {
        assert_eq!(admit(policy, trigger.clone()), expected, "{policy} {trigger:?}");
    }
}
