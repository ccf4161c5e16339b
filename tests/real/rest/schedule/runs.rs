//! The job log.

use serde_json::{Value, json};

use super::fixture::{LOG, LOGGED, NOON, TaskServer, User};

fn ids(data: &Value) -> Vec<String> {
    let items = data["items"].as_array().expect("runs").iter();
    items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// The inserted runs, without those that other tests request.
const INSERTED: &str = "task=logged&state=Failed,Succeeded";

#[test]
fn runs_are_listed_newest_first_in_pages() {
    let server = TaskServer::shared();
    let expected: Vec<String> = server.logged.iter().map(ToString::to_string).collect();
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let path = format!("/api/schedule/job-logs?{INSERTED}&namespace={}&limit=5{cursor}", server.shop);
        let data = server.get(User::Developer, &path).data();
        found.extend(ids(&data));
        pages += 1;
        match data["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((found, pages), (expected, LOGGED.div_ceil(5)));
    let of = |query: &str| {
        let path = format!("/api/schedule/job-logs?namespace={}&task=logged&{query}", server.shop);
        ids(&server.get(User::Developer, &path).data()).len()
    };
    assert_eq!(of("state=Failed"), 1);
    assert_eq!(of(&format!("state=Succeeded&to={NOON}&from=2026-03-02T10:00:00Z")), 2);
    assert_eq!(of(&format!("state=Failed,Succeeded&chain={}", server.logged[3])), 1);
    assert_eq!(of("trigger=Event"), 0);
    let answer = server.get(User::Developer, &format!("/api/schedule/job-logs?{INSERTED}{cursor}"));
    assert_eq!(answer.outcome().2, "InvalidResource", "a cursor belongs to its filter");
}

#[test]
fn a_caller_sees_the_runs_of_their_namespaces_only() {
    let server = TaskServer::shared();
    let list =
        |user: User, query: &str| server.get(user, &format!("/api/schedule/job-logs?{INSERTED}&{query}"));
    let count = |user: User, query: &str| ids(&list(user, query).data()).len();
    assert_eq!(count(User::Developer, ""), LOGGED);
    assert_eq!(count(User::Lister, ""), LOGGED);
    assert_eq!(ids(&list(User::Banker, "").data()), [server.of_bank.to_string()]);
    assert_eq!(count(User::Auditor, &format!("tenant={}", server.shop)), LOGGED);
    assert_eq!(count(User::Auditor, &format!("namespace={}", server.bank)), 1);
    assert_eq!(count(User::Auditor, &format!("namespace={}&tenant={}", server.bank, server.shop)), 0);
    assert_eq!(list(User::Outsider, "").outcome(), (403, 40301, "Forbidden".into()));
    for query in ["namespace=missing", &format!("namespace={}", server.bank)] {
        assert_eq!(list(User::Developer, query).outcome(), (403, 40301, "Forbidden".into()), "{query}");
    }
    let foreign = list(User::Developer, &format!("tenant={}", server.bank));
    let missing = list(User::Developer, "tenant=missing");
    assert_eq!((foreign.status, &foreign.json()["message"]), (403, &missing.json()["message"]));
    let header = [("X-Tenant-Id", server.bank.as_str())];
    let path = format!("/api/schedule/job-logs?{INSERTED}");
    assert_eq!(server.send(User::Developer, "GET", &path, &header, None).status, 403);
    assert_eq!(ids(&server.send(User::Banker, "GET", &path, &header, None).data()).len(), 1);
}

#[test]
fn a_run_is_read_with_its_attempts_and_log() {
    let server = TaskServer::shared();
    let path = format!("/api/schedule/job-logs/{}", server.logged[0]);
    let data = server.get(User::Developer, &path).data();
    let run = &data["run"];
    assert_eq!(
        (&run["state"], &run["httpStatus"], &run["durationMs"]),
        (&json!("Failed"), &json!(500), &json!(1500))
    );
    assert_eq!((&run["executedBy"], run.get("work")), (&json!("runner-1"), None));
    assert_eq!(data["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&data["attempts"][0]["number"], &data["attempts"][0]["state"]),
        (&json!(1), &json!("Failed"))
    );
    for query in ["", "?attempt=1"] {
        let log = server.get(User::Developer, &format!("{path}/log{query}"));
        assert_eq!((log.status, log.text().as_str()), (200, LOG));
        assert!(log.headers["content-type"].starts_with("text/plain"));
    }
    assert!(server.records("ReadRunLog", "logged", 1).contains(&"Allowed developer".to_owned()));
    assert_eq!(server.get(User::Developer, &format!("{path}/log?attempt=2")).outcome().2, "NotFound");

    // To a caller without the right, a run does not exist.
    let unknown = server.get(User::Developer, "/api/schedule/job-logs/00000000-0000-8000-8000-000000000000");
    assert_eq!(unknown.outcome(), (404, 40401, "NotFound".into()));
    for (user, run) in [
        (User::Banker, server.logged[0]),
        (User::Lister, server.logged[0]),
        (User::Developer, server.of_bank),
    ] {
        for more in ["", "/log"] {
            let answer = server.get(user, &format!("/api/schedule/job-logs/{run}{more}"));
            assert_eq!(answer.json()["message"], unknown.json()["message"], "{user:?}");
        }
    }
    assert_eq!(server.get(User::Auditor, &path).status, 200);
    assert_eq!(server.get(User::Developer, "/api/schedule/job-logs/nightly").outcome().2, "InvalidResource");
}
