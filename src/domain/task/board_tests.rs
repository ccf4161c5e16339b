use proptest::prelude::*;

use super::*;

fn gate(policy: ConcurrencyPolicy) -> Gate {
    let task_limit = matches!(policy, ConcurrencyPolicy::Queue).then_some(1);
    Gate { policy, task_limit, group: None, tenant_limit: None }
}

fn run(task: u128, second: i64, gate: Gate) -> OpenRun {
    let id = RunId(Uuid::from_u128(task << 64 | u128::from(second.unsigned_abs())));
    OpenRun {
        id,
        task: Uuid::from_u128(task),
        tenant: "shop".parse().expect("a name"),
        namespace: "shop".into(),
        scheduled_at: Timestamp::from_second(second).expect("in range"),
        gate,
    }
}

#[test]
fn policies_decide_about_overlapping_runs() {
    use ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
    for (policy, expected) in [
        (Allow, Admission::Start),
        (Forbid, Admission::Skip("a previous run has not ended (concurrency policy Forbid)".into())),
        (Replace, Admission::Replace(vec![run(1, 10, gate(Replace)).id])),
        (Queue, Admission::Queue("waits for runs of this task; at most 1 run at once".into())),
    ] {
        let mut board = Board::default();
        assert_eq!(board.admit(run(1, 10, gate(policy))), Admission::Start);
        assert_eq!(board.admit(run(2, 10, gate(policy))), Admission::Start, "another task");
        assert_eq!(board.admit(run(1, 20, gate(policy))), expected, "{policy:?}");
    }
}

#[test]
fn a_run_is_admitted_once() {
    let mut board = Board::default();
    assert_eq!(board.admit(run(1, 10, gate(ConcurrencyPolicy::Forbid))), Admission::Start);
    assert_eq!(board.admit(run(1, 10, gate(ConcurrencyPolicy::Forbid))), Admission::Start);
    assert_eq!(board.open_of(Uuid::from_u128(1)), (1, 0));
}

#[test]
fn the_runs_of_a_group_start_in_order() {
    let grouped = |limit| Gate { group: Some(("nightly".into(), limit)), ..gate(ConcurrencyPolicy::Allow) };
    let mut board = Board::default();
    let [a, b, c, d] =
        [run(1, 10, grouped(2)), run(2, 20, grouped(2)), run(3, 40, grouped(2)), run(4, 30, grouped(2))];
    assert_eq!(board.admit(a.clone()), Admission::Start);
    assert_eq!(board.admit(b), Admission::Start);
    let waits = Admission::Queue("waits in group nightly; at most 2 of its runs run at once".into());
    assert_eq!(board.admit(c.clone()), waits);
    assert_eq!(board.admit(d.clone()), waits);
    assert_eq!((board.place_of(c.task), board.place_of(d.task)), (Some(2), Some(1)));
    assert!(board.release().is_empty());
    assert!(board.end(a.id) && !board.end(a.id));
    // The lowest limit counts.
    assert_eq!(
        board.admit(run(5, 50, grouped(1))),
        Admission::Queue("waits in group nightly; at most 1 of its runs run at once".into())
    );
    assert!(board.release().is_empty());
    board.forget_task(Uuid::from_u128(5));
    assert_eq!(board.release(), [d.id]);
}

#[test]
fn a_tenant_with_a_limit_queues_all_its_runs() {
    let limited = Gate { tenant_limit: Some(1), ..gate(ConcurrencyPolicy::Allow) };
    let mut board = Board::default();
    assert_eq!(board.admit(run(1, 10, limited.clone())), Admission::Start);
    assert_eq!(
        board.admit(run(2, 20, limited.clone())),
        Admission::Queue("waits for other runs of tenant shop; at most 1 run at once".into())
    );
    board.end(run(1, 10, limited.clone()).id);
    // A younger run does not overtake.
    assert_eq!(
        board.admit(run(3, 30, limited.clone())),
        Admission::Queue("waits for runs that are due before".into())
    );
    assert_eq!(board.release(), [run(2, 20, limited).id]);
}

/// An operation on the board.
#[derive(Clone, Debug)]
enum Step {
    Admit { task: u8, second: i64 },
    End(u8),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, 0i64..50).prop_map(|(task, second)| Step::Admit { task, second }),
        3 => any::<u8>().prop_map(Step::End),
        2 => Just(Step::Release),
    ]
}

/// Each task has another gate; the tasks 0 to 2 share a group with limit 2.
fn gate_of(task: u8) -> Gate {
    use ConcurrencyPolicy::{Allow, Forbid, Queue, Replace};
    let group = (task < 3).then(|| ("g".to_owned(), 2));
    let policy = [Allow, Queue, Forbid, Queue, Allow, Replace][usize::from(task)];
    Gate { group, tenant_limit: Some(4), ..gate(policy) }
}

proptest! {
    #[test]
    fn limits_hold_and_no_run_is_lost(steps in proptest::collection::vec(step(), 1..120)) {
        let mut board = Board::default();
        let (mut started, mut waiting): (BTreeSet<RunId>, BTreeSet<RunId>) = Default::default();
        let task_of = |id: &RunId| (id.0.as_u128() >> 64) as u8;
        for step in steps {
            match step {
                Step::Admit { task, second } => {
                    let run = run(u128::from(task), second, gate_of(task));
                    let is_known = started.contains(&run.id) || waiting.contains(&run.id);
                    match board.admit(run.clone()) {
                        _ if is_known => {}
                        Admission::Start => drop(started.insert(run.id)),
                        Admission::Queue(_) => drop(waiting.insert(run.id)),
                        Admission::Skip(_) => prop_assert_eq!(task, 2),
                        Admission::Replace(replaced) => {
                            prop_assert_eq!(task, 5);
                            for id in replaced {
                                prop_assert!(board.end(id));
                                prop_assert!(started.remove(&id) || waiting.remove(&id));
                            }
                            started.insert(run.id);
                        }
                    }
                }
                Step::End(index) => {
                    let all: Vec<RunId> = started.iter().copied().collect();
                    if let Some(id) = all.get(usize::from(index) % all.len().max(1)) {
                        prop_assert!(board.end(*id));
                        started.remove(id);
                    }
                }
                Step::Release => for id in board.release() {
                    prop_assert!(waiting.remove(&id));
                    started.insert(id);
                },
            }
            prop_assert_eq!(board.waiting(), waiting.len());
            prop_assert!(started.iter().filter(|id| task_of(id) < 3).count() <= 2);
            prop_assert!(started.iter().filter(|id| task_of(id) == 3).count() <= 1);
            // A replacing run may exceed the tenant's limit by itself.
            prop_assert!(started.iter().filter(|id| task_of(id) != 5).count() <= 4);
        }
        // Everything that waits starts once the others have ended.
        for _ in 0..waiting.len() + 1 {
            for id in std::mem::take(&mut started) {
                board.end(id);
            }
            for id in board.release() {
                prop_assert!(waiting.remove(&id));
                started.insert(id);
            }
        }
        prop_assert!(waiting.is_empty());
    }
}
