//! The API over TLS: the served certificate, and the behaviour without one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;
use xtask::operator::Operator;
use xtask::test_environment::TestEnvironment;

use super::http::{Response, parse, request};
use super::server::{RECORDS, apply, fill, kubectl, start_as, users};
use crate::support::{MAX_WAIT, unique};

/// A certificate, its key and its authority, in PEM.
pub(super) struct IssuedCertificate {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) authority: String,
}

fn parameters() -> CertificateParams {
    CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names")
}

pub(super) fn issue_certificate() -> IssuedCertificate {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"));
    let (authority, pair) =
        (authority.expect("the certificate is signed"), KeyPair::generate().expect("a key"));
    let certificate = parameters().signed_by(&pair, &authority).expect("the certificate is signed");
    IssuedCertificate {
        certificate: certificate.pem(),
        key: pair.serialize_pem(),
        authority: authority.pem(),
    }
}

fn issue_self_signed() -> IssuedCertificate {
    let pair = KeyPair::generate().expect("a key");
    let certificate = parameters().self_signed(&pair).expect("the certificate is signed").pem();
    IssuedCertificate { certificate: certificate.clone(), key: pair.serialize_pem(), authority: certificate }
}

/// Sends a GET request over TLS, trusting this authority.
pub(super) fn get(
    port: u16,
    authority: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Response, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut roots = RootCertStore::empty();
    let trusted = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| text(&error))?;
    roots.add(trusted).map_err(|error| text(&error))?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).map_err(|error| text(&error))?;
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the port accepts connections");
    stream.set_read_timeout(Some(MAX_WAIT)).expect("a time");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(request("GET", path, headers).as_bytes()).map_err(|error| text(&error))?;
    let mut all = Vec::new();
    // An end without TLS's close_notify is an error.
    stream.read_to_end(&mut all).map_err(|error| text(&error))?;
    Ok(parse(&all))
}

/// The response of the port to HTTP without TLS.
fn get_without_tls(port: u16) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port accepts connections");
    stream.set_read_timeout(Some(MAX_WAIT)).expect("a time");
    let mut all = Vec::new();
    drop(stream.write_all(request("GET", "/healthz", &[]).as_bytes()));
    drop(stream.read_to_end(&mut all));
    all
}

/// Replaces the data of a Secret.
pub(super) fn replace_secret_data(secret: &str, data: &[(&str, &str)]) {
    let entry = |&(key, value): &(&str, &str)| (key.to_owned(), json!(STANDARD.encode(value)));
    let data: serde_json::Map<String, Value> = data.iter().map(entry).collect();
    let metadata = json!({"name": secret, "namespace": NAMESPACE});
    apply(&[json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})]);
}

/// The API as a process with a certificate from a Secret.
struct Encrypted {
    operator: Operator,
    secret: String,
}

impl Encrypted {
    fn replace_secret_data(&self, data: &[(&str, &str)]) {
        replace_secret_data(&self.secret, data);
    }

    fn delete(&self) {
        let arguments = ["delete", "secret", &self.secret, "-n", NAMESPACE, "--ignore-not-found"];
        kubectl().run(&arguments).expect("the Secret is deleted");
    }

    fn status(&self) -> Option<u16> {
        self.operator.get("/readyz").map(|(status, _)| status)
    }

    /// Waits until its log contains this text.
    #[track_caller]
    fn wait_for_log(&self, expected: &str) {
        self.wait_until(expected, || self.operator.output().is_ok_and(|log| log.contains(expected)));
    }

    #[track_caller]
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no runtime, and nothing else to do on this thread"
    )]
    fn wait_until(&self, expectation: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + MAX_WAIT;
        while !holds() {
            let log = self.operator.output().unwrap_or_default();
            let status = self.status();
            assert!(Instant::now() < deadline, "{expectation}: timed out; /readyz {status:?}\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn the_certificate_is_awaited_served_and_replaced() {
    let (users, environment) = (users(), TestEnvironment::get().expect("the environment"));
    let (data, secret) = (fill(users), format!("api-{}", unique()));
    let arguments = ["--api-tls-secret", secret.as_str()];
    let kubeconfig = &environment.operator_kubeconfig;
    let (operator, port) = start_as(kubeconfig, data.folder.path(), &arguments, false);
    let api = Encrypted { operator, secret };
    let (first, second) = (issue_certificate(), issue_self_signed());
    let bearer = format!("Bearer {}", users.shopper);
    let headers = [("Authorization", bearer.as_str())];

    // Without a certificate the server logs the reason once and accepts no connection.
    api.wait_for_log(&format!("there is no Secret {} in namespace {NAMESPACE}", api.secret));
    assert_eq!(api.status(), Some(503));
    assert!(get(port, &first.authority, "/healthz", &[]).is_err());
    assert!(!get_without_tls(port).starts_with(b"HTTP/"));
    for (broken, expected) in [
        (vec![("tls.key", first.key.as_str())], "has no text under the key tls.crt"),
        (vec![("tls.crt", first.certificate.as_str())], "has no text under the key tls.key"),
        (vec![("tls.crt", ""), ("tls.key", &first.key)], "tls.crt contains no certificate"),
        (vec![("tls.crt", &first.certificate), ("tls.key", "none")], "tls.key is not a private key in PEM"),
        (vec![("tls.crt", &first.certificate), ("tls.key", &second.key)], "cannot be used together"),
    ] {
        api.replace_secret_data(&broken);
        api.wait_for_log(expected);
        assert_eq!(api.status(), Some(503), "{expected}");
    }

    // A valid certificate is served as soon as it exists, and HTTP without TLS is refused.
    api.replace_secret_data(&[("tls.crt", &first.certificate), ("tls.key", &first.key)]);
    api.wait_until("the server is ready", || api.status() == Some(200));
    let health = get(port, &first.authority, "/healthz", &[]).expect("the certificate is trusted");
    assert_eq!((health.status, health.text()), (200, "ok\n".into()));
    let path = "/api/audit/logs?limit=1&action=Update";
    let page = get(port, &first.authority, path, &headers).expect("the certificate is trusted").data();
    assert_eq!(page["items"][0]["seq"], json!(RECORDS - 1), "{page}");
    assert_eq!(get(port, &first.authority, path, &[]).expect("the certificate is trusted").status, 401);
    let unknown = get(port, &second.authority, "/healthz", &[]).map(|answer| answer.text());
    assert!(unknown.as_ref().is_err_and(|error| error.contains("certificate")), "{unknown:?}");
    assert!(!get_without_tls(port).starts_with(b"HTTP/"), "tokens would be transferred without encryption");
    let authority = data.folder.path().join("authority.pem");
    std::fs::write(&authority, &first.authority).expect("the file is written");
    let mut eventctl = Command::new(env!("CARGO_BIN_EXE_eventctl"));
    eventctl.args(["audit", "list", "--limit", "1", "--server", &format!("https://127.0.0.1:{port}")]);
    eventctl.args(["--token", &users.shopper]).arg("--certificate-authority").arg(&authority);
    let output = eventctl.output().expect("eventctl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // An invalid certificate is logged and the previous one stays; a valid one is served without a restart.
    api.replace_secret_data(&[("tls.crt", "nonsense"), ("tls.key", &second.key)]);
    api.wait_for_log("keeping the previous certificate");
    assert_eq!(get(port, &first.authority, "/healthz", &[]).expect("the certificate is trusted").status, 200);
    api.replace_secret_data(&[("tls.crt", &second.certificate), ("tls.key", &second.key)]);
    api.wait_until("the second certificate is served", || {
        get(port, &second.authority, "/healthz", &[]).is_ok()
    });
    assert!(get(port, &first.authority, "/healthz", &[]).is_err(), "the first certificate is still served");
    assert_eq!(get(port, &second.authority, path, &headers).expect("the certificate is trusted").status, 200);

    let missing = || api.operator.output().expect("its log").matches("there is no Secret").count();
    assert_eq!(missing(), 1, "the missing Secret is logged once");
    api.delete();
    api.wait_until("the log reports that the Secret does not exist", || missing() == 2);
    assert_eq!(get(port, &second.authority, path, &headers).expect("the certificate is trusted").status, 200);
    assert_eq!(api.status(), Some(200));
    let log = api.operator.output().expect("its log");
    for key in [&first.key, &second.key] {
        let key = key.lines().nth(1).expect("a line of the key");
        assert!(!log.contains(key) && !log.contains("PRIVATE"), "the log contains a key");
    }
    assert!(api.operator.stop().expect("the operator stops").success());
}
