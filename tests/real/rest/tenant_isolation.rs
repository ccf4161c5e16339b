//! An auditor of a tenant can read the log of that tenant only, and cannot find out whether another tenant exists.

use serde_json::Value;

use super::http::Response;
use super::server::{RECORDS, TestServer, users};

/// Status, code and message of a response, without the requested name.
fn outcome_without_name(answer: &Response, name: &str) -> (u16, String) {
    let json = answer.json();
    (answer.status, format!("{} {}", json["code"], json["message"]).replace(name, "NAME"))
}

#[test]
fn neither_header_nor_parameter_opens_another_log() {
    let (server, users) = (TestServer::shared(), users());
    let missing = format!("{}-missing", users.bank);
    for route in [
        "/api/audit/logs?",
        "/api/audit/logs/export?",
        "/api/audit/logs/export?format=csv&",
        "/api/audit/checkpoints?",
        "/api/audit/proof/consistency?from=1&to=2&",
        &format!("/api/audit/logs/{}?", server.data.bank[0]),
        &format!("/api/audit/logs/{}?", server.data.shop[0]),
    ] {
        let mut answers = Vec::new();
        for name in [users.bank.as_str(), &missing, "_platform"] {
            answers.push(outcome_without_name(
                &server.get(&users.shopper, &format!("{route}tenant={name}")),
                name,
            ));
            answers.push(outcome_without_name(
                &server.get_with(&users.shopper, route, &[("X-Tenant-Id", name)]),
                name,
            ));
        }
        assert_eq!(answers[0].0, 403, "{route}: {answers:?}");
        assert!(answers[0].1.starts_with("40301 \"Forbidden: ask for the right "), "{route}: {answers:?}");
        assert!(answers.iter().all(|other| *other == answers[0]), "{route}: {answers:?}");
    }
}

#[test]
fn two_tenant_names_are_refused() {
    let (server, users) = (TestServer::shared(), users());
    let (shop, bank) = (users.shop.as_str(), users.bank.as_str());
    let tries = [
        server.get_with(&users.shopper, &format!("/api/audit/logs?tenant={bank}"), &[("X-Tenant-Id", shop)]),
        server.get_with(&users.shopper, &format!("/api/audit/logs?tenant={shop}"), &[("X-Tenant-Id", bank)]),
        server.get_with(&users.shopper, "/api/audit/logs", &[("X-Tenant-Id", shop), ("X-Tenant-Id", bank)]),
        server.get(&users.shopper, &format!("/api/audit/logs?tenant={shop}&tenant={bank}")),
        server.get(&users.shopper, &format!("/api/audit/logs?tenant={shop},{bank}")),
        server.get(&users.shopper, &format!("/api/audit/logs?tenant={shop}/../{bank}")),
        server.get(&users.shopper, "/api/audit/logs?tenant=*"),
        server.get(&users.shopper, "/api/audit/logs?tenant="),
    ];
    for answer in tries {
        assert_eq!(answer.outcome(), (400, 40001, "InvalidResource".into()), "{}", answer.text());
    }
}

#[test]
fn an_id_of_another_log_is_unknown() {
    let (server, users) = (TestServer::shared(), users());
    let (foreign, unknown) = (server.data.bank[0].to_string(), "01890000-0000-7000-8000-000000000000");
    let answer = server.get(&users.shopper, &format!("/api/audit/logs/{foreign}"));
    let missing = server.get(&users.shopper, &format!("/api/audit/logs/{unknown}"));
    assert_eq!(answer.status, 404);
    assert_eq!(outcome_without_name(&answer, &foreign), outcome_without_name(&missing, unknown));
    // The id is unknown as well to a user who may read both logs and names the wrong one.
    let named = format!("/api/audit/logs/{foreign}?tenant={}", users.shop);
    assert_eq!(server.get(&users.auditor, &named).status, 404);
    let named = format!("/api/audit/logs/{foreign}?tenant={}", users.bank);
    assert_eq!(server.get(&users.auditor, &named).status, 200);
}

#[test]
fn filters_do_not_reach_other_logs() {
    let (server, users) = (TestServer::shared(), users());
    let bank = &users.bank;
    for query in [
        format!("namespace={bank}-ns"),
        "outcome=Denied".to_owned(),
        format!("text=of%20{bank}&action=Update"),
        "text=%25&action=Update".to_owned(),
        "name=%27%20OR%201=1%20--".to_owned(),
    ] {
        let data = server.get(&users.shopper, &format!("/api/audit/logs?limit=500&{query}")).data();
        assert_eq!(data["items"], Value::Array(vec![]), "{query}");
    }
    let data = server.get(&users.shopper, "/api/audit/logs?limit=500").data();
    let items = data["items"].as_array().expect("records");
    assert!(!items.is_empty() && items.iter().all(|item| item["tenant"] == users.shop.as_str()));
}

#[test]
fn a_cursor_counts_for_its_own_log_and_filter() {
    let (server, users) = (TestServer::shared(), users());
    let path = |tenant: &str, more: &str| format!("/api/audit/logs?limit=5&tenant={tenant}{more}");
    let data = server.get(&users.auditor, &path(&users.bank, "")).data();
    let cursor = data["next"].as_str().expect("there is more").to_owned();
    let more = format!("&cursor={cursor}");
    assert_eq!(server.get(&users.auditor, &path(&users.bank, &more)).status, 200);
    for (tenant, more) in [(&users.shop, more.clone()), (&users.bank, format!("{more}&actor=alice"))] {
        for token in [&users.auditor, &users.shopper] {
            let answer = server.get(token, &path(tenant, &more));
            let refused = if tenant == &users.bank && token == &users.shopper { 403 } else { 400 };
            assert_eq!(answer.status, refused, "{}", answer.text());
        }
    }
}

#[test]
fn proofs_are_of_the_callers_log() {
    let (server, users) = (TestServer::shared(), users());
    let of = |token: &str, path: String| server.get(token, &path).data();
    let proof = "/api/audit/proof/consistency?from=3&to=18";
    let own = of(&users.shopper, proof.to_owned());
    assert_eq!(own, of(&users.auditor, format!("{proof}&tenant={}", users.shop)));
    assert_ne!(own, of(&users.auditor, format!("{proof}&tenant={}", users.bank)));
    let checkpoints = of(&users.shopper, "/api/audit/checkpoints".to_owned());
    let origin = checkpoints["origin"].as_str().expect("an origin");
    assert!(origin.ends_with(&users.shop));
    for item in checkpoints["items"].as_array().expect("checkpoints") {
        assert!(item["note"].as_str().expect("a note").starts_with(origin), "{item}");
    }
}

#[test]
fn an_export_needs_its_own_right_and_has_the_callers_log_only() {
    let (server, users) = (TestServer::shared(), users());
    let answer = server.get(&users.shopper, "/api/audit/logs/export");
    assert_eq!(answer.status, 200);
    // This log also contains the shopper's reads, and in some of them other tests name the bank.
    let text = answer.text();
    let is_read = |line: &&str| ["ReadAudit", "ExportAudit"].iter().any(|action| line.contains(action));
    let (reads, others): (Vec<&str>, Vec<&str>) = text.lines().partition(is_read);
    assert!(!reads.is_empty() && others.len() as u64 > RECORDS);
    assert!(others.iter().all(|line| !line.contains(&users.bank)));
    let reader = server.get(&users.reader, "/api/audit/logs/export");
    assert_eq!(reader.outcome(), (403, 40301, "Forbidden".into()));
    let reader = server.get(&users.reader, &format!("/api/audit/logs/export?tenant={}", users.shop));
    assert_eq!(reader.outcome(), (403, 40301, "Forbidden".into()));
    assert_eq!(server.get(&users.reader, "/api/audit/logs").status, 200);
}

#[test]
fn a_reader_of_several_logs_must_name_one() {
    let (server, users) = (TestServer::shared(), users());
    let answer = server.get(&users.auditor, "/api/audit/logs");
    assert_eq!(answer.outcome(), (400, 40001, "InvalidResource".into()));
    for name in [users.shop.as_str(), &users.bank, "_platform"] {
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    let answer = server.get(&users.outsider, "/api/audit/logs");
    assert_eq!(answer.outcome(), (403, 40301, "Forbidden".into()));
    assert!(!answer.text().contains(&users.shop) && !answer.text().contains(&users.bank));
    assert_eq!(server.get(&users.auditor, "/api/audit/logs?tenant=_platform").status, 200);
}
