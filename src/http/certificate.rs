//! The certificate of a TLS server. It can be replaced; new connections use the new one.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::ClientVerification;

/// Why a certificate and its key cannot be served. No variant contains the key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCertificate {
    /// The certificate chain is not PEM.
    #[error("tls.crt is not a certificate in PEM: {0}")]
    Chain(rustls::pki_types::pem::Error),
    /// The certificate chain is empty.
    #[error("tls.crt contains no certificate")]
    Empty,
    /// The private key is not PEM.
    #[error("tls.key is not a private key in PEM")]
    Key,
    /// The key is not that of the certificate, or of an unsupported type.
    #[error("tls.crt and tls.key cannot be used together: {0}")]
    Mismatch(rustls::Error),
}

/// The certificate that a server serves; none at first.
#[derive(Clone)]
pub struct ServingCertificate {
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    clients: Option<ClientVerification>,
}

#[derive(Debug, Default)]
struct Current(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().clone()
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate").finish_non_exhaustive()
    }
}

impl ServingCertificate {
    /// No certificate: handshakes fail until one is set. With `clients`, a client needs a certificate of its own.
    ///
    /// # Errors
    /// rustls supports none of the TLS versions.
    pub fn new(clients: Option<ClientVerification>) -> Result<Self, rustls::Error> {
        let current = Arc::new(Current::default());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = match &clients {
            Some(clients) => config.with_client_cert_verifier(clients.verifier()),
            None => config.with_no_client_auth(),
        };
        let mut config = config.with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        // HTTP/1.1 only: over HTTP/2 an API server would have one connection to one replica of the webhook.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { current, config: Arc::new(config), clients })
    }

    /// Serves this certificate chain with its private key, both PEM, on new connections. Returns whether it differs from the
    /// previous certificate.
    ///
    /// # Errors
    /// The chain or the key cannot be used; the previous certificate stays.
    pub fn replace(&self, chain: &str, key: &str) -> Result<bool, InvalidCertificate> {
        let new = Arc::new(parse(chain, key)?);
        let previous = self.current.0.write().replace(Arc::clone(&new));
        Ok(previous.is_none_or(|previous| previous.cert != new.cert))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Which clients are accepted, unless all are.
    pub(super) fn clients(&self) -> Option<&ClientVerification> {
        self.clients.as_ref()
    }
}

fn parse(chain: &str, key: &str) -> Result<CertifiedKey, InvalidCertificate> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(InvalidCertificate::Chain)?;
    if chain.is_empty() {
        return Err(InvalidCertificate::Empty);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| InvalidCertificate::Key)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(InvalidCertificate::Mismatch)
}
