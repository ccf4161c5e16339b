//! The annotations that name the requesters of a resource's spec.
//!
//! Only the webhook writes them. It reverts other changes, so that a manifest neither forges nor removes them, however
//! it is applied.

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::governed::Governed;
use super::request::{ChangeRequest, RequestContext, Requester, annotation, parse_author, seal_request};
use super::{ActiveRecord, Rules, SpecHash};
use crate::api::{AUTHORED_BY, BREAK_GLASS, Kind, REQUEST, REQUESTED_BY};
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::{ObjectRef, Refusal, Revisioned};

/// The annotations that only the webhook writes. `None`: the annotation is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestAnnotations {
    /// [`REQUESTED_BY`], for people.
    pub requested_by: Option<String>,
    /// [`REQUEST`], sealed.
    pub request: Option<String>,
}

impl RequestAnnotations {
    /// The annotations that a resource carries, not verified.
    #[must_use]
    pub fn of(resource: &impl kube::Resource) -> Self {
        let annotation = |key| resource.annotations().get(key).cloned();
        Self { requested_by: annotation(REQUESTED_BY), request: annotation(REQUEST) }
    }

    /// Keys and values.
    #[must_use]
    pub fn entries(&self) -> [(&'static str, Option<&str>); 2] {
        [(REQUESTED_BY, self.requested_by.as_deref()), (REQUEST, self.request.as_deref())]
    }
}

/// Who changes a resource, and the keys that seal and verify.
#[derive(Clone, Copy, Debug)]
pub struct AnnotationContext<'a> {
    /// The requester.
    pub requester: Requester<'a>,
    /// The field manager that the request names, if it does.
    pub field_manager: Option<&'a str>,
    /// The rules of the tenant.
    pub rules: &'a Rules,
    /// The webhook's own key.
    pub key: &'a SigningKey,
    /// The keys that requests are verified with.
    pub webhook: &'a PublicKeys,
    /// The keys that active records are verified with.
    pub controllers: &'a PublicKeys,
    /// The time of the change.
    pub now: Timestamp,
}

/// The annotations that a resource of this namespace must carry after a change.
///
/// # Errors
/// As [`seal_request`]; an author who is named and is not exactly one person; and a new resource without a name, because a
/// request is about one resource.
pub fn request_annotations<K: Governed>(
    namespace: &str,
    old: Option<&K>,
    new: &K,
    context: &AnnotationContext<'_>,
) -> Result<RequestAnnotations, Refusal> {
    let current = old.map(RequestAnnotations::of).unwrap_or_default();
    if !context.rules.govern(&Kind::of::<K>()) || !old.is_none_or(|old| is_request(old, new)) {
        return Ok(current);
    }
    if let Some(author) = old.and_then(|old| named_author(old, new)) {
        parse_author(&author, context.rules)?;
    }
    // Uid and generation of a new resource are not trusted.
    let subject = match old {
        Some(old) => Revisioned::of(old),
        None => {
            let name = new.meta().name.as_deref().filter(|name| !name.is_empty()).ok_or_else(unnamed)?;
            Revisioned::absent(ObjectRef::new::<K>(namespace, name))
        }
    };
    let hash = SpecHash::of(new.spec());
    if old.is_some_and(|old| is_requested(old, new, &subject, &hash, context.webhook)) {
        return Ok(current);
    }
    // The requesters of a pending change are also requesters of the change that replaces it.
    let active = old.and_then(|old| ActiveRecord::verified(old, context.controllers));
    let pending = old
        .filter(|old| !active.as_ref().is_some_and(|active| active.is_of(&SpecHash::of(old.spec()))))
        .and_then(|old| ChangeRequest::authentic(old, &subject, context.webhook));
    let request = RequestContext {
        subject: &subject,
        hash: &hash,
        requester: context.requester,
        field_manager: context.field_manager,
        rules: context.rules,
        is_withdrawal: active.is_some_and(|active| active.is_of(&hash)),
        pending: pending.as_ref(),
        now: context.now,
    };
    let request = seal_request(&request, old, new, context.key)?;
    Ok(RequestAnnotations {
        requested_by: Some(request.claims.to_string()),
        request: Some(request.to_annotation()),
    })
}

/// Whether an update requests the spec. Programs often write labels, finalizers, owners and other annotations; they
/// must not become the requester of a change whose requester is unknown. Its requester is the user who names its
/// author.
fn is_request<K: Governed>(old: &K, new: &K) -> bool {
    old.spec() != new.spec() || differs(old, new, BREAK_GLASS) || named_author(old, new).is_some()
}

/// The author whom an update names, if it is another one.
fn named_author<K: Governed>(old: &K, new: &K) -> Option<String> {
    annotation(new, AUTHORED_BY).filter(|_| differs(old, new, AUTHORED_BY))
}

/// Whether the requesters of a spec that an update leaves as it is are known. Then the author of another change, whom
/// `commonAnnotations` names in every resource, is no author of this one.
fn is_requested<K: Governed>(
    old: &K,
    new: &K,
    subject: &Revisioned,
    hash: &SpecHash,
    keys: &PublicKeys,
) -> bool {
    old.spec() == new.spec()
        && !differs(old, new, BREAK_GLASS)
        && ChangeRequest::verified(old, subject, hash, keys).is_some()
}

fn differs(old: &impl kube::Resource, new: &impl kube::Resource, key: &str) -> bool {
    old.annotations().get(key) != new.annotations().get(key)
}

fn unnamed() -> Refusal {
    Refusal::at(
        Reason::InvalidResource,
        "metadata.generateName",
        "the request of a governed change is sealed for one resource and needs its name: write metadata.name",
    )
}

#[cfg(test)]
mod tests;
