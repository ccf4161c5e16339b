//! Triggers, reruns and cancellations.

use serde_json::{Value, json};

use super::super::http::Response;
use super::fixture::{NOON, TARGET, TaskServer, User};

fn trigger(server: &TaskServer, user: User, name: &str, body: &Value) -> Response {
    server.call(user, "POST", &format!("{}/trigger", server.task_path(name)), body)
}

#[test]
fn the_same_id_never_runs_twice() {
    let server = TaskServer::shared();
    server.declare("by-hand", &format!("{{{TARGET}}}"));
    let body = json!({"id": "release-17", "parameters": {"day": "2026-03-01"}});
    let first = trigger(server, User::Developer, "by-hand", &body).data();
    assert_eq!(first["created"], true);
    let run = &first["run"];
    assert_eq!(
        (&run["state"], &run["trigger"]),
        (&json!("Requested"), &json!({"type": "Manual", "id": "release-17"}))
    );
    assert_eq!(run["requestedBy"], format!("system:serviceaccount:{}:developer", server.shop));
    assert_eq!(run["parameters"]["day"], "2026-03-01");
    let again = trigger(server, User::Developer, "by-hand", &body).data();
    assert_eq!((&again["created"], &again["run"]["id"]), (&json!(false), &run["id"]));
    let path = format!("{}/trigger", server.task_path("by-hand"));
    let headers = [("Idempotency-Key", "\"release-17\""), ("Content-Type", "application/json")];
    let by_header =
        server.send(User::Developer, "POST", &path, &headers, Some(r#"{"parameters":{"day":"2026-03-01"}}"#));
    assert_eq!(by_header.data()["run"]["id"], run["id"]);
    let other = trigger(server, User::Developer, "by-hand", &json!({"id": "release-17"}));
    assert_eq!(other.outcome(), (409, 40001, "ResourceConflict".into()), "{}", other.text());
    // Without a body, each request is another run.
    let runs: Vec<Value> = (0..2)
        .map(|_| server.send(User::Developer, "POST", &path, &[], None).data()["run"]["id"].clone())
        .collect();
    assert_ne!(runs[0], runs[1]);
    let records = server.records("TriggerRun", "by-hand", 6);
    assert_eq!(records.iter().filter(|line| *line == "Started developer").count(), 3, "{records:?}");
    assert_eq!(records.iter().filter(|line| *line == "Succeeded developer").count(), 3, "{records:?}");
}

#[test]
fn a_trigger_that_breaks_a_rule_is_refused() {
    let server = TaskServer::shared();
    server.declare("strict", &format!("{{{TARGET}}}"));
    let check = |user: User, name: &str, body: Value, status: u16, text: &str| {
        let answer = trigger(server, user, name, &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    };
    check(
        User::Developer,
        "strict",
        json!({"parameters": {"dya": "x"}}),
        400,
        "parameters.dya: the task has no such parameter: write one of day",
    );
    check(User::Developer, "strict", json!({"id": "a b"}), 400, "id: a trigger id has 1 to 128");
    check(User::Developer, "strict", json!({"identity": "a"}), 400, "unknown field `identity`");
    check(User::Developer, "missing", json!({}), 404, "there is no ScheduledTask missing");
    for user in [User::Lister, User::Banker, User::Auditor, User::Outsider] {
        check(user, "strict", json!({}), 403, "ask for the right create on scheduledtasks/trigger");
        check(user, "missing", json!({}), 403, "ask for the right create on scheduledtasks/trigger");
    }
}

#[test]
fn a_run_that_has_not_started_is_cancelled() {
    let server = TaskServer::shared();
    server.declare("cancelled", &format!("{{{TARGET}}}"));
    let run = trigger(server, User::Developer, "cancelled", &json!({})).data()["run"]["id"].clone();
    let path = format!("/api/schedule/job-logs/{}", run.as_str().expect("an id"));
    let cancel = |user: User| server.call(user, "POST", &format!("{path}/cancel"), &json!({}));
    assert_eq!(cancel(User::Auditor).outcome(), (403, 40301, "Forbidden".into()), "may read it only");
    for user in [User::Banker, User::Outsider, User::Lister] {
        assert_eq!(cancel(user).outcome(), (404, 40401, "NotFound".into()), "{user:?} may not even read it");
    }
    let rerun = server.call(User::Developer, "POST", &format!("{path}/rerun"), &json!({}));
    assert_eq!(rerun.outcome(), (422, 40001, "NotSupported".into()), "{}", rerun.text());
    let cancelled = cancel(User::Developer).data();
    assert_eq!(
        (&cancelled["result"], &cancelled["run"]["state"]),
        (&json!("Cancelled"), &json!("Cancelled"))
    );
    assert_eq!(cancelled["run"]["cancelledBy"], format!("system:serviceaccount:{}:developer", server.shop));
    assert_eq!(cancel(User::Developer).data()["result"], "AlreadyEnded");
    assert_eq!(server.records("CancelRun", "cancelled", 2), ["Started developer", "Succeeded developer"]);
}

#[test]
fn an_ended_run_is_repeated() {
    let server = TaskServer::shared();
    let path = format!("/api/schedule/job-logs/{}/rerun", server.logged[0]);
    let rerun = |user: User| server.call(user, "POST", &path, &json!({}));
    assert_eq!(rerun(User::Auditor).outcome().2, "Forbidden");
    assert_eq!(rerun(User::Banker).outcome().2, "NotFound");
    let first = rerun(User::Developer).data();
    let run = &first["run"];
    assert_eq!(
        (&first["created"], &run["state"], &run["scheduledAt"]),
        (&json!(true), &json!("Requested"), &json!(NOON))
    );
    assert_eq!(run["trigger"], json!({"type": "Rerun", "of": server.logged[0].to_string(), "number": 1}));
    assert_eq!(run["chain"], server.logged[0].to_string(), "the chain of the repeated run");
    let second = rerun(User::Developer).data();
    assert_eq!(
        (&second["created"], &second["run"]["id"]),
        (&json!(false), &run["id"]),
        "the first one has not ended"
    );
    let cancel = format!("/api/schedule/job-logs/{}/cancel", run["id"].as_str().expect("an id"));
    assert_eq!(server.call(User::Developer, "POST", &cancel, &json!({})).data()["result"], "Cancelled");
    let third = rerun(User::Developer).data();
    assert_eq!((&third["created"], &third["run"]["trigger"]["number"]), (&json!(true), &json!(2)));
}
