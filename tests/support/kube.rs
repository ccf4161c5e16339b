//! Kubernetes, as its administrator or as another user.

use std::fmt;
use std::path::Path;

use ::kube::api::{DeleteParams, Patch, PatchParams};
use ::kube::config::{KubeConfigOptions, Kubeconfig};
use ::kube::core::Request;
use ::kube::{Client, Config, Error, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A client. It belongs to the runtime, so each test has its own.
#[derive(Clone)]
pub(crate) struct KubeClient {
    client: Client,
}

/// The path of an object: of the collection of its kind, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    collection: String,
    namespace: Option<String>,
    name: String,
}

impl ObjectPath {
    /// The path of an object by its manifest. Its kind has a regular plural.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").expect("apiVersion");
        let plural = format!("{}s", text("/kind").expect("kind").to_lowercase());
        let root = if version.contains('/') { "apis" } else { "api" };
        let namespace = text("/metadata/namespace");
        Self::new(&format!("/{root}/{version}"), namespace, &plural, text("/metadata/name").expect("a name"))
    }

    /// The path of an object of a kind.
    pub(crate) fn of_kind<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> Self {
        let version = K::api_version(&());
        let root = if version.contains('/') { "apis" } else { "api" };
        Self::new(&format!("/{root}/{version}"), namespace, &K::plural(&()), name)
    }

    fn new(version: &str, namespace: Option<&str>, plural: &str, name: &str) -> Self {
        let folder = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        Self {
            collection: format!("{version}{folder}/{plural}"),
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
        }
    }

    /// The name of the object.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of the object, if it has one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The URL of the object, with a query such as `?dryRun=All`.
    pub(crate) fn url(&self, query: &str) -> String {
        format!("{}/{}{query}", self.collection, self.name)
    }

    /// The URL of the collection, with a query such as `?dryRun=All`.
    pub(crate) fn collection_url(&self, query: &str) -> String {
        format!("{}{query}", self.collection)
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.url(""))
    }
}

/// An Event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The name of the object that it is about.
    pub(crate) regarding: String,
    /// The reason of the Event.
    pub(crate) reason: String,
    /// The description of what happened.
    pub(crate) note: String,
}

impl KubeClient {
    /// Connects with a kubeconfig.
    pub(crate) async fn connect(kubeconfig: &Path) -> Self {
        Self::with_config(config(kubeconfig).await)
    }

    fn with_config(config: Config) -> Self {
        Self { client: Client::try_from(config).expect("a client") }
    }

    /// Connects with the kubeconfig of an administrator and impersonates another user.
    pub(crate) async fn as_user(kubeconfig: &Path, name: &str, groups: &[String]) -> Self {
        let mut config = config(kubeconfig).await;
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups = Some(groups.to_vec());
        Self::with_config(config)
    }

    /// Connects as a client that does not retry, as kubectl; the others retry an answer 503 for more than a minute.
    pub(crate) async fn without_retries(kubeconfig: &Path) -> Self {
        let mut config = config(kubeconfig).await;
        config.default_retry = false;
        Self::with_config(config)
    }

    /// The client of kube-rs.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Server-side apply, as a GitOps tool does it: fields of an earlier call that this one leaves out are removed.
    pub(crate) async fn try_apply(&self, object: &Value) -> Result<Value, Error> {
        self.try_apply_with(object, &PatchParams::apply("tests").force()).await
    }

    /// As [`KubeClient::try_apply`] with other parameters.
    pub(crate) async fn try_apply_with(
        &self,
        object: &Value,
        parameters: &PatchParams,
    ) -> Result<Value, Error> {
        self.try_patch(&ObjectPath::of(object), parameters, &Patch::Apply(object)).await
    }

    /// As [`KubeClient::try_apply`], for an object that is accepted.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        self.try_apply(object).await.unwrap_or_else(|error| panic!("applying {object}: {error}"))
    }

    /// Changes some fields of an object (RFC 7396).
    pub(crate) async fn try_merge(&self, path: &ObjectPath, patch: &Value) -> Result<Value, Error> {
        self.try_patch(path, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// As [`KubeClient::try_merge`], for a patch that is accepted.
    pub(crate) async fn merge(&self, path: &ObjectPath, patch: &Value) -> Value {
        let result = self.try_merge(path, patch).await;
        result.unwrap_or_else(|error| panic!("patching {path} with {patch}: {error}"))
    }

    /// Changes some fields of the status of an object (RFC 7396).
    pub(crate) async fn merge_status(&self, path: &ObjectPath, patch: &Value) -> Value {
        let parameters = PatchParams::default();
        let patch = Patch::Merge(patch);
        let request =
            Request::new(&path.collection).patch_subresource("status", &path.name, &parameters, &patch);
        let result = self.client.request(request.expect("a request")).await;
        result.unwrap_or_else(|error| panic!("patching the status of {path}: {error}"))
    }

    /// Patches an object.
    pub(crate) async fn try_patch(
        &self,
        path: &ObjectPath,
        parameters: &PatchParams,
        patch: &Patch<&Value>,
    ) -> Result<Value, Error> {
        let request = Request::new(&path.collection).patch(&path.name, parameters, patch);
        self.client.request(request.map_err(Error::BuildRequest)?).await
    }

    /// An object as it is now, if it exists.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &ObjectPath) -> Option<T> {
        self.try_get(path).await.unwrap_or_else(|error| panic!("reading {path}: {error}"))
    }

    /// As [`KubeClient::get`], from an API server that may not answer.
    pub(crate) async fn try_get<T: DeserializeOwned>(&self, path: &ObjectPath) -> Result<Option<T>, Error> {
        let request = Request::new(&path.collection).get(&path.name, &Default::default());
        match self.client.request(request.map_err(Error::BuildRequest)?).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes an object, which may not exist.
    pub(crate) async fn delete(&self, path: &ObjectPath) {
        let request = Request::new(&path.collection).delete(&path.name, &DeleteParams::default());
        match self.client.request::<Value>(request.expect("a request")).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("deleting {path}: {error}"),
        }
    }

    /// The Events of a namespace.
    pub(crate) async fn events(&self, namespace: &str) -> Vec<Event> {
        let url = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let request = Request::new(url).list(&Default::default()).expect("a request");
        let all: Value = self.client.request(request).await.expect("the API server answers");
        let text = |event: &Value, pointer| {
            event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let event = |event: &Value| Event {
            regarding: text(event, "/regarding/name"),
            reason: text(event, "/reason"),
            note: text(event, "/note"),
        };
        all["items"].as_array().expect("a list").iter().map(event).collect()
    }
}

async fn config(kubeconfig: &Path) -> Config {
    // An error means that another test of this program was first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    config.expect("a usable kubeconfig")
}
