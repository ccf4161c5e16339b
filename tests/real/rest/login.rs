//! Who gets in, and what is known of those who do not.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use xtask::test_environment::TestEnvironment;

use super::house::{House, apply, kubectl, people, token};
use super::http::ask;
use crate::support::{PATIENCE, unique};

/// The status of a request with this header.
fn status(house: &House, authorization: &str) -> u16 {
    let answer = ask(house.port, "GET", "/api/audit/checkpoints", &[("Authorization", authorization)]);
    if answer.status == 401 {
        assert_eq!(answer.told(), (401, 40301, "Unauthenticated".into()));
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
    }
    answer.status
}

#[test]
fn nobody_gets_in_without_a_token_that_kubernetes_accepts() {
    let (house, people) = (House::shared(), people());
    let good = &people.shopper;
    assert_eq!(status(house, &format!("Bearer {good}")), 200);
    let (body, signature) = good.rsplit_once('.').expect("a JWT");
    let flipped: String = signature.chars().rev().collect();
    for authorization in [
        String::new(),
        "Bearer".into(),
        "Bearer garbage".into(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {body}.{flipped}"),
        format!("Bearer {body}."),
        format!("Bearer {good}x"),
        format!("Bearer {good} {good}"),
    ] {
        assert_eq!(status(house, &authorization), 401, "{authorization}");
    }
    assert_eq!(ask(house.port, "GET", "/api/audit/checkpoints", &[]).status, 401);
    let log = house.log();
    assert!(!log.contains(good.as_str()) && !log.contains(signature), "tokens are in the log");
}

/// The file in which the control plane keeps the key for tokens.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().find(|file| file.file_name().is_some_and(|file| file == name));
    here.or_else(|| folders.iter().find_map(|folder| find(folder, name)))
}

/// A token as Kubernetes makes it, valid until then.
fn made(namespace: &str, name: &str, uid: &str, issued: i64, expires: i64) -> String {
    let environment = TestEnvironment::get().expect("the environment");
    let folder = environment.operator_kubeconfig.parent().expect("a folder");
    let pem = std::fs::read(find(folder, "sa.key").expect("the key for tokens")).expect("it is read");
    let key = PrivateKeyDer::from_pem_slice(&pem).expect("a key");
    let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der());
    let issuer = "https://kubernetes.default.svc";
    let claims = json!({
        "iss": issuer, "aud": [issuer], "iat": issued, "nbf": issued, "exp": expires,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(&claims));
    let signature = pair.expect("a key of P-256").sign(&SystemRandom::new(), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.expect("it signs")))
}

#[test]
fn a_token_that_has_expired_counts_no_more() {
    let (house, people) = (House::shared(), people());
    let uid = ["get", "serviceaccount", "shopper", "-n", &people.namespace, "-o", "jsonpath={.metadata.uid}"];
    let uid = kubectl().run(&uid).expect("its uid");
    #[expect(clippy::disallowed_methods, reason = "Kubernetes compares with the time that it is")]
    let now = jiff::Timestamp::now().as_second();
    let token = |issued, expires| made(&people.namespace, "shopper", uid.trim(), issued, expires);
    assert_eq!(
        status(house, &format!("Bearer {}", token(now - 60, now + 600))),
        200,
        "the same, not expired"
    );
    assert_eq!(status(house, &format!("Bearer {}", token(now - 7_200, now - 3_600))), 401);
}

#[test]
fn a_token_of_an_account_that_is_gone_counts_no_more() {
    let (house, people) = (House::shared(), people());
    let name = format!("leaver-{}", unique());
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": people.namespace}}),
    ]);
    let token = token(&people.namespace, &name);
    let authorization = format!("Bearer {token}");
    assert_eq!(status(house, &authorization), 403, "known, and without rights");
    kubectl().run(&["delete", "serviceaccount", &name, "-n", &people.namespace]).expect("it is deleted");
    // What was known a moment ago counts for some seconds.
    let deadline = std::time::Instant::now() + PATIENCE;
    while status(house, &authorization) != 401 {
        assert!(std::time::Instant::now() < deadline, "it is still accepted");
    }
}

#[test]
fn a_right_that_is_given_or_taken_counts_soon() {
    let (house, people) = (House::shared(), people());
    let name = format!("mover-{}", unique());
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": people.namespace}}),
    ]);
    let authorization = format!("Bearer {}", token(&people.namespace, &name));
    let path = format!("/api/audit/checkpoints?tenant={}", people.shop);
    let until = |wanted: u16| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while ask(house.port, "GET", &path, &[("Authorization", &authorization)]).status != wanted {
            assert!(std::time::Instant::now() < deadline, "it is not {wanted}");
        }
    };
    until(403);
    let (role, account) = (format!("{}-reader", people.namespace), format!("{}:{name}", people.namespace));
    let binding = format!("{}-{name}", people.namespace);
    let words =
        ["create", "clusterrolebinding", &binding, "--clusterrole", &role, "--serviceaccount", &account];
    kubectl().run(&words).expect("it is bound");
    until(200);
    kubectl().run(&["delete", "clusterrolebinding", &binding]).expect("it is unbound");
    until(403);
}

#[test]
fn refusals_are_recorded_and_do_not_fill_the_log() {
    let people = people();
    let data = super::house::fill(people);
    let (_operator, port) = super::house::start(data.folder.path(), &["--api-rate-limit", "10000"]);
    for _ in 0..200 {
        assert_eq!(ask(port, "GET", "/api/audit/logs?actor=secret", &[]).status, 401);
    }
    let bearer = format!("Bearer {}", people.auditor);
    let read = || {
        let path = "/api/audit/logs?tenant=_platform&action=RefuseLogin&limit=500";
        let answer = ask(port, "GET", path, &[("Authorization", &bearer)]);
        answer.data()["items"].as_array().expect("records").clone()
    };
    // What is noted is written soon.
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut records = read();
    while records.len() < 6 {
        assert!(std::time::Instant::now() < deadline, "{records:?}");
        records = read();
    }
    assert!(records.len() < 30, "{} of 200 are recorded", records.len());
    let record = &records[0];
    assert_eq!((&record["outcome"], &record["reason"]), (&json!("Denied"), &json!("Unauthenticated")));
    assert_eq!(
        (&record["actor"]["user"], &record["origin"]["address"]),
        (&json!("system:anonymous"), &json!("127.0.0.1"))
    );
    assert_eq!(record["message"], "GET /api/audit/logs: it has no token");
    let metrics = ask(port, "GET", "/metrics", &[]).text();
    assert!(metrics.contains("eventcenter_rest_refused_total{reason=\"Unauthenticated\"} 200"), "{metrics}");
}
