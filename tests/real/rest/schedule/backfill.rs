//! Backfills.

use serde_json::{Value, json};

use super::fixture::{TARGET, TaskServer, User};

fn actions(data: &Value) -> Vec<String> {
    let items = data["items"].as_array().expect("times").iter();
    items
        .map(|item| {
            let time = item["time"].as_str().expect("a time");
            format!("{} {} {}", &time[11..16], item["action"].as_str().expect("an action"), item["state"])
        })
        .collect()
}

#[test]
fn the_times_of_a_range_run_once() {
    let server = TaskServer::shared();
    // The runs at 11:00 and 12:00 have ended.
    let path = format!("{}/backfill", server.task_path("logged"));
    let backfill = |user: User, body: &Value| server.call(user, "POST", &path, body);
    let mut body = json!({"from": "2026-03-02T11:00:00Z", "to": "2026-03-02T14:00:01Z", "dryRun": true});
    let planned = backfill(User::Developer, &body).data();
    let expected = ["11:00 Keep \"Succeeded\"", "12:00 Keep \"Failed\"", "13:00 Run null", "14:00 Run null"];
    assert_eq!(actions(&planned), expected);
    assert_eq!(actions(&backfill(User::Developer, &body).data()), expected, "a dry run requests nothing");
    body["dryRun"] = json!(false);
    assert_eq!(actions(&backfill(User::Developer, &body).data()), expected);
    let run = planned["items"][2]["run"].as_str().expect("an id");
    let run = server.get(User::Developer, &format!("/api/schedule/job-logs/{run}")).data()["run"].clone();
    assert_eq!((&run["state"], &run["scheduledAt"]), (&json!("Requested"), &json!("2026-03-02T13:00:00Z")));
    assert_eq!(run["trigger"], json!({"type": "Schedule", "time": "2026-03-02T13:00:00Z"}));
    let expected = [
        "11:00 Keep \"Succeeded\"",
        "12:00 Keep \"Failed\"",
        "13:00 Keep \"Requested\"",
        "14:00 Keep \"Requested\"",
    ];
    assert_eq!(actions(&backfill(User::Developer, &body).data()), expected);
    assert_eq!(server.records("TriggerRun", "logged", 2)[..1], ["Started developer"]);

    for user in [User::Auditor, User::Lister, User::Banker, User::Outsider] {
        assert_eq!(backfill(user, &body).outcome(), (403, 40301, "Forbidden".into()));
    }
}

#[test]
fn a_range_that_breaks_a_rule_is_refused() {
    let server = TaskServer::shared();
    server.declare("no-times", &format!("{{{TARGET}}}"));
    let check = |name: &str, body: Value, status: u16, text: &str| {
        let answer =
            server.call(User::Developer, "POST", &format!("{}/backfill", server.task_path(name)), &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    };
    let (from, to) = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
    check(
        "logged",
        json!({"from": from, "to": to, "limit": 5}),
        400,
        "limit: the range has more than 5 times",
    );
    check(
        "logged",
        json!({"from": from, "to": to, "limit": 1001}),
        400,
        "limit: write a number from 1 to 1000",
    );
    check("logged", json!({"from": to, "to": from}), 400, "to: the range is empty");
    check("logged", json!({"from": from, "to": "2999-01-01T00:00:00Z"}), 400, "to: is in the future");
    check("logged", json!({"from": from}), 400, "missing field `to`");
    check("no-times", json!({"from": from, "to": to}), 422, "trigger it instead");
}
