//! Whether a request to the API server sets the author itself, or leaves what another request has set.
//!
//! The annotation stays in the object after its change. If its next change were attributed to the author of an earlier one,
//! anybody could name an author for a change that automation applies afterwards.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use serde_json::Value;

use crate::api::{AUTHORED_BY, REQUEST};

/// Who has set the annotation [`AUTHORED_BY`] of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorSource {
    /// The request: it creates or replaces the object, changes the annotation, or applies a manifest with it.
    Request,
    /// The last client-side apply. A request that repeats it leaves out what has not changed, so this may be one; another
    /// program's request looks the same.
    LastApplied,
    /// An earlier request.
    Earlier,
}

/// Determines who has set the annotation of `new`, which has one. `old` is the object before the request, and
/// `field_manager` the manager that the request names.
#[must_use]
pub fn author_source<K: kube::Resource>(
    old: Option<&K>,
    new: &K,
    field_manager: Option<&str>,
) -> AuthorSource {
    let Some(old) = old else { return AuthorSource::Request };
    let has = |resource: &K, key: &str| resource.annotations().contains_key(key);
    // A replaced object has lost the webhook's annotation, which every patch leaves in place.
    let is_replaced = has(old, REQUEST) && !has(new, REQUEST);
    let is_changed = |key: &str| old.annotations().get(key) != new.annotations().get(key);
    if is_changed(AUTHORED_BY) || is_replaced {
        return AuthorSource::Request;
    }
    let applied = field_manager.and_then(|manager| applied_entry(new, manager));
    if let Some(applied) = applied.filter(|applied| is_server_side_apply(old, new, applied)) {
        return match owns_author(applied) {
            true => AuthorSource::Request,
            false => AuthorSource::Earlier,
        };
    }
    let is_last_applied = last_applied_author(new).as_ref() == new.annotations().get(AUTHORED_BY);
    match applied {
        _ if is_last_applied && is_changed(LAST_APPLIED) => AuthorSource::Request,
        // A manager that also applies server-side leaves the manifest of an earlier client-side apply in place.
        None if is_last_applied => AuthorSource::LastApplied,
        _ => AuthorSource::Earlier,
    }
}

/// The manifest of the last client-side `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The operations of managed fields.
const APPLY: &str = "Apply";
const UPDATE: &str = "Update";

/// The entry of a manager that applies server-side. Such a request rewrites it to exactly the fields that it applies.
fn applied_entry<'a>(resource: &'a impl kube::Resource, manager: &str) -> Option<&'a ManagedFieldsEntry> {
    entries_of(resource, APPLY).find(|entry| entry.manager.as_deref() == Some(manager))
}

/// The entries of an object itself, without those of its status.
fn entries_of<'a>(
    resource: &'a impl kube::Resource,
    operation: &'static str,
) -> impl Iterator<Item = &'a ManagedFieldsEntry> {
    let is_of = move |entry: &&ManagedFieldsEntry| {
        entry.operation.as_deref() == Some(operation)
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    };
    resource.managed_fields().iter().filter(is_of)
}

/// Whether the request is a server-side apply by the manager of this entry.
///
/// Any user may write entries into an object, so it does not suffice that one exists. A request that changes something sets
/// the time of its entry, in seconds: of this one if it is an apply, otherwise of one with the operation `Update`.
fn is_server_side_apply<K: kube::Resource>(old: &K, new: &K, applied: &ManagedFieldsEntry) -> bool {
    let is_old = |operation: &'static str, entry: &ManagedFieldsEntry| {
        entries_of(old, operation).any(|old| old.manager == entry.manager && old.time == entry.time)
    };
    !is_old(APPLY, applied) || entries_of(new, UPDATE).all(|entry| is_old(UPDATE, entry))
}

/// Whether the applied fields include the annotation.
fn owns_author(applied: &ManagedFieldsEntry) -> bool {
    let fields = applied.fields_v1.as_ref().map(|fields| &fields.0);
    fields
        .is_some_and(|fields| fields["f:metadata"]["f:annotations"].get(format!("f:{AUTHORED_BY}")).is_some())
}

/// The author in the manifest of the last client-side apply.
fn last_applied_author(resource: &impl kube::Resource) -> Option<String> {
    let manifest: Value = serde_json::from_str(resource.annotations().get(LAST_APPLIED)?).ok()?;
    manifest["metadata"]["annotations"][AUTHORED_BY].as_str().map(String::from)
}

#[cfg(test)]
mod tests;
