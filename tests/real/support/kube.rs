//! Kubernetes as its administrator.

use std::path::Path;

use ::kube::api::{DeleteParams, Patch, PatchParams};
use ::kube::config::{KubeConfigOptions, Kubeconfig};
use ::kube::core::Request;
use ::kube::{Client, Config, Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A client with all rights. It belongs to the runtime, so each test has its own.
#[derive(Clone)]
pub(crate) struct Kube {
    client: Client,
}

/// Where an object is: the folder of its kind, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: String,
    name: String,
}

impl Place {
    /// An object of a kind of ours, or a Secret, Namespace and the like.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").expect("apiVersion");
        let kind = text("/kind").expect("kind").to_lowercase();
        let root = if version.contains('/') { "apis" } else { "api" };
        let namespace = text("/metadata/namespace").map(|ns| format!("/namespaces/{ns}")).unwrap_or_default();
        Self {
            folder: format!("/{root}/{version}{namespace}/{kind}s"),
            name: text("/metadata/name").expect("metadata.name").to_owned(),
        }
    }

    /// A cluster-scoped object of our own group.
    pub(crate) fn ours(kind: &str, name: &str) -> Self {
        Self::of(&json!({"apiVersion": "eventcenter.io/v1alpha1", "kind": kind, "metadata": {"name": name}}))
    }

    /// An EventTopic.
    pub(crate) fn topic(namespace: &str, name: &str) -> Self {
        Self {
            folder: format!("/apis/eventcenter.io/v1alpha1/namespaces/{namespace}/eventtopics"),
            name: name.to_owned(),
        }
    }
}

impl Place {
    /// The path of the object.
    pub(crate) fn url(&self, query: &str) -> String {
        format!("{}/{}{query}", self.folder, self.name)
    }

    /// The path of all objects of its kind.
    pub(crate) fn folder(&self, query: &str) -> String {
        format!("{}{query}", self.folder)
    }
}

impl Kube {
    /// Connects with a kubeconfig.
    pub(crate) async fn connect(kubeconfig: &Path) -> Self {
        // Another test of this program may have been first.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        Self { client: Client::try_from(config.expect("a usable kubeconfig")).expect("a client") }
    }

    /// Connects with a kubeconfig that may impersonate, as somebody else: what Kubernetes' RBAC and admission see is this
    /// user.
    pub(crate) async fn as_user(kubeconfig: &Path, name: &str, groups: &[String]) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let mut config = config.expect("a usable kubeconfig");
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups = Some(groups.to_vec());
        Self { client: Client::try_from(config).expect("a client") }
    }

    /// Connects as one who asks once, as kubectl does: the others ask again for a minute and longer where the answer is 503.
    pub(crate) async fn asking_once(kubeconfig: &Path) -> Self {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        let mut config = config.expect("a usable kubeconfig");
        config.default_retry = false;
        Self { client: Client::try_from(config).expect("a client") }
    }

    /// The client of somebody else.
    pub(crate) fn of(client: Client) -> Self {
        Self { client }
    }

    /// The client itself.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Declares an object the way a GitOps tool does: what this manager declared before and does not now is removed.
    pub(crate) async fn try_apply(&self, object: &Value) -> Result<Value, Error> {
        self.try_apply_with(object, &PatchParams::apply("tests").force()).await
    }

    /// As [`Kube::try_apply`] with other parameters.
    pub(crate) async fn try_apply_with(
        &self,
        object: &Value,
        parameters: &PatchParams,
    ) -> Result<Value, Error> {
        self.try_patch(&Place::of(object), parameters, &Patch::Apply(object)).await
    }

    /// Declares an object that the API server accepts.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        self.try_apply(object).await.unwrap_or_else(|error| panic!("applying {object}: {error}"))
    }

    /// Changes some fields of an object (RFC 7396).
    pub(crate) async fn merge(&self, place: &Place, patch: &Value) -> Value {
        let result = self.try_patch(place, &PatchParams::default(), &Patch::Merge(patch)).await;
        result.unwrap_or_else(|error| panic!("patching {place:?} with {patch}: {error}"))
    }

    /// Patches an object.
    pub(crate) async fn try_patch(
        &self,
        place: &Place,
        parameters: &PatchParams,
        patch: &Patch<&Value>,
    ) -> Result<Value, Error> {
        let request = Request::new(&place.folder).patch(&place.name, parameters, patch);
        self.client.request(request.map_err(Error::BuildRequest)?).await
    }

    /// An object as it is now, if it is there.
    pub(crate) async fn get<T: DeserializeOwned>(&self, place: &Place) -> Option<T> {
        let request = Request::new(&place.folder).get(&place.name, &Default::default()).expect("a request");
        match self.client.request(request).await {
            Ok(object) => Some(object),
            Err(Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("reading {place:?}: {error}"),
        }
    }

    /// Asks for an object to be deleted. That it is gone already is no error.
    pub(crate) async fn delete(&self, place: &Place) {
        let request = Request::new(&place.folder).delete(&place.name, &DeleteParams::default());
        match self.client.request::<Value>(request.expect("a request")).await {
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("deleting {place:?}: {error}"),
        }
    }
}
