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

use super::http::{Answer, parse, request};
use super::server::{RECORDS, apply, fill, kubectl, start_as, users};
use crate::support::{MAX_WAIT, unique};

/// A certificate, and by whom it is known. All of it is PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) authority: String,
}

fn parameters() -> CertificateParams {
    CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).expect("names")
}

pub(super) fn issued() -> Issued {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key"));
    let (authority, pair) = (authority.expect("it is signed"), KeyPair::generate().expect("a key"));
    let made = parameters().signed_by(&pair, &authority).expect("it is signed");
    Issued { certificate: made.pem(), key: pair.serialize_pem(), authority: authority.pem() }
}

fn self_signed() -> Issued {
    let pair = KeyPair::generate().expect("a key");
    let made = parameters().self_signed(&pair).expect("it is signed").pem();
    Issued { certificate: made.clone(), key: pair.serialize_pem(), authority: made }
}

/// Asks over TLS, knowing the server by this authority.
pub(super) fn ask(
    port: u16,
    authority: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut roots = RootCertStore::empty();
    let known = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|error| text(&error))?;
    roots.add(known).map_err(|error| text(&error))?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| text(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).map_err(|error| text(&error))?;
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(MAX_WAIT)).expect("a time");
    let mut stream = StreamOwned::new(client, stream);
    stream.write_all(request("GET", path, headers).as_bytes()).map_err(|error| text(&error))?;
    let mut all = Vec::new();
    // An end without TLS's close_notify is an error.
    stream.read_to_end(&mut all).map_err(|error| text(&error))?;
    Ok(parse(&all))
}

/// What the port answers to HTTP.
fn in_the_clear(port: u16) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(MAX_WAIT)).expect("a time");
    let mut all = Vec::new();
    drop(stream.write_all(request("GET", "/healthz", &[]).as_bytes()));
    drop(stream.read_to_end(&mut all));
    all
}

/// Puts something into a Secret in place of what was there.
pub(super) fn put(secret: &str, data: &[(&str, &str)]) {
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
    fn put(&self, data: &[(&str, &str)]) {
        put(&self.secret, data);
    }

    fn delete(&self) {
        let words = ["delete", "secret", &self.secret, "-n", NAMESPACE, "--ignore-not-found"];
        kubectl().run(&words).expect("it is deleted");
    }

    fn status(&self) -> Option<u16> {
        self.operator.get("/readyz").map(|(status, _)| status)
    }

    /// Waits until it has said this.
    #[track_caller]
    fn says(&self, words: &str) {
        self.until(words, || self.operator.output().is_ok_and(|said| said.contains(words)));
    }

    #[track_caller]
    #[expect(
        clippy::disallowed_methods,
        reason = "there is no runtime, and nothing else to do on this thread"
    )]
    fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let deadline = Instant::now() + MAX_WAIT;
        while !is() {
            let said = self.operator.output().unwrap_or_default();
            let status = self.status();
            assert!(Instant::now() < deadline, "{what}: not in time; /readyz {status:?}\n{said}");
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
    let (first, second) = (issued(), self_signed());
    let bearer = format!("Bearer {}", users.shopper);
    let headers = [("Authorization", bearer.as_str())];

    // Without a certificate it logs the reason once and accepts no connection.
    api.says(&format!("there is no Secret {} in namespace {NAMESPACE}", api.secret));
    assert_eq!(api.status(), Some(503));
    assert!(ask(port, &first.authority, "/healthz", &[]).is_err());
    assert!(!in_the_clear(port).starts_with(b"HTTP/"));
    for (broken, answers) in [
        (vec![("tls.key", first.key.as_str())], "has no text under the key tls.crt"),
        (vec![("tls.crt", first.certificate.as_str())], "has no text under the key tls.key"),
        (vec![("tls.crt", ""), ("tls.key", &first.key)], "tls.crt contains no certificate"),
        (vec![("tls.crt", &first.certificate), ("tls.key", "none")], "tls.key is not a private key in PEM"),
        (vec![("tls.crt", &first.certificate), ("tls.key", &second.key)], "cannot be used together"),
    ] {
        api.put(&broken);
        api.says(answers);
        assert_eq!(api.status(), Some(503), "{answers}");
    }

    // As soon as there is one it is served, and nothing else is.
    api.put(&[("tls.crt", &first.certificate), ("tls.key", &first.key)]);
    api.until("it is ready", || api.status() == Some(200));
    let health = ask(port, &first.authority, "/healthz", &[]).expect("it is trusted");
    assert_eq!((health.status, health.text()), (200, "ok\n".into()));
    let path = "/api/audit/logs?limit=1&action=Update";
    let page = ask(port, &first.authority, path, &headers).expect("it is trusted").data();
    assert_eq!(page["items"][0]["seq"], json!(RECORDS - 1), "{page}");
    assert_eq!(ask(port, &first.authority, path, &[]).expect("it is trusted").status, 401);
    let unknown = ask(port, &second.authority, "/healthz", &[]).map(|answer| answer.text());
    assert!(unknown.as_ref().is_err_and(|error| error.contains("certificate")), "{unknown:?}");
    assert!(!in_the_clear(port).starts_with(b"HTTP/"), "tokens would be readable");
    let authority = data.folder.path().join("authority.pem");
    std::fs::write(&authority, &first.authority).expect("it is written");
    let mut eventctl = Command::new(env!("CARGO_BIN_EXE_eventctl"));
    eventctl.args(["audit", "list", "--limit", "1", "--server", &format!("https://127.0.0.1:{port}")]);
    eventctl.args(["--token", &users.shopper]).arg("--certificate-authority").arg(&authority);
    let output = eventctl.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // An invalid certificate is logged and the previous one stays; a valid one is served without a restart.
    api.put(&[("tls.crt", "nonsense"), ("tls.key", &second.key)]);
    api.says("keeping the previous certificate");
    assert_eq!(ask(port, &first.authority, "/healthz", &[]).expect("it is trusted").status, 200);
    api.put(&[("tls.crt", &second.certificate), ("tls.key", &second.key)]);
    api.until("the other one is served", || ask(port, &second.authority, "/healthz", &[]).is_ok());
    assert!(ask(port, &first.authority, "/healthz", &[]).is_err(), "the first one is served still");
    assert_eq!(ask(port, &second.authority, path, &headers).expect("it is trusted").status, 200);

    let missing = || api.operator.output().expect("its log").matches("there is no Secret").count();
    assert_eq!(missing(), 1, "logged once");
    api.delete();
    api.until("it says that it is gone", || missing() == 2);
    assert_eq!(ask(port, &second.authority, path, &headers).expect("it is trusted").status, 200);
    assert_eq!(api.status(), Some(200));
    let said = api.operator.output().expect("its log");
    for key in [&first.key, &second.key] {
        let key = key.lines().nth(1).expect("a line of it");
        assert!(!said.contains(key) && !said.contains("PRIVATE"), "a key is in the log");
    }
    assert!(api.operator.stop().expect("it ends").success());
}
