use expect_test::expect;
use uuid::Uuid;

use super::*;
use crate::domain::task::testing::{definition, task};
use crate::domain::task::{Executor, Outcome, RunId, RunState, Trigger};

const POD: &str = "target: {container: {template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: x, args: ['$(params.region)', '$(run.id)'], env: [{name: SHARD_TOTAL, value: forged}]}]}}}}";

fn run(name: &str) -> Run {
    let uid = Uuid::from_u128(1);
    let time: Timestamp = "2026-03-01T02:00:00Z".parse().expect("a time");
    let trigger = Trigger::Schedule { time };
    Run {
        id: RunId::of(uid, &trigger),
        task: TaskKey {
            tenant: "shop".parse().expect("a name"),
            namespace: "shop".into(),
            name: name.into(),
            uid,
        },
        trigger,
        scheduled_at: time,
        due_at: time,
        state: RunState::Ready,
        executor: Some(Executor::Job),
        chain: Uuid::nil(),
        parameters: BTreeMap::new(),
        work: None,
        requested_by: None,
        cancelled_by: None,
        attempts: 0,
        started_at: None,
        ended_at: None,
        outcome: Outcome::default(),
        executed_by: None,
    }
}

#[test]
fn names_fit_and_stay_unique() {
    assert_eq!(cron_job_name("nightly"), "nightly");
    let long = "a".repeat(60);
    assert_eq!(cron_job_name(&long).len(), 52);
    assert_ne!(cron_job_name(&long), cron_job_name(&"a".repeat(61)));
    assert_ne!(cron_job_name("a.b"), cron_job_name("a-b"));
    for name in ["nightly", &long, &"b.".repeat(100)] {
        let name = job_name(&run(name), 100);
        assert!(name.len() <= 63 && !name.contains('.'), "{name}");
    }
    assert_ne!(job_name(&run("a"), 1), job_name(&run("a"), 2));
}

#[test]
fn a_cron_job_has_the_declared_schedule() {
    let task = task(&format!(
        "{{schedule: {{cron: '0 3 * * *', timeZone: Europe/Berlin, catchUpWindow: 1h}}, parameters: {{region: eu}}, concurrency: {{policy: Replace}}, retry: {{limit: 2}}, timeout: 5m, {POD}}}"
    ));
    let cron_job = build_cron_job(&task, &task.spec, &definition(&task), None);
    expect![[r#"
        apiVersion: batch/v1
        kind: CronJob
        metadata:
          labels:
            app.kubernetes.io/managed-by: eventcenter
            eventcenter.io/task-uid: 00000000-0000-0000-0000-000000000001
          name: nightly
          namespace: shop
          ownerReferences:
          - apiVersion: eventcenter.io/v1alpha1
            blockOwnerDeletion: false
            controller: true
            kind: ScheduledTask
            name: nightly
            uid: 00000000-0000-0000-0000-000000000001
        spec:
          concurrencyPolicy: Replace
          failedJobsHistoryLimit: 100
          jobTemplate:
            metadata:
              labels:
                app.kubernetes.io/managed-by: eventcenter
                eventcenter.io/task-uid: 00000000-0000-0000-0000-000000000001
            spec:
              backoffLimit: 2
              template:
                metadata:
                  labels:
                    app: x
                    app.kubernetes.io/managed-by: eventcenter
                    eventcenter.io/task-uid: 00000000-0000-0000-0000-000000000001
                spec:
                  activeDeadlineSeconds: 300
                  containers:
                  - args:
                    - eu
                    - $(run.id)
                    env:
                    - name: SHARD_TOTAL
                      value: forged
                    image: x
                    name: a
                    terminationMessagePolicy: FallbackToLogsOnError
                  restartPolicy: Never
          schedule: 0 3 * * *
          startingDeadlineSeconds: 3600
          successfulJobsHistoryLimit: 100
          suspend: false
          timeZone: Europe/Berlin
    "#]]
    .assert_eq(&serde_yaml::to_string(&cron_job).expect("YAML"));
}

#[test]
fn a_job_has_its_run_and_its_shards() {
    let task =
        task(&format!("{{shards: 3, timeout: 90s, retry: {{limit: 2}}, parameters: {{region: eu}}, {POD}}}"));
    let work = Work::of(&definition(&task), &BTreeMap::from([("region".into(), "us".into())]), None);
    let work = Work::parse(&work.to_json()).expect("stored work");
    let job = build_job(&run("nightly"), &work, 1, true).expect("a Job");
    expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          annotations:
            eventcenter.io/attempt: '1'
            eventcenter.io/run-id: 70392ea7-6f66-8f8f-a7f4-b6436617ca42
            eventcenter.io/scheduled-time: 2026-03-01T02:00:00Z
          labels:
            app.kubernetes.io/managed-by: eventcenter
            eventcenter.io/task-uid: 00000000-0000-0000-0000-000000000001
          name: nightly-70392ea76f66-1
          namespace: shop
          ownerReferences:
          - apiVersion: eventcenter.io/v1alpha1
            blockOwnerDeletion: false
            controller: true
            kind: ScheduledTask
            name: nightly
            uid: 00000000-0000-0000-0000-000000000001
        spec:
          backoffLimitPerIndex: 2
          completionMode: Indexed
          completions: 3
          parallelism: 3
          suspend: true
          template:
            metadata:
              labels:
                app: x
                app.kubernetes.io/managed-by: eventcenter
                eventcenter.io/task-uid: 00000000-0000-0000-0000-000000000001
            spec:
              activeDeadlineSeconds: 90
              containers:
              - args:
                - us
                - 70392ea7-6f66-8f8f-a7f4-b6436617ca42
                env:
                - name: EVENTCENTER_RUN_ID
                  value: 70392ea7-6f66-8f8f-a7f4-b6436617ca42
                - name: EVENTCENTER_SCHEDULED_TIME
                  value: 2026-03-01T02:00:00Z
                - name: EVENTCENTER_ATTEMPT
                  value: '1'
                - name: SHARD_INDEX
                  valueFrom:
                    fieldRef:
                      fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
                - name: SHARD_TOTAL
                  value: '3'
                image: x
                name: a
                terminationMessagePolicy: FallbackToLogsOnError
              restartPolicy: Never
    "#]]
    .assert_eq(&serde_yaml::to_string(&job).expect("YAML"));
    assert_eq!(scheduled_time(&job), Some(run("nightly").scheduled_at));
}

#[test]
fn an_attempt_without_shards_is_not_retried_by_kubernetes() {
    let task = task(&format!("{{timeout: 90s, retry: {{limit: 2}}, parameters: {{region: eu}}, {POD}}}"));
    let work = Work::of(&definition(&task), &BTreeMap::new(), None);
    let spec = build_job(&run("nightly"), &work, 2, false).expect("a Job").spec.expect("a spec");
    assert_eq!(
        (spec.backoff_limit, spec.active_deadline_seconds, spec.suspend),
        (Some(0), Some(90), Some(false))
    );
}
