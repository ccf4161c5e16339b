//! The certificate that is served: that of a Secret, read again and again, so that a renewed one is served without a restart.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::envelope::Chain;
use crate::kubernetes::{KubeClient, SecretError};

/// How often the Secret is read.
const LOOK: Duration = Duration::from_secs(10);

/// How often it is read as long as nothing can be served.
const RETRY: Duration = Duration::from_secs(2);

/// Why a certificate cannot be served. No variant holds a key.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("tls.crt is no certificate in PEM: {0}")]
    Certificate(rustls::pki_types::pem::Error),
    #[error("there is no certificate in tls.crt")]
    Nothing,
    #[error("tls.key is no private key in PEM")]
    Key,
    #[error("tls.crt and tls.key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// What is served at the moment, if there is anything yet.
#[derive(Debug, Default)]
struct Served(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The certificate of a Secret.
pub(super) struct Certificate {
    secret: String,
    served: Arc<Served>,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// Nothing is served before it is read.
    pub(super) fn new(secret: String) -> Result<Self, rustls::Error> {
        let served = Arc::new(Served::default());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { secret, served, config: Arc::new(config) })
    }

    /// What connections are accepted with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// Serves what is in the Secret, and each one that comes after it, for as long as it is polled. What cannot be served leaves
    /// the one before. Calls `ready` when another one is served.
    pub(super) async fn keep(&self, kubernetes: &KubeClient, ready: impl Fn()) {
        let (mut is_served, mut told) = (false, None);
        loop {
            match self.look(kubernetes).await {
                Ok(is_another) => {
                    told = None;
                    if is_another {
                        tracing::info!(secret = self.secret, "the API is served with another certificate");
                        is_served = true;
                        ready();
                    }
                }
                Err(error) => {
                    let error = Chain(&error).to_string();
                    // The same is told once, however long it stays like this.
                    if told.as_ref() != Some(&error) {
                        match is_served {
                            true => {
                                tracing::warn!(
                                    error,
                                    "the API's certificate: what was served before still is"
                                );
                            }
                            false => tracing::warn!(error, "waiting for the API's certificate"),
                        }
                    }
                    told = Some(error);
                }
            }
            sleep(if is_served { LOOK } else { RETRY }).await;
        }
    }

    /// Reads the Secret. Returns whether another certificate than before is served from now on.
    async fn look(&self, kubernetes: &KubeClient) -> Result<bool, Unusable> {
        let [chain, key] = kubernetes.secret(&self.secret, ["tls.crt", "tls.key"]).await?;
        let certified = Arc::new(certified(&chain, &key)?);
        let mut served = self.served.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = served.replace(Arc::clone(&certified));
        Ok(before.is_none_or(|before| before.cert != certified.cert))
    }
}

fn certified(chain: &str, key: &str) -> Result<CertifiedKey, Unusable> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(Unusable::Certificate)?;
    if chain.is_empty() {
        return Err(Unusable::Nothing);
    }
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| Unusable::Key)?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(Unusable::Pair)
}
