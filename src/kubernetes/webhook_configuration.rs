//! The webhook configurations: whom the API server trusts, and the path at which it calls the webhook.

use std::fmt;

use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::KubeClient;
use super::certificate::log_watch_errors;
use super::timeout::in_time;
use super::write::{WriteError, failed, json_patch};

/// The kind of a webhook configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WebhookConfigurationKind {
    /// A ValidatingWebhookConfiguration.
    Validating,
    /// A MutatingWebhookConfiguration.
    Mutating,
}

/// A webhook configuration as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Its kind.
    pub kind: WebhookConfigurationKind,
    /// Its name.
    pub name: String,
    /// Its version.
    pub resource_version: String,
    /// The webhooks in it.
    pub webhooks: Vec<WebhookClient>,
}

/// How the API server connects to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookClient {
    /// The name of the webhook.
    pub name: String,
    /// The trusted certificate authorities (PEM, `caBundle`); empty if there are none.
    pub authorities: Vec<u8>,
    /// Where the API server calls it.
    pub endpoint: WebhookEndpoint,
}

/// Where the API server calls a webhook. `Debug` does not show the path, which may be secret.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookEndpoint {
    /// A Service.
    Service {
        /// The path; empty if there is none.
        path: String,
    },
    /// A URL.
    Url {
        /// Scheme, host and port.
        origin: String,
        /// The path; empty if there is none.
        path: String,
    },
}

impl fmt::Debug for WebhookEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { .. } => f.write_str("Service(hidden)"),
            Self::Url { origin, .. } => write!(f, "Url({origin}, hidden)"),
        }
    }
}

impl WebhookEndpoint {
    fn of(client: &WebhookClientConfig) -> Self {
        match &client.url {
            Some(url) => {
                let host = url.find("://").map_or(0, |scheme| scheme + "://".len());
                let start = url[host..].find('/').map_or(url.len(), |slash| host + slash);
                let (origin, path) = url.split_at(start);
                Self::Url { origin: origin.to_owned(), path: path.to_owned() }
            }
            None => {
                let service = client.service.as_ref();
                let path = service.and_then(|service| service.path.clone()).unwrap_or_default();
                Self::Service { path }
            }
        }
    }

    /// The path; empty if there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Service { path } | Self::Url { path, .. } => path,
        }
    }

    /// The field of `clientConfig` that contains the path, and its value with another path.
    fn with_path(&self, path: &str) -> (&'static str, String) {
        match self {
            Self::Service { .. } => ("service/path", path.to_owned()),
            Self::Url { origin, .. } => ("url", format!("{origin}{path}")),
        }
    }
}

/// A configuration of either kind, as the API server encodes it.
trait EncodedConfiguration: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned {
    const KIND: WebhookConfigurationKind;

    fn clients(&self) -> Vec<(String, WebhookClientConfig)>;
}

impl EncodedConfiguration for ValidatingWebhookConfiguration {
    const KIND: WebhookConfigurationKind = WebhookConfigurationKind::Validating;

    fn clients(&self) -> Vec<(String, WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
    }
}

impl EncodedConfiguration for MutatingWebhookConfiguration {
    const KIND: WebhookConfigurationKind = WebhookConfigurationKind::Mutating;

    fn clients(&self) -> Vec<(String, WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.name.clone(), webhook.client_config.clone())).collect()
    }
}

fn decode<K: EncodedConfiguration>(configuration: &K) -> WebhookConfiguration {
    let webhooks = configuration.clients().into_iter().map(|(name, client)| WebhookClient {
        name,
        endpoint: WebhookEndpoint::of(&client),
        authorities: client.ca_bundle.unwrap_or_default().0,
    });
    WebhookConfiguration {
        kind: K::KIND,
        name: configuration.name_any(),
        resource_version: configuration.resource_version().unwrap_or_default(),
        webhooks: webhooks.collect(),
    }
}

impl KubeClient {
    /// Watches a ValidatingWebhookConfiguration; `None` while it does not exist.
    pub fn watch_validating(
        &self,
        name: &str,
    ) -> impl Stream<Item = Option<WebhookConfiguration>> + Send + use<> {
        let api = Api::<ValidatingWebhookConfiguration>::all(self.client.clone());
        log_watch_errors("ValidatingWebhookConfiguration", watch_object(api, name))
            .map(|configuration| configuration.as_ref().map(decode))
    }

    /// Watches a MutatingWebhookConfiguration; `None` while it does not exist.
    pub fn watch_mutating(
        &self,
        name: &str,
    ) -> impl Stream<Item = Option<WebhookConfiguration>> + Send + use<> {
        let api = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        log_watch_errors("MutatingWebhookConfiguration", watch_object(api, name))
            .map(|configuration| configuration.as_ref().map(decode))
    }

    /// Reads a webhook configuration; `None` if it does not exist.
    ///
    /// # Errors
    /// The API server does not answer, or forbids it.
    pub async fn get_webhook_configuration(
        &self,
        kind: WebhookConfigurationKind,
        name: &str,
    ) -> Result<Option<WebhookConfiguration>, WriteError> {
        match kind {
            WebhookConfigurationKind::Validating => {
                self.get_encoded::<ValidatingWebhookConfiguration>(name).await
            }
            WebhookConfigurationKind::Mutating => {
                self.get_encoded::<MutatingWebhookConfiguration>(name).await
            }
        }
    }

    async fn get_encoded<K: EncodedConfiguration>(
        &self,
        name: &str,
    ) -> Result<Option<WebhookConfiguration>, WriteError> {
        let api = Api::<K>::all(self.client.clone());
        let configuration = in_time(api.get_opt(name)).await;
        Ok(configuration.map_err(failed("reading the webhook configuration"))?.as_ref().map(decode))
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
        let bundle = json!(ByteString(authorities.as_bytes().to_vec()));
        let operations = configuration.webhooks.iter().enumerate().flat_map(|(index, webhook)| {
            [
                json!({"op": "test", "path": format!("/webhooks/{index}/name"), "value": webhook.name}),
                json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": bundle}),
            ]
        });
        self.patch_configuration("writing caBundle", configuration, operations.collect()).await.map(drop)
    }

    /// Sets the path of all webhooks of a configuration, if it is still the version that was read, and nothing else.
    /// Returns the new version.
    ///
    /// # Errors
    /// The configuration has changed or no longer exists, or the API server does not answer.
    pub async fn update_webhook_path(
        &self,
        configuration: &WebhookConfiguration,
        path: &str,
    ) -> Result<WebhookConfiguration, WriteError> {
        let version = json!({
            "op": "test", "path": "/metadata/resourceVersion", "value": configuration.resource_version,
        });
        let paths = configuration.webhooks.iter().enumerate().map(|(index, webhook)| {
            let (field, value) = webhook.endpoint.with_path(path);
            json!({"op": "add", "path": format!("/webhooks/{index}/clientConfig/{field}"), "value": value})
        });
        let operations = std::iter::once(version).chain(paths).collect();
        self.patch_configuration("writing the webhook's path", configuration, operations).await
    }

    async fn patch_configuration(
        &self,
        what: &'static str,
        configuration: &WebhookConfiguration,
        operations: Value,
    ) -> Result<WebhookConfiguration, WriteError> {
        match configuration.kind {
            WebhookConfigurationKind::Validating => {
                self.patch_encoded::<ValidatingWebhookConfiguration>(what, &configuration.name, operations)
                    .await
            }
            WebhookConfigurationKind::Mutating => {
                self.patch_encoded::<MutatingWebhookConfiguration>(what, &configuration.name, operations)
                    .await
            }
        }
    }

    async fn patch_encoded<K: EncodedConfiguration>(
        &self,
        what: &'static str,
        name: &str,
        operations: Value,
    ) -> Result<WebhookConfiguration, WriteError> {
        let patch: Patch<Value> = json_patch(operations);
        let request = Request::new(K::url_path(&(), None)).patch(name, &PatchParams::default(), &patch);
        let request = request.map_err(|error| failed(what)(kube::Error::BuildRequest(error)))?;
        let written = in_time(self.client.request::<K>(request)).await.map_err(failed(what))?;
        Ok(decode(&written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(client: Value) -> WebhookEndpoint {
        WebhookEndpoint::of(&serde_json::from_value(client).expect("a clientConfig"))
    }

    #[test]
    fn the_path_is_part_of_a_url_or_a_field_of_a_service() {
        for (url, path, written) in [
            ("https://127.0.0.1:1", "", "https://127.0.0.1:1/new"),
            ("https://127.0.0.1:1/", "/", "https://127.0.0.1:1/new"),
            ("https://[::1]:1/validate/x", "/validate/x", "https://[::1]:1/new"),
        ] {
            let endpoint = endpoint(json!({"url": url}));
            assert_eq!(endpoint.path(), path);
            assert_eq!(endpoint.with_path("/new"), ("url", written.to_owned()));
        }
        for (service, path) in [
            (json!({"namespace": "a", "name": "b"}), ""),
            (json!({"namespace": "a", "name": "b", "path": "/x"}), "/x"),
        ] {
            let endpoint = endpoint(json!({"service": service}));
            assert_eq!(endpoint.path(), path);
            assert_eq!(endpoint.with_path("/new"), ("service/path", "/new".to_owned()));
        }
    }

    #[test]
    fn debug_output_has_no_path() {
        for client in [
            json!({"url": "https://a/validate/sesame"}),
            json!({"service": {"namespace": "a", "name": "b", "path": "/sesame"}}),
        ] {
            let shown = format!("{:?}", endpoint(client));
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }
}
