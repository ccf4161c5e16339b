//! What the API server asks: the AdmissionReview of `admission.k8s.io/v1`.
//!
//! Resources stay text until it is known what they are: a schema takes ten times its size once it
//! is a tree of values, and reviews come in numbers.

use std::collections::BTreeMap;

use kube::core::TypeMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::cluster::Somebody;
use crate::domain::approval::request::Asker;

/// A review.
#[derive(Debug, Deserialize)]
pub(super) struct Review<'a> {
    /// Which version of reviews it is.
    #[serde(flatten)]
    pub(super) types: TypeMeta,
    /// The question.
    #[serde(borrow)]
    pub(super) request: Option<Request<'a>>,
}

/// The question.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    /// Names the question, and goes back with the answer.
    pub(super) uid: String,
    /// What the resource is.
    pub(super) kind: Kind,
    /// The resource's namespace; none or empty if it is in none.
    pub(super) namespace: Option<String>,
    /// The resource's name; empty if the API server is to make one.
    #[serde(default)]
    pub(super) name: String,
    /// What is to be done with it.
    pub(super) operation: Operation,
    /// Who asks.
    #[serde(default)]
    pub(super) user_info: User,
    /// As it would be.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    /// As it is stored.
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// What a resource is.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    /// Its API group; empty for Kubernetes' core.
    pub(super) group: String,
    /// The kind.
    pub(super) kind: String,
}

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// Who asks, as the API server knows them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct User {
    /// The name.
    #[serde(default)]
    pub(super) username: String,
    /// The uid, where the authenticator knows one.
    pub(super) uid: Option<String>,
    /// The groups.
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// What else the authenticator says.
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The user as the one who asks for something.
    pub(super) fn asker(&self) -> Asker<'_> {
        Asker { username: &self.username, groups: &self.groups }
    }

    /// The user as the one whose rights are looked up.
    pub(super) fn somebody(&self) -> Somebody<'_> {
        let Self { username, uid, groups, extra } = self;
        Somebody { username, uid: uid.as_deref(), groups, extra }
    }
}

impl Request<'_> {
    /// The resource as it would be; none if it is to be deleted.
    pub(super) fn proposed<K: DeserializeOwned>(&self) -> Option<Result<K, serde_json::Error>> {
        self.object.map(read)
    }

    /// The resource as it is stored; none if it is to be made.
    pub(super) fn stored<K: DeserializeOwned>(&self) -> Option<Result<K, serde_json::Error>> {
        self.old_object.map(read)
    }
}

/// What is wrong with a text is told by its words alone: where it stands in it means nothing to whoever
/// wrote YAML.
fn read<K: DeserializeOwned>(text: &RawValue) -> Result<K, serde_json::Error> {
    serde_json::from_str(text.get())
        .or_else(|_| serde_json::from_str(text.get()).and_then(serde_json::from_value::<K>))
}
