//! Reading Secrets, in the operator's own namespace only.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::KubeClient;
use super::timeout::in_time;

/// A Secret's value could not be read. No variant contains a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such Secret.
    #[error("there is no Secret {name} in namespace {namespace}: create it, or correct the name")]
    Missing {
        /// Its name.
        name: String,
        /// The operator's namespace.
        namespace: String,
    },
    /// The Secret has no such key, or its value is not text.
    #[error(
        "Secret {name} in namespace {namespace} has no text under the key {key}: add it, or correct the key"
    )]
    NoKey {
        /// The Secret's name.
        name: String,
        /// The operator's namespace.
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
        let namespace = self.namespace().to_owned();
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let secret = in_time(secrets.get_opt(name))
            .await
            .map_err(|source| SecretError::Api { name: name.into(), source: Box::new(source) })?
            .ok_or_else(|| SecretError::Missing { name: name.into(), namespace: namespace.clone() })?;
        let mut data = secret.data.unwrap_or_default();
        let mut texts = std::array::from_fn(|_| String::new());
        for (text, key) in texts.iter_mut().zip(keys) {
            *text = data.remove(key).and_then(|value| String::from_utf8(value.0).ok()).ok_or_else(|| {
                SecretError::NoKey { name: name.into(), namespace: namespace.clone(), key: key.into() }
            })?;
        }
        Ok(texts)
    }
}
