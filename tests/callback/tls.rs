//! Certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eventcenter::callback::{CallbackClient, CallbackError, CallbackOptions, SetupError, TlsFailure};
use eventcenter::error_chain::ErrorChain;
use expect_test::expect;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::server::{OK, Server};
use crate::{LOCALHOST, LONG, call, client, client_with, fail, local, text};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client that trusts the authority, and the folder of its certificate.
fn trusting(authority: &Authority) -> CallbackClient {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    std::fs::write(&path, authority.pem()).unwrap();
    client_with(&with_authorities(&path))
}

fn with_authorities(path: &Path) -> CallbackOptions {
    CallbackOptions { certificate_authorities: Some(path.to_owned()), ..CallbackOptions::default() }
}

/// A server with a certificate for this name.
async fn serve(authority: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Server {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::handle(LOCALHOST, move |stream, log| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while log.read(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

fn https(server: &Server) -> String {
    server.url().replace("http", "https")
}

async fn refused(client: &CallbackClient, server: &Server, expected: TlsFailure) -> String {
    let error = fail(client, &https(server), &local(), LONG).await;
    match &error {
        CallbackError::Tls { failure, .. } if *failure == expected => {}
        other => panic!("{other:?}"),
    }
    assert!(!error.may_have_been_sent() && server.requests().is_empty());
    text(&error, server.address.port())
}

#[tokio::test]
async fn a_certificate_of_an_authority_in_the_file_is_trusted() {
    let authority = authority();
    let server = serve(&authority, "127.0.0.1", |_| {}).await;
    let client = trusting(&authority);
    for _ in 0..10 {
        call(&client, &https(&server), &local()).await;
    }
    assert_eq!((server.requests().len(), server.connections()), (10, 1));
}

#[tokio::test]
async fn an_invalid_certificate_is_refused_with_its_reason() {
    let trusted = authority();
    let ours = trusting(&trusted);
    let valid = serve(&trusted, "127.0.0.1", |_| {}).await;
    let expired = serve(&trusted, "127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1)).await;
    let early = serve(&trusted, "127.0.0.1", |params| params.not_before = date_time_ymd(4000, 1, 1)).await;
    let other = serve(&trusted, "other.example", |_| {}).await;
    let texts = [
        refused(&client(), &valid, TlsFailure::UnknownIssuer).await,
        refused(&ours, &expired, TlsFailure::Expired).await,
        refused(&ours, &early, TlsFailure::NotYetValid).await,
        refused(&ours, &other, TlsFailure::WrongName).await,
    ];
    // The present follows.
    let texts = texts.map(|text| text.split(": verification time").next().unwrap_or(&text).to_owned());
    expect![[r#"
        TLS with 127.0.0.1:PORT: no trusted authority issued the certificate: invalid peer certificate: UnknownIssuer
        TLS with 127.0.0.1:PORT: the certificate has expired: invalid peer certificate: certificate expired
        TLS with 127.0.0.1:PORT: the certificate is not yet valid: invalid peer certificate: certificate not valid yet
        TLS with 127.0.0.1:PORT: the certificate is for another host: invalid peer certificate: certificate not valid for name "127.0.0.1"; certificate is only valid for DnsName("other.example")"#]].assert_eq(&texts.join("\n"));
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let plain = Server::handle(LOCALHOST, |mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Closing without reading would reset the connection.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let closing = Server::handle(LOCALHOST, |mut stream, _| async move {
        // The client has begun the handshake.
        stream.read_u8().await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let texts = [
        refused(&client(), &plain, TlsFailure::NoTls).await,
        refused(&client(), &closing, TlsFailure::Interrupted).await,
    ];
    expect![[r#"
        TLS with 127.0.0.1:PORT: the server does not speak TLS: received corrupt message of type InvalidContentType
        TLS with 127.0.0.1:PORT: the connection ended during the handshake: Connection reset by peer (os error 104)"#]].assert_eq(&texts.join("\n"));
}

#[test]
fn a_file_without_authorities_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let broken = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n";
    let texts = [folder.path().join("missing"), file("empty", ""), file("broken", broken)].map(|path| {
        let error: SetupError = CallbackClient::new(&with_authorities(&path)).expect_err("invalid");
        ErrorChain(&error).to_string().replace(folder.path().to_str().unwrap(), "FOLDER")
    });
    expect![[r#"
        reading the certificate authorities in FOLDER/missing: No such file or directory (os error 2)
        FOLDER/empty contains no certificate authorities in PEM: it has no section CERTIFICATE
        FOLDER/broken contains no certificate authorities in PEM: invalid peer certificate: BadEncoding"#]]
    .assert_eq(&texts.join("\n"));
}
