//! The certificate that is served, which may be another one from one connection to the next.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be served. No variant holds a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the certificate is not PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("the private key is not PEM")]
    Key,
    #[error("the certificate and its private key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// What is served at the moment, if there is anything yet.
#[derive(Default)]
pub(super) struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

impl Served {
    /// Serves this on connections that begin from now on; those that there are go on. Whether that
    /// is another certificate than before.
    pub(super) fn set(&self, chain: &str, key: &str) -> Result<bool, Unusable> {
        let certified = Arc::new(certified(chain, key)?);
        let mut served = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = served.replace(Arc::clone(&certified));
        Ok(before.is_none_or(|before| before.cert != certified.cert))
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(chain: &str, key: &str) -> Result<CertifiedKey, Unusable> {
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(Unusable::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| Unusable::Key)?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(Unusable::Pair)
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// How connections are encrypted. HTTP/1.1 only: with HTTP/2 an API server has one connection to
/// one replica, and the others have nothing to do.
pub(super) fn config(served: Arc<Served>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let versions =
        ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(served);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
