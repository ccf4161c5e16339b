//! The answer of each route, and the record of each read.

use eventcenter::domain::audit::checkpoint::{Checkpoint, TrustedKeys};
use eventcenter::domain::audit::merkle::{Consistency, Hash, Inclusion};
use serde_json::{Value, json};

use super::http::{Response, send};
use super::server::{INSTALLATION, RECORDS, SIGNED, TestServer, users};

/// Asserts that a response matches the OpenAPI document.
#[track_caller]
fn assert_matches_openapi(server: &TestServer, route: &str, answer: &Response) {
    let document = send(server.port, "GET", "/api/openapi.json", &[]).json();
    let responses = &document["paths"][route]["get"]["responses"];
    let described = &responses[answer.status.to_string()];
    assert!(described.is_object(), "{route}: {} is not described", answer.status);
    let mut schema = described["content"]["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = validator
        .iter_errors(&answer.json())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{route}: {errors:?}\n{}", answer.text());
}

#[test]
fn records_are_read_in_pages_newest_first() {
    let (server, users) = (TestServer::shared(), users());
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let answer = server.get(&users.shopper, &format!("/api/audit/logs?action=update&limit=300{cursor}"));
        assert_matches_openapi(server, "/api/audit/logs", &answer);
        let data = answer.data();
        let items = data["items"].as_array().expect("records").clone();
        assert!(items.len() <= 300);
        seen.extend(items.iter().map(|item| item["seq"].as_u64().expect("a position")));
        pages += 1;
        match data["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(pages >= 3);
    assert_eq!(seen, (0..RECORDS).rev().collect::<Vec<_>>());
}

#[test]
fn filters_select_records() {
    let (server, users) = (TestServer::shared(), users());
    let count = |query: &str| {
        let answer = server.get(&users.shopper, &format!("/api/audit/logs?limit=500&action=Update&{query}"));
        answer.data()["items"].as_array().expect("records").len()
    };
    assert_eq!(count("actor=alice"), 70);
    assert_eq!(count("name=topic-17"), 1);
    assert_eq!(count("kind=EventTopic&name=topic-18"), 1);
    assert_eq!(count("namespace=other"), 0);
    assert_eq!(count("outcome=Started"), 1);
    assert_eq!(count("open=true"), 0, "every start has a completion");
    assert_eq!(count("text=CHANGE%20123%20of"), 1);
    assert_eq!(count("until=2020-01-01T00:00:00Z"), 0);
    assert_eq!(count("since=2020-01-01T00:00:00Z&name=topic-5"), 1);
}

#[test]
fn a_record_is_shown_with_a_proof_that_holds() {
    let (server, users) = (TestServer::shared(), users());
    for (number, signed) in [(0, true), (42, true), (599, true), (600, false), (RECORDS - 2, false)] {
        let id = server.data.shop[usize::try_from(number).expect("small")];
        let answer = server.get(&users.shopper, &format!("/api/audit/logs/{id}"));
        assert_matches_openapi(server, "/api/audit/logs/{id}", &answer);
        let data = answer.data();
        assert_eq!((&data["record"]["seq"], &data["record"]["id"]), (&json!(number), &json!(id)));
        let leaf: Hash = serde_json::from_value(data["hash"].clone()).expect("a hash");
        let canonical = serde_json_canonicalizer::to_vec(&data["record"]).expect("JSON");
        assert_eq!(Hash::leaf(&canonical), leaf);
        let proof = &data["proof"];
        let inclusion: Inclusion = serde_json::from_value(proof["inclusion"].clone()).expect("a proof");
        let root: Hash = serde_json::from_value(proof["root"].clone()).expect("a root");
        assert!(inclusion.index == number && inclusion.holds(&leaf, &root), "{proof}");
        assert_eq!(proof["checkpoint"].is_string(), signed, "{number}");
        if signed {
            let note = proof["checkpoint"].as_str().expect("a note");
            let checkpoint =
                Checkpoint::verify(note, &origin(), &keys(server)).expect("the checkpoint is signed");
            assert_eq!((checkpoint.size, checkpoint.root), (SIGNED[2], root));
        }
        let completes = number == RECORDS - 2;
        assert_eq!(data["completion"]["completes"], if completes { json!(id) } else { Value::Null });
    }
    let unknown = server.get(&users.shopper, "/api/audit/logs/01890000-0000-7000-8000-000000000000");
    assert_eq!(unknown.outcome(), (404, 40401, "NotFound".into()));
    assert_matches_openapi(server, "/api/audit/logs/{id}", &unknown);
}

fn origin() -> String {
    format!("{INSTALLATION}/audit/{}", users().shop)
}

fn keys(server: &TestServer) -> TrustedKeys {
    let data = server.get(&users().shopper, "/api/audit/checkpoints").data();
    let keys: Vec<&str> = data["keys"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
    assert!(!keys.is_empty(), "{data}");
    TrustedKeys::parse(&keys.join("\n"))
}

#[test]
fn checkpoints_are_consistent() {
    let (server, users) = (TestServer::shared(), users());
    let answer = server.get(&users.shopper, "/api/audit/checkpoints");
    assert_matches_openapi(server, "/api/audit/checkpoints", &answer);
    let data = answer.data();
    assert_eq!(data["origin"], origin());
    let items = data["items"].as_array().expect("checkpoints");
    let sizes: Vec<u64> = items.iter().filter_map(|item| item["size"].as_u64()).collect();
    assert_eq!(sizes, SIGNED.into_iter().rev().collect::<Vec<_>>());
    let root = |item: &Value| {
        Checkpoint::verify(item["note"].as_str().expect("a note"), &origin(), &keys(server))
            .expect("signed")
            .root
    };
    let head: Hash = serde_json::from_value(data["head"]["root"].clone()).expect("a root");
    let size = data["head"]["size"].as_u64().expect("a size");
    let (old, new) = (root(&items[2]), root(&items[0]));
    for (from, to, old, new) in [(100, 600, old, new), (600, size, new, head), (size, size, head, head)] {
        let answer = server.get(&users.shopper, &format!("/api/audit/proof/consistency?from={from}&to={to}"));
        assert_matches_openapi(server, "/api/audit/proof/consistency", &answer);
        let proof: Consistency = serde_json::from_value(answer.data()).expect("a proof");
        assert!((proof.from, proof.to) == (from, to) && proof.holds(&old, &new), "{proof:?}");
    }
    for query in ["from=0&to=5", "from=6&to=5", "from=1&to=999999999", "from=1", "to=x&from=1", ""] {
        let answer = server.get(&users.shopper, &format!("/api/audit/proof/consistency?{query}"));
        assert_eq!(answer.outcome(), (400, 40001, "InvalidResource".into()), "{query}");
        assert_matches_openapi(server, "/api/audit/proof/consistency", &answer);
    }
}

#[test]
fn a_read_is_recorded_before_it_is_answered() {
    let (server, users) = (TestServer::shared(), users());
    let id = format!("read-{}", crate::support::unique());
    let headers = [("X-Request-Id", id.as_str()), ("User-Agent", "tests/1"), ("X-Tenant-Id", &users.bank)];
    let answer = server.get_with(&users.auditor, "/api/audit/logs?kind=Nothing", &headers);
    assert_eq!((answer.status, &answer.headers["x-request-id"]), (200, &id));
    // A client that follows a log repeats the same query, which is recorded once.
    let again = [("X-Request-Id", "again"), headers[2]];
    assert_eq!(server.get_with(&users.auditor, "/api/audit/logs?kind=Nothing", &again).status, 200);
    let found = server.get_with(
        &users.auditor,
        "/api/audit/logs?action=ReadAudit&text=Nothing",
        &[("X-Tenant-Id", &users.bank)],
    );
    let found = found.data();
    let records = found["items"].as_array().expect("records");
    // The record of the second read also describes it, in its message.
    let record =
        records.iter().find(|record| record["requestId"] == id.as_str()).expect("the read is recorded");
    assert!(!records.iter().any(|record| record["requestId"] == "again"), "{records:#?}");
    assert_eq!(record["actor"]["user"], format!("system:serviceaccount:{}:auditor", users.namespace));
    assert_eq!(record["actor"]["via"], "Api");
    assert_eq!((&record["outcome"], &record["tenant"]), (&json!("Allowed"), &json!(users.bank)));
    assert_eq!(record["message"], "kind \"Nothing\"");
    assert_eq!(
        (&record["origin"]["address"], &record["origin"]["userAgent"]),
        (&json!("127.0.0.1"), &json!("tests/1"))
    );
}

#[test]
fn every_answer_has_its_form() {
    let (server, users) = (TestServer::shared(), users());
    let bearer = format!("Bearer {}", users.shopper);
    for (method, path, expected) in [
        ("GET", "/nowhere", (404, 40401, "NotFound")),
        ("GET", "/api/audit/logs/", (404, 40401, "NotFound")),
        ("POST", "/api/audit/logs", (405, 40001, "NotSupported")),
        ("DELETE", "/api/audit/logs/1", (405, 40001, "NotSupported")),
        ("OPTIONS", "/api/audit/logs", (405, 40001, "NotSupported")),
        ("GET", "/api/audit/logs/1", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/logs/%ff", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/logs?limits=1", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/logs?limit=501", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/logs?cursor=x", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/logs/export?format=xml", (400, 40001, "InvalidResource")),
        ("GET", "/api/audit/checkpoints?limit=1", (400, 40001, "InvalidResource")),
    ] {
        let answer = send(server.port, method, path, &[("Authorization", &bearer)]);
        let (status, code, reason) = expected;
        assert_eq!(answer.outcome(), (status, code, reason.to_owned()), "{method} {path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.json()["data"]["requestId"], answer.headers["x-request-id"].as_str());
    }
    let head = send(server.port, "HEAD", "/nowhere", &[]);
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(send(server.port, "POST", "/api/audit/logs", &[]).headers["allow"], "GET,HEAD");
}

#[test]
fn public_paths_need_no_token() {
    let server = TestServer::shared();
    for (path, kind) in
        [("/healthz", "text/plain"), ("/readyz", "text/plain"), ("/metrics", "application/openmetrics-text")]
    {
        let answer = send(server.port, "GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers["content-type"].starts_with(kind), "{path}: {:?}", answer.headers);
    }
    let metrics = send(server.port, "GET", "/metrics", &[]).text();
    assert!(metrics.contains("eventcenter_rest_requests_total{route=\"/healthz\""), "{metrics}");
    let document = send(server.port, "GET", "/api/openapi.json", &[]);
    assert_eq!(document.text(), eventcenter::rest::document());
    for (path, operations) in document.json()["paths"].as_object().expect("paths") {
        let needs_token = path.starts_with("/api/audit/") || path.starts_with("/api/schedule/");
        for method in operations.as_object().expect("operations").keys().map(|method| method.to_uppercase()) {
            let answer = send(server.port, &method, path, &[]);
            assert_eq!(answer.status, if needs_token { 401 } else { 200 }, "{method} {path}");
        }
    }
}
