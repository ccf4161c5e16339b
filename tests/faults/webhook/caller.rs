//! A client of the webhook's port: a local process, or one that has what only the API server has.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;

use crate::fixture::FaultFixture;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that trusts the webhook's authority.
#[derive(Clone)]
pub(super) struct Caller {
    port: u16,
    config: Arc<ClientConfig>,
    timeout: Duration,
}

/// A connection of a [`Caller`].
pub(super) type CallerConnection = StreamOwned<ClientConnection, TcpStream>;

impl Caller {
    /// A client without a certificate of its own.
    pub(super) async fn new(t: &FaultFixture, port: u16) -> Result<Self> {
        let config = trusting_the_webhook(t).await?.with_no_client_auth();
        Ok(Self { port, config: Arc::new(config), timeout: DEFAULT_TIMEOUT })
    }

    /// A client with a certificate and its key, both PEM.
    pub(super) async fn with_certificate(
        t: &FaultFixture,
        port: u16,
        certificate: &str,
        key: &str,
    ) -> Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        let config = trusting_the_webhook(t).await?.with_client_auth_cert(chain, key)?;
        Ok(Self { port, config: Arc::new(config), timeout: DEFAULT_TIMEOUT })
    }

    /// The same client, which waits for an answer for this time.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Connects to the port. The handshake takes place with the first bytes.
    pub(super) fn connect(&self) -> Result<CallerConnection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(self.timeout))?;
        let connection = ClientConnection::new(Arc::clone(&self.config), ServerName::try_from("127.0.0.1")?)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// Sends these bytes. Returns everything that arrives until the connection ends.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<String> {
        let mut stream = self.connect()?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        // The connection may end without close_notify.
        drop(stream.read_to_end(&mut answer));
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a request without a body: `GET /path`, and further headers. Returns the status code and the body of the response.
    pub(super) fn send_head(&self, request: &str, headers: &str) -> Result<(u16, String)> {
        split(&self.send(format!("{request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())?)
    }

    /// Sends a POST request. Returns the status code and the body of the response.
    pub(super) fn post(&self, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        split(&self.send(&[head.as_bytes(), body.as_bytes()].concat())?)
    }
}

async fn trusting_the_webhook(t: &FaultFixture) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>> {
    let secret = Api::<Secret>::namespaced(t.kube.client(), NAMESPACE).get("eventcenter-webhook").await?;
    let data = secret.data.context("the Secret has no data")?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&data["ca.crt"].0) {
        roots.add(authority?)?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots))
}

/// The status code and the body of a response.
pub(super) fn split(answer: &str) -> Result<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// The paths at which the API server calls the webhooks, as an administrator reads them.
pub(super) struct Paths {
    pub(super) validate: String,
    pub(super) mutate: String,
}

impl Paths {
    /// The current paths of the configurations.
    pub(super) async fn read(t: &FaultFixture) -> Result<Self> {
        let validating =
            Api::<ValidatingWebhookConfiguration>::all(t.kube.client()).get("eventcenter").await?;
        let mutating = Api::<MutatingWebhookConfiguration>::all(t.kube.client()).get("eventcenter").await?;
        let validating = validating.webhooks.into_iter().flatten().map(|webhook| webhook.client_config.url);
        let mutating = mutating.webhooks.into_iter().flatten().map(|webhook| webhook.client_config.url);
        Ok(Self { validate: common_path(validating)?, mutate: common_path(mutating)? })
    }
}

/// The path of all URLs of a configuration.
fn common_path(urls: impl Iterator<Item = Option<String>>) -> Result<String> {
    let mut common = None;
    for url in urls {
        let url = url.context("the webhook has no URL")?;
        let rest = url.split_once("://").with_context(|| format!("{url} has no scheme"))?.1;
        let path = rest.find('/').map_or("", |start| &rest[start..]).to_owned();
        anyhow::ensure!(*common.get_or_insert_with(|| path.clone()) == path, "{common:?} and {path}");
    }
    common.context("the configuration has no webhooks")
}

/// An AdmissionReview about an object of the namespace `wire`, of a user who wrote nothing.
pub(super) fn review(kind: &str, operation: &str, object: &Value) -> Value {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("wire");
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "one", "operation": operation, "name": "orders", "namespace": namespace,
            "kind": {"group": "eventcenter.io", "version": "v1alpha1", "kind": kind},
            "resource": {"group": "eventcenter.io", "version": "v1alpha1", "resource": "eventtopics"},
            "userInfo": {"username": "alice"}, "object": object, "oldObject": null, "dryRun": false,
        },
    })
}
