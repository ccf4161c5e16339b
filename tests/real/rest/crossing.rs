//! A tenant's auditor sees that tenant only, whatever they try; and learns of no other, not even that there is one.

use serde_json::Value;

use super::house::{House, people};
use super::http::Answer;

/// What is the same whoever is refused: all but the request's id, and the name that was asked for.
fn words(answer: &Answer, name: &str) -> (u16, String) {
    let json = answer.json();
    (answer.status, format!("{} {}", json["code"], json["message"]).replace(name, "NAME"))
}

#[test]
fn neither_header_nor_parameter_opens_another_log() {
    let (house, people) = (House::shared(), people());
    let missing = format!("{}-missing", people.bank);
    for route in [
        "/api/audit/logs?",
        "/api/audit/logs/export?",
        "/api/audit/logs/export?format=csv&",
        "/api/audit/checkpoints?",
        "/api/audit/proof/consistency?from=1&to=2&",
        &format!("/api/audit/logs/{}?", house.data.bank[0]),
        &format!("/api/audit/logs/{}?", house.data.shop[0]),
    ] {
        let mut told = Vec::new();
        for name in [people.bank.as_str(), &missing, "_platform"] {
            told.push(words(&house.get(&people.shopper, &format!("{route}tenant={name}")), name));
            told.push(words(&house.get_with(&people.shopper, route, &[("X-Tenant-Id", name)]), name));
        }
        assert_eq!(told[0].0, 403, "{route}: {told:?}");
        assert!(told[0].1.starts_with("40301 \"Forbidden: ask for the right "), "{route}: {told:?}");
        assert!(told.iter().all(|one| *one == told[0]), "{route}: {told:?}");
    }
}

#[test]
fn two_names_do_not_add_up() {
    let (house, people) = (House::shared(), people());
    let (shop, bank) = (people.shop.as_str(), people.bank.as_str());
    let tries = [
        house.get_with(&people.shopper, &format!("/api/audit/logs?tenant={bank}"), &[("X-Tenant-Id", shop)]),
        house.get_with(&people.shopper, &format!("/api/audit/logs?tenant={shop}"), &[("X-Tenant-Id", bank)]),
        house.get_with(&people.shopper, "/api/audit/logs", &[("X-Tenant-Id", shop), ("X-Tenant-Id", bank)]),
        house.get(&people.shopper, &format!("/api/audit/logs?tenant={shop}&tenant={bank}")),
        house.get(&people.shopper, &format!("/api/audit/logs?tenant={shop},{bank}")),
        house.get(&people.shopper, &format!("/api/audit/logs?tenant={shop}/../{bank}")),
        house.get(&people.shopper, "/api/audit/logs?tenant=*"),
        house.get(&people.shopper, "/api/audit/logs?tenant="),
    ];
    for answer in tries {
        assert_eq!(answer.told(), (400, 40001, "InvalidResource".into()), "{}", answer.text());
    }
}

#[test]
fn an_id_of_another_log_is_unknown() {
    let (house, people) = (House::shared(), people());
    let (theirs, unknown) = (house.data.bank[0].to_string(), "01890000-0000-7000-8000-000000000000");
    let answer = house.get(&people.shopper, &format!("/api/audit/logs/{theirs}"));
    let missing = house.get(&people.shopper, &format!("/api/audit/logs/{unknown}"));
    assert_eq!(answer.status, 404);
    assert_eq!(words(&answer, &theirs), words(&missing, unknown));
    // Not even for somebody who may read both, as long as they name the other.
    let named = format!("/api/audit/logs/{theirs}?tenant={}", people.shop);
    assert_eq!(house.get(&people.auditor, &named).status, 404);
    let named = format!("/api/audit/logs/{theirs}?tenant={}", people.bank);
    assert_eq!(house.get(&people.auditor, &named).status, 200);
}

#[test]
fn no_filter_finds_records_of_another_log() {
    let (house, people) = (House::shared(), people());
    let bank = &people.bank;
    for query in [
        format!("namespace={bank}-ns"),
        "outcome=Denied".to_owned(),
        format!("text=of%20{bank}&action=Update"),
        "text=%25&action=Update".to_owned(),
        "name=%27%20OR%201=1%20--".to_owned(),
    ] {
        let data = house.get(&people.shopper, &format!("/api/audit/logs?limit=500&{query}")).data();
        assert_eq!(data["items"], Value::Array(vec![]), "{query}");
    }
    let data = house.get(&people.shopper, "/api/audit/logs?limit=500").data();
    let items = data["items"].as_array().expect("records");
    assert!(!items.is_empty() && items.iter().all(|item| item["tenant"] == people.shop.as_str()));
}

#[test]
fn a_cursor_counts_for_its_own_log_and_filter() {
    let (house, people) = (House::shared(), people());
    let path = |tenant: &str, more: &str| format!("/api/audit/logs?limit=5&tenant={tenant}{more}");
    let data = house.get(&people.auditor, &path(&people.bank, "")).data();
    let cursor = data["next"].as_str().expect("there is more").to_owned();
    let more = format!("&cursor={cursor}");
    assert_eq!(house.get(&people.auditor, &path(&people.bank, &more)).status, 200);
    for (tenant, more) in [(&people.shop, more.clone()), (&people.bank, format!("{more}&actor=alice"))] {
        for token in [&people.auditor, &people.shopper] {
            let answer = house.get(token, &path(tenant, &more));
            let refused = if tenant == &people.bank && token == &people.shopper { 403 } else { 400 };
            assert_eq!(answer.status, refused, "{}", answer.text());
        }
    }
}

#[test]
fn proofs_are_of_the_callers_log() {
    let (house, people) = (House::shared(), people());
    let of = |token: &str, path: String| house.get(token, &path).data();
    let proof = "/api/audit/proof/consistency?from=3&to=18";
    let own = of(&people.shopper, proof.to_owned());
    assert_eq!(own, of(&people.auditor, format!("{proof}&tenant={}", people.shop)));
    assert_ne!(own, of(&people.auditor, format!("{proof}&tenant={}", people.bank)));
    let checkpoints = of(&people.shopper, "/api/audit/checkpoints".to_owned());
    let origin = checkpoints["origin"].as_str().expect("an origin");
    assert!(origin.ends_with(&people.shop));
    for item in checkpoints["items"].as_array().expect("checkpoints") {
        assert!(item["note"].as_str().expect("a note").starts_with(origin), "{item}");
    }
}

#[test]
fn an_export_is_of_the_callers_log_and_takes_a_right_of_its_own() {
    let (house, people) = (House::shared(), people());
    let answer = house.get(&people.shopper, "/api/audit/logs/export");
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains(&people.bank));
    let reader = house.get(&people.reader, "/api/audit/logs/export");
    assert_eq!(reader.told(), (403, 40301, "Forbidden".into()));
    let reader = house.get(&people.reader, &format!("/api/audit/logs/export?tenant={}", people.shop));
    assert_eq!(reader.told(), (403, 40301, "Forbidden".into()));
    assert_eq!(house.get(&people.reader, "/api/audit/logs").status, 200);
}

#[test]
fn who_may_read_several_has_to_say_which() {
    let (house, people) = (House::shared(), people());
    let answer = house.get(&people.auditor, "/api/audit/logs");
    assert_eq!(answer.told(), (400, 40001, "InvalidResource".into()));
    for name in [people.shop.as_str(), &people.bank, "_platform"] {
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    let answer = house.get(&people.nobody, "/api/audit/logs");
    assert_eq!(answer.told(), (403, 40301, "Forbidden".into()));
    assert!(!answer.text().contains(&people.shop) && !answer.text().contains(&people.bank));
    assert_eq!(house.get(&people.auditor, "/api/audit/logs?tenant=_platform").status, 200);
}
