//! What the API server asks: the AdmissionReview of `admission.k8s.io/v1`.
//!
//! Resources stay text until it is known what they are: a schema takes ten times its size once it
//! is a tree of values, and reviews come in numbers.

use std::collections::BTreeMap;
use std::fmt;

use kube::core::TypeMeta;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::approval::request::Asker;
use crate::kubernetes::UserInfo;

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
    /// How it was asked for.
    options: Option<Options>,
}

/// How something was asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    /// What the program calls itself that asks.
    field_manager: Option<String>,
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
    pub(super) fn somebody(&self) -> UserInfo<'_> {
        let Self { username, uid, groups, extra } = self;
        UserInfo { username, uid: uid.as_deref(), groups: groups.into(), extra }
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

    /// The resource as it is stored, as far as records may tell it; none if it is to be made.
    pub(super) fn before(&self) -> Option<Value> {
        self.old_object.and_then(told)
    }

    /// The resource as it would be, as far as records may tell it; none if it is to be deleted.
    pub(super) fn after(&self) -> Option<Value> {
        self.object.and_then(told)
    }

    /// How many bytes both have.
    pub(super) fn size(&self) -> usize {
        [self.object, self.old_object].into_iter().flatten().map(|text| text.get().len()).sum()
    }

    /// What the program calls itself that asks, if it does.
    pub(super) fn field_manager(&self) -> Option<&str> {
        self.options.as_ref()?.field_manager.as_deref().filter(|name| !name.is_empty())
    }
}

/// A resource as a tree of values, without what is large and no record tells: its status, and who manages which field.
fn told(text: &RawValue) -> Option<Value> {
    let mut parser = serde_json::Deserializer::from_str(text.get());
    Without(&["status"]).deserialize(&mut parser).ok()
}

/// An object without some fields.
#[derive(Clone, Copy)]
struct Without(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Value, D::Error> {
        parser.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if self.0.contains(&key.as_str()) {
                entries.next_value::<IgnoredAny>()?;
            } else if key == "metadata" {
                object.insert(key, entries.next_value_seed(Without(&["managedFields"]))?);
            } else {
                object.insert(key, entries.next_value()?);
            }
        }
        Ok(Value::Object(object))
    }
}

/// What is wrong with a text is told by its words alone: where it stands in it means nothing to whoever
/// wrote YAML.
fn read<K: DeserializeOwned>(text: &RawValue) -> Result<K, serde_json::Error> {
    serde_json::from_str(text.get())
        .or_else(|_| serde_json::from_str(text.get()).and_then(serde_json::from_value::<K>))
}
