//! The Secret with the webhook's certificates, and the webhook configurations whose `caBundle` trusts them.

use std::collections::BTreeMap;
use std::fmt;

use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::core::Request;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource, ResourceExt};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::KubeClient;
use super::timeout::in_time;
use super::write::{WriteError, failed, json_patch};

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

/// The kind of a webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookConfigurationKind {
    /// A ValidatingWebhookConfiguration.
    Validating,
    /// A MutatingWebhookConfiguration.
    Mutating,
}

/// The certificate authorities that a webhook configuration trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Its kind.
    pub kind: WebhookConfigurationKind,
    /// Its name.
    pub name: String,
    /// The name and the `caBundle` (PEM) of each webhook in it.
    pub webhooks: Vec<(String, Vec<u8>)>,
}

impl WebhookConfiguration {
    fn of<K: Resource>(
        kind: WebhookConfigurationKind,
        configuration: &K,
        webhooks: impl Iterator<Item = (String, WebhookClientConfig)>,
    ) -> Self {
        let trusted = |client: WebhookClientConfig| client.ca_bundle.unwrap_or_default().0;
        Self {
            kind,
            name: configuration.name_any(),
            webhooks: webhooks.map(|(name, client)| (name, trusted(client))).collect(),
        }
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

    /// Watches a ValidatingWebhookConfiguration; `None` while it does not exist.
    pub fn watch_validating(
        &self,
        name: &str,
    ) -> impl Stream<Item = Option<WebhookConfiguration>> + Send + use<> {
        let api = Api::<ValidatingWebhookConfiguration>::all(self.client.clone());
        log_watch_errors("ValidatingWebhookConfiguration", watch_object(api, name)).map(|configuration| {
            configuration.map(|configuration| {
                let webhooks = configuration.webhooks.clone().unwrap_or_default().into_iter();
                let webhooks = webhooks.map(|webhook| (webhook.name, webhook.client_config));
                WebhookConfiguration::of(WebhookConfigurationKind::Validating, &configuration, webhooks)
            })
        })
    }

    /// Watches a MutatingWebhookConfiguration; `None` while it does not exist.
    pub fn watch_mutating(
        &self,
        name: &str,
    ) -> impl Stream<Item = Option<WebhookConfiguration>> + Send + use<> {
        let api = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        log_watch_errors("MutatingWebhookConfiguration", watch_object(api, name)).map(|configuration| {
            configuration.map(|configuration| {
                let webhooks = configuration.webhooks.clone().unwrap_or_default().into_iter();
                let webhooks = webhooks.map(|webhook| (webhook.name, webhook.client_config));
                WebhookConfiguration::of(WebhookConfigurationKind::Mutating, &configuration, webhooks)
            })
        })
    }

    /// Sets the `caBundle` of all webhooks of a configuration, and nothing else.
    ///
    /// # Errors
    /// The configuration has changed or no longer exists, or the API server does not answer.
    pub async fn update_ca_bundle(
        &self,
        configuration: &WebhookConfiguration,
        authorities: &str,
    ) -> Result<(), WriteError> {
        const WHAT: &str = "writing caBundle";
        let bundle = json!(ByteString(authorities.as_bytes().to_vec()));
        let operations = configuration.webhooks.iter().enumerate().flat_map(|(index, (name, _))| {
            [
                json!({"op": "test", "path": format!("/webhooks/{index}/name"), "value": name}),
                json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle}),
            ]
        });
        let patch: Patch<Value> = json_patch(operations.collect());
        let url = match configuration.kind {
            WebhookConfigurationKind::Validating => ValidatingWebhookConfiguration::url_path(&(), None),
            WebhookConfigurationKind::Mutating => MutatingWebhookConfiguration::url_path(&(), None),
        };
        let request = Request::new(url).patch(&configuration.name, &PatchParams::default(), &patch);
        let request = request.map_err(|error| failed(WHAT)(kube::Error::BuildRequest(error)))?;
        in_time(self.client.request::<IgnoredAny>(request)).await.map(drop).map_err(failed(WHAT))
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
