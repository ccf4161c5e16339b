//! Who requested the spec of a resource.
//!
//! At each change that may need approval, the webhook writes the request, with its seal, into an annotation. A change
//! on top of a pending one has the requesters of both: otherwise users could approve their own change after another
//! person edited it slightly.

use eventcenter_sdk::Reason;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::author::Author;
use super::authorship::{AuthorSource, author_source};
use super::claims::{BreakGlass, RequestClaims};
use super::{Rules, SpecHash, Statement, person};
use crate::api::{AUTHORED_BY, BREAK_GLASS, REQUEST};
use crate::domain::signature::{PublicKeys, SigningKey};
use crate::domain::{ObjectRef, Refusal, Revisioned};

/// Maximum number of requesters and authors of one pending change.
const MAX_PEOPLE: usize = 32;

/// Maximum difference between the clocks of webhook and API server when a resource is created.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// A sealed request, as the annotation [`REQUEST`] has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// What the webhook asserts.
    #[serde(flatten)]
    pub claims: RequestClaims,
    /// The webhook's seal over it.
    pub seal: String,
}

/// The user who sends a request to the API server.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The user name in Kubernetes.
    pub username: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
}

impl ChangeRequest {
    /// The request that a resource carries, if the webhook sealed it for this resource, generation and spec.
    #[must_use]
    pub fn verified(
        resource: &impl kube::Resource,
        subject: &Revisioned,
        hash: &SpecHash,
        keys: &PublicKeys,
    ) -> Option<Self> {
        let request = Self::authentic(resource, subject, keys)?;
        let claims = &request.claims;
        let is_this_generation = match &claims.uid {
            // The generation may have been incremented after admission. Restoring the same spec later increments it
            // at least twice.
            Some(_) => (0..=1).contains(&(subject.generation - claims.generation)),
            None => subject.generation <= 1,
        };
        (is_this_generation && claims.hash == hash.as_str()).then_some(request)
    }

    /// The request that a resource carries, if the webhook sealed it for this resource, for any spec: its requesters
    /// are also requesters of the currently pending change.
    #[must_use]
    pub fn authentic(
        resource: &impl kube::Resource,
        subject: &Revisioned,
        keys: &PublicKeys,
    ) -> Option<Self> {
        let request = Self::parse(resource)?;
        let claims = &request.claims;
        let is_this_resource = match &claims.uid {
            Some(uid) => subject.uid.as_ref() == Some(uid),
            // Sealed before the resource had a uid: it is about this resource only if that was created at the same
            // time.
            None => is_created_at(subject.created, claims.at),
        };
        (is_this_resource && keys.verify(&statement(&subject.object, claims), &request.seal))
            .then_some(request)
    }

    /// The request of a user to delete a resource. It has no seal itself: a
    /// [`DeletionRequest`](super::DeletionRequest) attributes it to the user.
    #[must_use]
    pub fn for_deletion(subject: &Revisioned, hash: &SpecHash, by: &str, at: Timestamp) -> Self {
        let claims = RequestClaims {
            hash: hash.to_string(),
            uid: subject.uid.clone(),
            generation: subject.generation,
            requesters: vec![by.to_owned()],
            authors: Vec::new(),
            at,
            break_glass: None,
        };
        Self { claims, seal: String::new() }
    }

    /// The request that a resource carries, not verified.
    #[must_use]
    pub fn parse(resource: &impl kube::Resource) -> Option<Self> {
        serde_json::from_str(resource.annotations().get(REQUEST)?).ok()
    }

    /// The value of the annotation.
    ///
    /// # Panics
    /// Never: a request is JSON.
    #[must_use]
    pub fn to_annotation(&self) -> String {
        serde_json::to_string(self).expect("a request is JSON")
    }

    /// Its requesters and authors, who may not approve it.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.claims.requesters.iter().chain(&self.claims.authors).map(String::as_str)
    }

    /// Whether an approver is certainly another person than every requester and author. Service accounts of one namespace
    /// count as one.
    #[must_use]
    pub fn is_independent_of(&self, approver: &str, rules: &Rules) -> bool {
        let identities = rules.identities();
        let is_requester = |requester: &String| {
            let namespaces =
                person::service_account_namespace(approver).zip(person::service_account_namespace(requester));
            namespaces.is_some_and(|(one, other)| one == other) || identities.may_be_same(approver, requester)
        };
        // Earlier versions sealed lists of authors.
        let is_author = |authors: &String| {
            authors.split([',', ';']).any(|author| identities.may_be_same(approver, author))
        };
        !self.claims.requesters.iter().any(is_requester) && !self.claims.authors.iter().any(is_author)
    }
}

/// Whether something sealed at one time can be about a resource created at another, within [`MAX_CLOCK_SKEW`]. `None`: the
/// resource is being created.
pub(super) fn is_created_at(created: Option<Timestamp>, sealed: Timestamp) -> bool {
    created.is_none_or(|created| sealed.duration_since(created).abs() <= MAX_CLOCK_SKEW)
}

fn statement<'a>(object: &'a ObjectRef, claims: &'a RequestClaims) -> Statement<'a> {
    let ObjectRef { kind, namespace, name } = object;
    Statement::Request { kind, namespace, name, request: claims }
}

/// The facts of a request for a spec.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The resource as it will be.
    pub subject: &'a Revisioned,
    /// The requested spec.
    pub hash: &'a SpecHash,
    /// The requester.
    pub requester: Requester<'a>,
    /// The field manager that the request names, if it does.
    pub field_manager: Option<&'a str>,
    /// The rules of the tenant.
    pub rules: &'a Rules,
    /// Whether the spec is the active one, so that the request withdraws the pending change.
    pub is_withdrawal: bool,
    /// The previous request, if its spec is not active.
    pub pending: Option<&'a ChangeRequest>,
    /// The time of the request.
    pub now: Timestamp,
}

/// Creates and seals a request.
///
/// # Errors
/// Automation that does not name the author itself, an author who is not exactly one person, or more than 32 requesters and
/// authors of a change that is not withdrawn.
pub fn seal_request<K: kube::Resource>(
    context: &RequestContext<'_>,
    old: Option<&K>,
    new: &K,
    key: &SigningKey,
) -> Result<ChangeRequest, Refusal> {
    let RequestContext { subject, hash, requester, rules, pending, now, .. } = *context;
    let author = author(context, old, new)?;
    // An unchanged reason belongs to an earlier change.
    let reason = annotation(new, BREAK_GLASS)
        .filter(|reason| old.and_then(|old| annotation(old, BREAK_GLASS)).as_ref() != Some(reason));
    let break_glass = reason.filter(|_| rules.may_break_glass(requester.groups)).map(|reason| BreakGlass {
        by: requester.username.to_owned(),
        groups: rules.relevant_groups(requester.groups),
        reason,
    });
    let before = pending.map(|request| &request.claims);
    let requesters = add_name(before.map(|before| &before.requesters), Some(requester.username));
    let author = author.map(|author| author.to_string());
    let authors = add_name(before.map(|before| &before.authors), author.as_deref());
    if requesters.len() + authors.len() > MAX_PEOPLE && !context.is_withdrawal {
        return Err(Refusal::at(
            Reason::ApprovalNotAllowed,
            "spec",
            format!(
                "more than {MAX_PEOPLE} people have changed the spec since it was last approved: withdraw the change (eventctl withdraw) and start again"
            ),
        ));
    }
    let claims = RequestClaims {
        hash: hash.to_string(),
        uid: subject.uid.clone(),
        generation: subject.generation,
        requesters,
        authors,
        at: now,
        break_glass,
    };
    let seal = key.seal(&statement(&subject.object, &claims));
    Ok(ChangeRequest { claims, seal })
}

/// The author whom a request names itself.
///
/// Automation has to name one. A person who changes an object does not answer for the author whom an earlier request has named.
fn author<K: kube::Resource>(
    context: &RequestContext<'_>,
    old: Option<&K>,
    new: &K,
) -> Result<Option<Author>, Refusal> {
    let RequestContext { requester, field_manager, rules, .. } = *context;
    let source = author_source(old, new, field_manager);
    match (annotation(new, AUTHORED_BY), rules.is_automation(requester.username), source) {
        (Some(text), _, AuthorSource::Request) | (Some(text), true, AuthorSource::LastApplied) => {
            parse_author(&text, rules).map(Some)
        }
        (_, false, _) => Ok(None),
        (Some(text), true, AuthorSource::Earlier) => Err(refuse_author(format!(
            "somebody else set this author ({text:?}), and {} applies a manifest without one: have the pipeline set the \
             annotation in the manifest, from the commit",
            requester.username
        ))),
        (None, true, _) => Err(refuse_author(format!(
            "{} applies changes written by others and must name the author: have the pipeline set the annotation from the commit",
            requester.username
        ))),
    }
}

/// Parses the text of the annotation.
///
/// # Errors
/// It does not name exactly one person.
pub(super) fn parse_author(text: &str, rules: &Rules) -> Result<Author, Refusal> {
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    Author::parse(text, rules)
        .map_err(|error| refuse_author(format!("{shown:?} does not name exactly one person: {error}")))
}

/// Maximum number of characters of an author in a message.
const MAX_SHOWN: usize = 120;

fn refuse_author(message: String) -> Refusal {
    Refusal::at(Reason::ApprovalNotAllowed, format!("metadata.annotations[{AUTHORED_BY}]"), message)
}

/// The text of an annotation; `None` if there is none or it is blank.
pub(super) fn annotation(resource: &impl kube::Resource, key: &str) -> Option<String> {
    let text = resource.annotations().get(key)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn add_name(before: Option<&Vec<String>>, new: Option<&str>) -> Vec<String> {
    let mut names = before.cloned().unwrap_or_default();
    names.extend(new.filter(|new| !names.iter().any(|name| name == new)).map(String::from));
    names
}

#[cfg(test)]
mod tests;
