//! `eventctl task`: on the API server with the webhook, and through the REST API.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::rest::schedule::fixture::{LOG, TARGET, TaskServer, User};
use crate::stage;

/// The exit code, standard output and standard error.
type CommandOutput = (i32, String, String);

/// Runs the program as the developer for the REST API, and as the administrator for Kubernetes.
fn task(server: &TaskServer, line: &str) -> CommandOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventctl"));
    for name in ["EVENTCTL_TENANT", "EVENTCTL_CERTIFICATE_AUTHORITY", "KUBERNETES_SERVICE_HOST"] {
        command.env_remove(name);
    }
    command
        .arg("task")
        .args(line.split_whitespace())
        .env("KUBECONFIG", &stage::with_webhook().kubeconfig)
        .env("EVENTCTL_SERVER", format!("http://127.0.0.1:{}", server.port))
        .env("EVENTCTL_TOKEN", server.token(User::Developer))
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    let output = command.output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it exits"), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn check(server: &TaskServer, line: &str, code: i32, part: &str) -> String {
    let (exit, out, err) = task(server, line);
    assert!(exit == code && (out.contains(part) || err.contains(part)), "{line}: exit {exit}\n{out}\n{err}");
    out
}

#[test]
fn tasks_are_listed_described_and_suspended() {
    let server = TaskServer::shared();
    let namespace = &server.shop;
    server.declare(
        "shown",
        &format!("{{schedule: {{cron: '30 2 * * *', timeZone: Europe/Berlin}}, {TARGET}}}"),
    );
    let list = check(server, &format!("list -n {namespace}"), 0, "NAMESPACE");
    let line = list.lines().find(|line| line.contains(" shown ")).expect("the task is listed");
    assert!(line.contains("30 2 * * *") && line.contains("false"), "{list}");
    let listed = check(server, &format!("list -n {namespace} -o json"), 0, "shown");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert!(
        listed.as_array().is_some_and(|tasks| tasks.iter().any(|task| task["metadata"]["name"] == "shown"))
    );

    check(server, &format!("suspend shown -n {namespace}"), 0, "is suspended");
    let described =
        check(server, &format!("describe shown -n {namespace}"), 0, "Every day at 02:30 in Europe/Berlin");
    assert!(
        described.contains("The schedule is suspended")
            && described.contains("none while the schedule is suspended"),
        "{described}"
    );
    check(server, &format!("resume shown -n {namespace}"), 0, "is resumed");
    check(server, &format!("describe shown -n {namespace}"), 0, "TASK (Europe/Berlin)");
    let described = check(server, &format!("describe logged -n {namespace}"), 0, "Last runs:");
    assert!(described.contains("Every hour at minute 0"), "{described}");
    check(server, &format!("resume shown -n {namespace}"), 0, "is not suspended: nothing is changed");
    for command in ["describe", "suspend", "next"] {
        check(
            server,
            &format!("{command} missing -n {namespace}"),
            2,
            &format!("there is no ScheduledTask missing in namespace {namespace}"),
        );
    }
    check(server, "list -n nowhere", 0, "there is no ScheduledTask in namespace nowhere");
}

#[test]
fn the_next_times_need_no_cluster() {
    let server = TaskServer::shared();
    let next = check(server, &format!("next logged -n {} -c 3", server.shop), 0, "TIME (Etc/UTC)");
    assert_eq!(next.lines().count(), 4, "{next}");
    let manifest = tempfile::NamedTempFile::new().expect("a file");
    let task_manifest = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "ScheduledTask", "metadata": {"name": "offline"},
        "spec": {"schedule": {"cron": "30 2 * * *", "timeZone": "Europe/Berlin"}, "target": {"http": {"url": "https://a/"}}},
    });
    std::fs::write(manifest.path(), task_manifest.to_string()).expect("the file is written");
    let file = manifest.path().display();
    let line = format!("next -f {file} -c 2 --from 2027-03-27T12:00:00Z --kubeconfig /missing");
    let next = check(server, &line, 0, "Mon 2027-03-29 02:30:00 CEST");
    assert!(next.contains("2027-03-28 02:30 does not exist, because the clock is put forward"), "{next}");
    check(server, "next", 2, "required");
    let misspelt = task_manifest.to_string().replace("timeZone", "timezone");
    std::fs::write(manifest.path(), misspelt).expect("the file is written");
    let unknown = "spec.schedule.timezone: there is no such field: correct its name, or remove it";
    check(server, &line, 2, unknown);
}

#[test]
fn a_run_is_triggered_followed_and_cancelled() {
    let server = TaskServer::shared();
    let namespace = &server.shop;
    server.declare("commanded", &format!("{{{TARGET}}}"));
    let line = format!("trigger commanded -n {namespace} --param day=monday --id from-the-test");
    let out = check(server, &line, 0, "of task commanded is requested");
    let run = out.split_whitespace().nth(1).expect("the id of the run").to_owned();
    check(server, &line, 0, &format!("run {run} of this id exists already: Requested"));
    let listed = check(server, &format!("runs commanded -n {namespace} -o json"), 0, "monday");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed[0]["id"], &listed[0]["parameters"]["day"]), (&json!(run), &json!("monday")));
    check(server, &format!("logs commanded -n {namespace}"), 2, "no run of task commanded was started");

    // Another process cancels the run for which the first one waits.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| task(server, &format!("{line} --wait")));
        let cancelled = check(server, &format!("cancel {run}"), 0, "is cancelled");
        let (code, out, err) = waiting.join().expect("the thread ends");
        assert!(code == 1 && out.contains(&format!("run {run}: Cancelled")), "{cancelled}\n{out}\n{err}");
    });
    check(server, &format!("cancel {run}"), 1, "had ended: Cancelled");
    let rerun = check(server, &format!("rerun {run}"), 0, "is requested, which repeats run");
    let second = rerun.split_whitespace().nth(1).expect("the id of the run");
    check(server, &format!("rerun {run}"), 0, &format!("run {second} repeats this run already: Requested"));
    check(server, &format!("trigger commanded -n {namespace} --param day"), 2, "write KEY=VALUE");
    check(
        server,
        &format!("trigger commanded -n {namespace} --param x=1"),
        2,
        "the task has no such parameter: write one of day",
    );
    check(
        server,
        &format!("trigger commanded -n {}", server.bank),
        2,
        "ask for the right create on scheduledtasks/trigger",
    );
}

#[test]
fn runs_and_logs_are_read() {
    let server = TaskServer::shared();
    let namespace = &server.shop;
    let failed = server.logged[0];
    let table = check(server, &format!("runs logged -n {namespace} --state Failed"), 0, &failed.to_string());
    assert!(table.starts_with("RUN ") && table.contains("Failed") && table.contains("1.5s"), "{table}");
    let (code, out, err) = task(server, &format!("logs logged -n {namespace} --run {failed}"));
    assert_eq!((code, out.as_str(), err.as_str()), (0, LOG, "==> attempt 1: Failed (HTTP 500): done\n"));
    let (code, out, err) = task(server, &format!("logs logged -n {namespace} --run {failed} --attempt 1 -f"));
    assert_eq!((code, out.as_str()), (0, LOG), "{err}");
    assert!(err.contains(&format!("run {failed}: Failed after 1.5s (HTTP 500): done")), "{err}");
    check(server, &format!("logs logged -n {namespace} --run {failed} --attempt 2"), 2, "attempt 2 of run");
    check(server, &format!("logs other -n {namespace} --run {failed}"), 2, "is one of task logged");
    check(
        server,
        &format!("runs -n {namespace} --state Lost"),
        2,
        "\"Lost\" is unknown: write Requested, Queued",
    );
    check(server, &format!("runs -n {namespace} --as alice"), 2, "--as alice applies to Kubernetes only");
    check(server, "runs -A --limit 1", 0, "SCHEDULED");
    check(server, &format!("runs missing -n {namespace}"), 0, "there is no run of task missing in namespace");
    for command in ["cancel 1234", "rerun 1234", "runs --chain 1234", "logs logged --run 1234"] {
        check(server, command, 2, "write the id of a run, a UUID as `eventctl task runs` lists it");
    }
    check(server, &format!("runs -n {namespace} --server="), 2, "no server: give --server URL");
}

#[test]
fn a_range_is_made_up_for() {
    let server = TaskServer::shared();
    let namespace = &server.shop;
    server.declare("filled", &format!("{{schedule: {{cron: '0 0 * * *'}}, {TARGET}}}"));
    let line =
        format!("backfill filled -n {namespace} --from 2026-02-01T00:00:00Z --to 2026-02-03T00:00:00Z");
    let planned = check(server, &format!("{line} --dry-run"), 0, "2 runs would be requested (dry run)");
    assert!(planned.contains("2026-02-01 00:00:00   run"), "{planned}");
    check(server, &line, 0, "2 runs are requested");
    check(server, &line, 0, "0 runs are requested");
    check(server, &format!("{line} --limit 1"), 2, "limit: the range has more than 1 times");
}
