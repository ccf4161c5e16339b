//! The serving certificate, which new connections pick up when it is renewed.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be serving. No variant contains a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidCertificate {
    #[error("the certificate is not PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("the private key is not PEM")]
    Key,
    #[error("the certificate and its private key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// The current serving certificate, if there is one yet.
#[derive(Default)]
pub(super) struct ServingCertificate(RwLock<Option<Arc<CertifiedKey>>>);

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate").finish_non_exhaustive()
    }
}

impl ServingCertificate {
    /// Serves this certificate on new connections; existing ones continue. Returns whether it differs from the one before.
    pub(super) fn set(&self, chain: &str, key: &str) -> Result<bool, InvalidCertificate> {
        let certified = Arc::new(certified(chain, key)?);
        let mut serving = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = serving.replace(Arc::clone(&certified));
        Ok(before.is_none_or(|before| before.cert != certified.cert))
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(chain: &str, key: &str) -> Result<CertifiedKey, InvalidCertificate> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(InvalidCertificate::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| InvalidCertificate::Key)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(InvalidCertificate::Pair)
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// The TLS settings. HTTP/1.1 only: with HTTP/2 an API server would keep one connection to one replica, and the others
/// would receive no reviews.
pub(super) fn config(serving: Arc<ServingCertificate>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions =
        ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(serving);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
