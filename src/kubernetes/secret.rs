//! Reading Secrets: in the operator's own namespace, and those that tasks name in theirs.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::KubeClient;
use super::timeout::{in_time, is_temporary};

/// A Secret's value could not be read. No variant contains a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such Secret.
    #[error("there is no Secret {name} in namespace {namespace}: create it, or correct the name")]
    Missing {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// The Secret has no such key, or its value is not text.
    #[error(
        "Secret {name} in namespace {namespace} has no text under the key {key}: add it, or correct the key"
    )]
    NoKey {
        /// The Secret's name.
        name: String,
        /// The Secret's namespace.
        namespace: String,
        /// The key.
        key: String,
    },
    /// Any other error, an unreachable API server included.
    #[error("reading Secret {name}: {source}")]
    Api {
        /// The Secret's name.
        name: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

impl SecretError {
    /// Whether the same request may succeed later without a change by somebody.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Api { source, .. } if is_temporary(source))
    }
}

impl KubeClient {
    /// The texts under some keys of a Secret in the operator's namespace.
    ///
    /// # Errors
    /// The Secret or a key is missing, or the API server does not answer.
    pub async fn secret<const N: usize>(
        &self,
        name: &str,
        keys: [&str; N],
    ) -> Result<[String; N], SecretError> {
        let texts = self.read_secret(self.namespace(), name, &keys).await?;
        Ok(texts.try_into().expect("one text for each key"))
    }

    /// The texts under some keys of a Secret, in the order of the keys.
    ///
    /// # Errors
    /// The Secret or a key is missing, or the API server does not answer.
    pub async fn read_secret(
        &self,
        namespace: &str,
        name: &str,
        keys: &[&str],
    ) -> Result<Vec<String>, SecretError> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let secret = in_time(secrets.get_opt(name))
            .await
            .map_err(|source| SecretError::Api { name: name.into(), source: Box::new(source) })?
            .ok_or_else(|| SecretError::Missing { name: name.into(), namespace: namespace.into() })?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| data.get(key).and_then(|value| String::from_utf8(value.0.clone()).ok());
        let missing = |key: &str| SecretError::NoKey {
            name: name.into(),
            namespace: namespace.into(),
            key: key.into(),
        };
        keys.iter().map(|key| text(key).ok_or_else(|| missing(key))).collect()
    }
}
