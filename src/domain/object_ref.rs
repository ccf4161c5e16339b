//! References to resources.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;

use crate::api::Kind;

/// A resource by kind, namespace and name. Many maps have it as their key, so its texts are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a cluster-scoped resource.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// The reference to a resource.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>(resource: &K) -> Self {
        Self {
            kind: Kind::of::<K>(),
            namespace: resource.namespace().unwrap_or_default().into(),
            name: resource.name_any().into(),
        }
    }

    /// The reference to a resource of kind `K`.
    #[must_use]
    pub fn new<K: kube::Resource<DynamicType = ()>>(namespace: &str, name: &str) -> Self {
        Self { kind: Kind::of::<K>(), namespace: namespace.into(), name: name.into() }
    }
}

/// `namespace/name`: messages name the kind before it.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One generation of a resource: what an approval is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revisioned {
    /// The resource.
    pub object: ObjectRef,
    /// Its `metadata.uid`; `None` before the API server has created it.
    pub uid: Option<String>,
    /// Its `metadata.generation`; 0 before the API server has created it.
    pub generation: i64,
    /// Its `metadata.creationTimestamp`; `None` before the API server has created it.
    pub created: Option<Timestamp>,
}

impl Revisioned {
    /// A resource as the API server has it.
    #[must_use]
    pub fn of<K: kube::Resource<DynamicType = ()>>(resource: &K) -> Self {
        Self {
            object: ObjectRef::of(resource),
            uid: resource.uid(),
            generation: resource.meta().generation.unwrap_or_default(),
            created: resource.meta().creation_timestamp.as_ref().map(|time| time.0),
        }
    }

    /// A resource that does not exist yet.
    #[must_use]
    pub fn absent(object: ObjectRef) -> Self {
        Self { object, uid: None, generation: 0, created: None }
    }
}
