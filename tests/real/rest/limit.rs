//! Rate limits, size limits, and an unavailable database.

use std::time::Duration;

use super::http::{exchange, send};
use super::server::{TestServer, fill, start, users};
use crate::support::audit::LockedDatabase;

#[test]
fn too_many_requests_get_retry_after() {
    let users = users();
    let data = fill(users);
    let (_operator, port) = start(data.folder.path(), &["--api-rate-limit", "3"]);
    let get = |token: &str| {
        send(port, "GET", "/api/audit/checkpoints", &[("Authorization", &format!("Bearer {token}"))])
    };
    let refused = (0..200).map(|_| get(&users.shopper)).find(|answer| answer.status == 429);
    let refused = refused.expect("200 are more than 3 a second");
    assert_eq!(refused.outcome(), (429, 40301, "TooManyRequests".into()));
    assert_eq!(refused.headers["retry-after"], "1");
    // Another user at the same address is limited only by the address.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while get(&users.shopper).status != 200 || get(&users.reader).status != 200 {
        assert!(std::time::Instant::now() < deadline, "other users get no response");
    }
    // Probes are not counted.
    assert!((0..20).all(|_| send(port, "GET", "/healthz", &[]).status == 200));
}

#[test]
fn requests_that_are_too_large_are_refused() {
    let (server, users) = (TestServer::shared(), users());
    let bearer = format!("Bearer {}", users.shopper);
    let own = ("Authorization", bearer.as_str());
    let long = "x".repeat(200_000);
    assert_eq!(send(server.port, "GET", "/api/audit/logs", &[own, ("X-Long", &long)]).status, 431);
    assert!(
        [414, 431]
            .contains(&send(server.port, "GET", &format!("/api/audit/logs?text={long}"), &[own]).status)
    );
    let many: Vec<(&str, &str)> = std::iter::repeat_n(("X-Many", "x"), 100).collect();
    assert_eq!(send(server.port, "GET", "/healthz", &many).status, 431);
    for query in [format!("text={}", "x".repeat(2_000)), "text=x&".repeat(1_500)] {
        let answer = send(server.port, "GET", &format!("/api/audit/logs?{query}"), &[own]);
        assert_eq!(answer.outcome(), (400, 40001, "InvalidResource".into()));
    }
    let body = format!(
        "GET /api/audit/logs HTTP/1.1\r\nHost: x\r\n{}: {}\r\nContent-Length: 5\r\n\r\nhello",
        own.0, own.1
    );
    let answer = exchange(server.port, body.as_bytes());
    assert_eq!(answer.outcome(), (400, 40001, "InvalidResource".into()));
    assert!(answer.headers.contains_key("x-request-id"));
}

#[test]
fn a_read_that_cannot_be_recorded_is_refused() {
    let users = users();
    let data = fill(users);
    let folder = data.folder.path();
    let (operator, port) = start(folder, &["--audit-timeout", "500ms"]);
    let get =
        |path: &str| send(port, "GET", path, &[("Authorization", &format!("Bearer {}", users.shopper))]);
    assert_eq!(get("/api/audit/logs").status, 200);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let held = runtime.block_on(LockedDatabase::lock(folder));
    // Other queries than before: a repeated query is not recorded again.
    for path in [
        "/api/audit/logs?kind=LockedDatabase",
        "/api/audit/logs/export",
        &format!("/api/audit/logs/{}", data.shop[0]),
    ] {
        let answer = get(path);
        assert_eq!(answer.outcome(), (503, 50001, "AuditUnavailable".into()), "{path}: {}", answer.text());
        assert!(!answer.text().contains("alice") && !answer.text().contains("sqlite"), "{}", answer.text());
    }
    runtime.block_on(held.unlock());
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while get("/api/audit/logs").status != 200 {
        assert!(std::time::Instant::now() < deadline, "the server does not recover");
    }
    operator.stop().expect("the operator stops");

    let (_operator, port) = start(folder, &["--audit-timeout", "500ms", "--audit-policy", "best-effort"]);
    let get =
        |path: &str| send(port, "GET", path, &[("Authorization", &format!("Bearer {}", users.shopper))]);
    assert!(!get("/api/audit/logs").headers.contains_key("warning"));
    let held = runtime.block_on(LockedDatabase::lock(folder));
    let answer = get("/api/audit/logs?kind=LockedDatabase");
    assert_eq!((answer.status, answer.headers.contains_key("warning")), (200, true), "{}", answer.text());
    runtime.block_on(held.unlock());
}
