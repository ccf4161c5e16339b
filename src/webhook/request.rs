//! The AdmissionReview of `admission.k8s.io/v1`.
//!
//! Objects stay text until their type is known: a tree of values takes ten times the size of a schema's text, and many
//! reviews run at once.

use std::collections::BTreeMap;
use std::fmt;

use kube::core::TypeMeta;
use serde::de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::{GROUP, kinds};
use crate::domain::approval::request::Requester;
use crate::kubernetes::UserInfo;

/// An AdmissionReview.
#[derive(Debug, Deserialize)]
struct Review<'a> {
    /// Its version.
    #[serde(flatten)]
    types: TypeMeta,
    /// The request.
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

/// The version and the kind of reviews.
const V1: (&str, &str) = ("admission.k8s.io/v1", "AdmissionReview");

/// A body is not an AdmissionReview of `admission.k8s.io/v1`.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReview {
    /// It is not JSON with the fields of a review.
    #[error("{0}")]
    Malformed(#[from] serde_json::Error),
    /// It has another version or kind.
    #[error("{} {}", .0.api_version, .0.kind)]
    Unsupported(TypeMeta),
    /// It has no request.
    #[error("there is no request")]
    NoRequest,
}

/// An AdmissionRequest.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Identifies the request; the response repeats it.
    pub(super) uid: String,
    /// The type of the object.
    pub(super) kind: GroupKind,
    /// Its namespace; `None` or empty for a cluster-scoped object.
    pub(super) namespace: Option<String>,
    /// Its name; empty if the API server generates it.
    #[serde(default)]
    pub(super) name: String,
    /// The operation.
    pub(super) operation: Operation,
    /// The user who sends the request to the API server.
    #[serde(default)]
    pub(super) user_info: User,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
    /// Whether nothing will be stored.
    #[serde(default)]
    pub(super) dry_run: bool,
    options: Option<Options>,
}

/// The options of the operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    field_manager: Option<String>,
}

/// The type of an object.
#[derive(Debug, Deserialize)]
pub(super) struct GroupKind {
    /// Its API group; empty for the core group.
    pub(super) group: String,
    /// Its kind.
    pub(super) kind: String,
}

impl GroupKind {
    /// The kind, if it belongs to the product.
    pub(super) fn of_product(&self) -> Option<&'static str> {
        kinds().map(|kind| kind.name).find(|name| self.group == GROUP && *name == self.kind)
    }

    /// The kind as a metric label; `other` for a kind that is not reviewed.
    pub(super) fn label(&self) -> &'static str {
        let config_map = (self.group.is_empty() && self.kind == "ConfigMap").then_some("ConfigMap");
        self.of_product().or(config_map).unwrap_or("other")
    }
}

/// An operation on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// The operation as a metric label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Connect => "connect",
        }
    }
}

/// A user, as the API server has authenticated it.
#[derive(Debug, Default, Deserialize)]
pub struct User {
    /// The user name.
    #[serde(default)]
    pub(super) username: String,
    /// The uid, where the authenticator provides one.
    pub(super) uid: Option<String>,
    /// The groups.
    #[serde(default)]
    pub(super) groups: Vec<String>,
    /// Further attributes from the authenticator.
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The user as the requester of a change.
    pub(super) fn requester(&self) -> Requester<'_> {
        Requester { username: &self.username, groups: &self.groups }
    }

    /// The user as the subject of an access review.
    pub(super) fn user_info(&self) -> UserInfo<'_> {
        let Self { username, uid, groups, extra } = self;
        UserInfo { username, uid: uid.as_deref(), groups: groups.into(), extra }
    }
}

/// `KIND NAMESPACE/NAME`, for messages.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.kind)?;
        if let Some(namespace) = self.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl<'a> Request<'a> {
    /// Parses the request in the body of an AdmissionReview. Its objects are not parsed yet.
    ///
    /// # Errors
    /// The body is not a review with a request.
    pub fn parse(body: &'a [u8]) -> Result<Self, InvalidReview> {
        let review: Review<'a> = serde_json::from_slice(body)?;
        if (review.types.api_version.as_str(), review.types.kind.as_str()) != V1 {
            return Err(InvalidReview::Unsupported(review.types));
        }
        review.request.ok_or(InvalidReview::NoRequest)
    }
}

impl Request<'_> {
    /// The new object; `None` for a deletion.
    ///
    /// # Errors
    /// It is not an object of this type.
    pub fn object<K: DeserializeOwned>(&self) -> Option<Result<K, serde_json::Error>> {
        self.object.map(parse)
    }

    /// The stored object; `None` for a creation.
    ///
    /// # Errors
    /// It is not an object of this type.
    pub fn old_object<K: DeserializeOwned>(&self) -> Option<Result<K, serde_json::Error>> {
        self.old_object.map(parse)
    }

    /// The stored object, as far as records contain it; `None` for a creation.
    #[must_use]
    pub fn before(&self) -> Option<Value> {
        self.old_object.and_then(parse_for_record)
    }

    /// The new object, as far as records contain it; `None` for a deletion.
    #[must_use]
    pub fn after(&self) -> Option<Value> {
        self.object.and_then(parse_for_record)
    }

    /// The size of both objects in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        [self.object, self.old_object].into_iter().flatten().map(|text| text.get().len()).sum()
    }

    /// The field manager of the client.
    pub(super) fn field_manager(&self) -> Option<&str> {
        self.options.as_ref()?.field_manager.as_deref().filter(|name| !name.is_empty())
    }
}

/// Parses an object without what is large and no record contains: its status and managed fields.
fn parse_for_record(text: &RawValue) -> Option<Value> {
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

/// Parses an object. An error has no position, which means nothing to the author of a YAML manifest.
fn parse<K: DeserializeOwned>(text: &RawValue) -> Result<K, serde_json::Error> {
    serde_json::from_str(text.get())
        .or_else(|_| serde_json::from_str(text.get()).and_then(serde_json::from_value::<K>))
}
