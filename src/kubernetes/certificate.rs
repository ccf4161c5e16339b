//! The Secret with the webhook's certificates.

use std::collections::BTreeMap;
use std::fmt;

use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::KubeClient;
use super::timeout::in_time;
use super::write::{WriteError, failed};

/// A Secret as it was read. `Debug` does not show its data.
#[derive(Clone)]
pub struct CertificateSecret(Box<Secret>);

impl fmt::Debug for CertificateSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CertificateSecret").field(&self.0.metadata.name).finish()
    }
}

impl CertificateSecret {
    fn of(secret: Secret) -> Self {
        Self(Box::new(secret))
    }

    /// The decoded data.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let data = self.0.data.clone().unwrap_or_default();
        data.into_iter().map(|(key, value)| (key, value.0)).collect()
    }

    /// Whether this is the same version of the same Secret.
    #[must_use]
    pub fn is_same_version(&self, other: &Self) -> bool {
        (self.0.uid(), self.0.resource_version()) == (other.0.uid(), other.0.resource_version())
    }
}

impl KubeClient {
    /// Watches a Secret of the operator's namespace; `None` while it does not exist.
    pub fn watch_certificate_secret(
        &self,
        name: &str,
    ) -> impl Stream<Item = Option<CertificateSecret>> + Send + use<> {
        log_watch_errors("Secret", watch_object(self.secrets(), name))
            .map(|secret| secret.map(CertificateSecret::of))
    }

    /// Reads a Secret of the operator's namespace.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_certificate_secret(&self, name: &str) -> Result<Option<CertificateSecret>, WriteError> {
        let secret =
            in_time(self.secrets().get_opt(name)).await.map_err(failed("reading the certificates"))?;
        Ok(secret.map(CertificateSecret::of))
    }

    /// Creates a Secret of the operator's namespace with the type `type_`, or replaces it if it is still the version
    /// `before`.
    ///
    /// # Errors
    /// A conflict, or the API server does not answer.
    pub async fn store_certificate_secret(
        &self,
        name: &str,
        before: Option<&CertificateSecret>,
        type_: &str,
        data: BTreeMap<String, Vec<u8>>,
    ) -> Result<CertificateSecret, WriteError> {
        const WHAT: &str = "writing the Secret";
        let data = data.into_iter().map(|(key, value)| (key, ByteString(value))).collect();
        let parameters = PostParams::default();
        let stored = match before {
            Some(before) => {
                let secret = Secret { data: Some(data), string_data: None, ..(*before.0).clone() };
                in_time(self.secrets().replace(name, &parameters, &secret)).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
                let type_ = Some(type_.to_owned());
                let secret = Secret { metadata, data: Some(data), type_, ..Secret::default() };
                in_time(self.secrets().create(&parameters, &secret)).await
            }
        };
        stored.map(CertificateSecret::of).map_err(failed(WHAT))
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace())
    }
}

/// Logs and drops the errors of a watch.
pub(super) fn log_watch_errors<K, E>(
    kind: &'static str,
    events: impl Stream<Item = Result<Option<K>, E>> + Send + 'static,
) -> impl Stream<Item = Option<K>> + Send
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    E: fmt::Display + Send,
{
    events.default_backoff().filter_map(move |event| async move {
        match event {
            Ok(object) => Some(object),
            Err(error) => {
                tracing::warn!(kind, %error, "watch failed; retrying");
                None
            }
        }
    })
}
