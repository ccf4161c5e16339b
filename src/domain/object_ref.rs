//! References to resources.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kube::ResourceExt;

/// A resource by kind, namespace and name. Many maps have it as their key, so its texts are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The `kind` of the resource, such as `EventTopic`.
    pub kind: Cow<'static, str>,
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
            kind: K::kind(&()),
            namespace: resource.namespace().unwrap_or_default().into(),
            name: resource.name_any().into(),
        }
    }

    /// The reference to a resource of kind `K`.
    #[must_use]
    pub fn new<K: kube::Resource<DynamicType = ()>>(namespace: &str, name: &str) -> Self {
        Self { kind: K::kind(&()), namespace: namespace.into(), name: name.into() }
    }
}

/// `namespace/name`: messages name the kind before it.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
