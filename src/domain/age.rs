//! The age of resources, which decides conflicts: the older resource wins.

use jiff::Timestamp;
use kube::ResourceExt;

/// Sort key by age: the creation time, which Kubernetes rounds to seconds, then the uid, which no user can choose. A
/// resource that is not stored yet is the youngest.
#[must_use]
pub fn age(resource: &impl kube::Resource) -> (Timestamp, String) {
    let created = resource.meta().creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
    (created, resource.uid().unwrap_or_default())
}
