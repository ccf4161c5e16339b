//! The TLS certificate of the API: that of a Secret, which is read regularly, so that a renewed certificate is served without
//! a restart.

use std::time::Duration;

use tokio::time::sleep;

use crate::error_chain::ErrorChain;
use crate::http::{InvalidCertificate, ServingCertificate};
use crate::kubernetes::{KubeClient, SecretError};

/// Interval between reads of the Secret.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// The same until the first certificate is served.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Why the certificate of the Secret cannot be served.
#[derive(Debug, thiserror::Error)]
enum CertificateError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Certificate(#[from] InvalidCertificate),
}

/// The certificate in a Secret of the operator's namespace.
pub(super) struct WatchedCertificate {
    secret: String,
    served: ServingCertificate,
}

impl WatchedCertificate {
    /// The certificate of the Secret with this name; none is served before the Secret is read.
    pub(super) fn new(secret: String) -> Result<Self, rustls::Error> {
        Ok(Self { secret, served: ServingCertificate::new(None)? })
    }

    /// What the server serves.
    pub(super) fn served(&self) -> &ServingCertificate {
        &self.served
    }

    /// Serves the certificate of the Secret, until dropped. Keeps the previous one if the Secret's cannot be served. Calls
    /// `on_change` when another certificate is served.
    pub(super) async fn watch(&self, kube: &KubeClient, on_change: impl Fn()) {
        let (mut is_served, mut last_error) = (false, None);
        loop {
            match self.refresh(kube).await {
                Ok(is_changed) => {
                    last_error = None;
                    if is_changed {
                        tracing::info!(secret = self.secret, "serving a new certificate of the API");
                        is_served = true;
                        on_change();
                    }
                }
                Err(error) => {
                    let error = ErrorChain(&error).to_string();
                    // Each error is logged once, however long it lasts.
                    if last_error.as_ref() != Some(&error) {
                        match is_served {
                            true => tracing::warn!(error, "keeping the previous certificate of the API"),
                            false => tracing::warn!(error, "waiting for the certificate of the API"),
                        }
                    }
                    last_error = Some(error);
                }
            }
            sleep(if is_served { POLL_INTERVAL } else { RETRY_INTERVAL }).await;
        }
    }

    /// Reads the Secret and serves its certificate. Returns whether it differs from the previous one.
    async fn refresh(&self, kube: &KubeClient) -> Result<bool, CertificateError> {
        let [chain, key] = kube.secret(&self.secret, ["tls.crt", "tls.key"]).await?;
        Ok(self.served.replace(&chain, &key)?)
    }
}
