//! Authentication, and the records of refused requests.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use xtask::test_environment::TestEnvironment;

use super::http::send;
use super::server::{TestServer, apply, kubectl, token, users};
use crate::support::{MAX_WAIT, unique};

/// The status of a request with this header.
fn status(server: &TestServer, authorization: &str) -> u16 {
    let answer = send(server.port, "GET", "/api/audit/checkpoints", &[("Authorization", authorization)]);
    if answer.status == 401 {
        assert_eq!(answer.outcome(), (401, 40301, "Unauthenticated".into()));
        assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
    }
    answer.status
}

#[test]
fn a_token_accepted_by_kubernetes_is_required() {
    let (server, users) = (TestServer::shared(), users());
    let good = &users.shopper;
    assert_eq!(status(server, &format!("Bearer {good}")), 200);
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
        assert_eq!(status(server, &authorization), 401, "{authorization}");
    }
    assert_eq!(send(server.port, "GET", "/api/audit/checkpoints", &[]).status, 401);
    let log = server.log();
    assert!(!log.contains(good.as_str()) && !log.contains(signature), "the log contains a token");
}

/// Finds a file by its name, such as the key with which the control plane signs tokens.
fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = files.into_iter().find(|file| file.file_name().is_some_and(|file| file == name));
    here.or_else(|| folders.iter().find_map(|folder| find_file(folder, name)))
}

/// Signs a token as Kubernetes does, with the given times.
fn sign_token(namespace: &str, name: &str, uid: &str, issued: i64, expires: i64) -> String {
    let environment = TestEnvironment::get().expect("the environment");
    let folder = environment.operator_kubeconfig.parent().expect("a folder");
    let pem = std::fs::read(find_file(folder, "sa.key").expect("the file sa.key")).expect("the key is read");
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
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.expect("a signature")))
}

#[test]
fn an_expired_token_is_refused() {
    let (server, users) = (TestServer::shared(), users());
    let uid = ["get", "serviceaccount", "shopper", "-n", &users.namespace, "-o", "jsonpath={.metadata.uid}"];
    let uid = kubectl().run(&uid).expect("its uid");
    #[expect(clippy::disallowed_methods, reason = "Kubernetes compares with the time that it is")]
    let now = jiff::Timestamp::now().as_second();
    let token = |issued, expires| sign_token(&users.namespace, "shopper", uid.trim(), issued, expires);
    assert_eq!(
        status(server, &format!("Bearer {}", token(now - 60, now + 600))),
        200,
        "a token that has not expired is accepted"
    );
    assert_eq!(status(server, &format!("Bearer {}", token(now - 7_200, now - 3_600))), 401);
}

#[test]
fn a_token_of_a_deleted_account_is_refused() {
    let (server, users) = (TestServer::shared(), users());
    let name = format!("leaver-{}", unique());
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": users.namespace}}),
    ]);
    let token = token(&users.namespace, &name);
    let authorization = format!("Bearer {token}");
    assert_eq!(status(server, &authorization), 403, "the user is authenticated and has no rights");
    kubectl()
        .run(&["delete", "serviceaccount", &name, "-n", &users.namespace])
        .expect("the ServiceAccount is deleted");
    // The result of an earlier review is cached for some seconds.
    let deadline = std::time::Instant::now() + MAX_WAIT;
    while status(server, &authorization) != 401 {
        assert!(std::time::Instant::now() < deadline, "the token is still accepted");
    }
}

#[test]
fn granted_and_revoked_rights_take_effect_soon() {
    let (server, users) = (TestServer::shared(), users());
    let name = format!("mover-{}", unique());
    apply(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": users.namespace}}),
    ]);
    let authorization = format!("Bearer {}", token(&users.namespace, &name));
    let path = format!("/api/audit/checkpoints?tenant={}", users.shop);
    let wait_for_status = |expected: u16| {
        let deadline = std::time::Instant::now() + MAX_WAIT;
        while send(server.port, "GET", &path, &[("Authorization", &authorization)]).status != expected {
            assert!(std::time::Instant::now() < deadline, "the status is not {expected}");
        }
    };
    wait_for_status(403);
    let (role, account) = (format!("{}-reader", users.namespace), format!("{}:{name}", users.namespace));
    let binding = format!("{}-{name}", users.namespace);
    let arguments =
        ["create", "clusterrolebinding", &binding, "--clusterrole", &role, "--serviceaccount", &account];
    kubectl().run(&arguments).expect("the role is bound");
    wait_for_status(200);
    kubectl().run(&["delete", "clusterrolebinding", &binding]).expect("the binding is deleted");
    wait_for_status(403);
}

#[test]
fn refusals_are_recorded_and_do_not_fill_the_log() {
    let users = users();
    let data = super::server::fill(users);
    let (_operator, port) = super::server::start(data.folder.path(), &["--api-rate-limit", "10000"]);
    for _ in 0..200 {
        assert_eq!(send(port, "GET", "/api/audit/logs?actor=secret", &[]).status, 401);
    }
    let bearer = format!("Bearer {}", users.auditor);
    let read = || {
        let path = "/api/audit/logs?tenant=_platform&action=RefuseLogin&limit=500";
        let answer = send(port, "GET", path, &[("Authorization", &bearer)]);
        answer.data()["items"].as_array().expect("records").clone()
    };
    // Records are written with a short delay.
    let deadline = std::time::Instant::now() + MAX_WAIT;
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
    let metrics = send(port, "GET", "/metrics", &[]).text();
    assert!(metrics.contains("eventcenter_rest_refused_total{reason=\"Unauthenticated\"} 200"), "{metrics}");
}
