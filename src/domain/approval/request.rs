//! Who asked for what a resource declares.
//!
//! The webhook writes it into the annotations at each change that could need approval, with its seal. A
//! change on top of one that waits has both for requesters: otherwise somebody could approve what they
//! wrote themselves, after another person corrected a word of it.

use std::fmt;

use eventcenter_sdk::Reason;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::{PublicKeys, Rules, SigningKey, SpecHash, Statement, Subject, person};
use crate::api::{AUTHORED_BY, BREAK_GLASS, REQUEST};
use crate::domain::Refusal;

/// More people than this do not work on one change that waits.
const MOST: usize = 32;

/// How far apart the webhook's clock and the API server's may be when a resource is made.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// What is asserted of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asserted {
    /// The content that is asked for.
    pub hash: String,
    /// The resource's uid; none at its creation, before it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The generation that the resource had then or was to have: a content that comes back later was not asked
    /// for then.
    #[serde(default)]
    pub generation: i64,
    /// Who has asked since the last content that was in force, the first one first.
    pub requesters: Vec<String>,
    /// Who has written what they applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<String>,
    /// When (RFC 3339).
    pub at: Timestamp,
    /// Why it may not wait for approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// Why a change may not wait for approval, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// Who.
    pub by: String,
    /// Those of the user's groups that the rules name.
    pub groups: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A request as it stands in the annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What is asserted.
    #[serde(flatten)]
    pub asserted: Asserted,
    /// The webhook's signature over it.
    pub seal: String,
}

/// Whoever sends a request to the API server.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Kubernetes' name of the user.
    pub username: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
}

impl Request {
    /// The request that a resource carries, if it was sealed for this very resource and content.
    #[must_use]
    pub fn verified(
        resource: &impl kube::Resource,
        subject: &Subject,
        hash: &SpecHash,
        keys: &PublicKeys,
    ) -> Option<Self> {
        let request = Self::authentic(resource, subject, keys)?;
        let asserted = &request.asserted;
        let is_now = match &asserted.uid {
            // Admission runs before the generation is counted up, so it may be one more by now; for the same content to
            // come back takes two.
            Some(_) => (0..=1).contains(&(subject.generation - asserted.generation)),
            None => subject.generation <= 1,
        };
        (is_now && asserted.hash == hash.as_str()).then_some(request)
    }

    /// The request that a resource carries, if it was sealed for this very resource, whatever that declared then:
    /// whoever had a part in it may have one in what waits now.
    #[must_use]
    pub fn authentic(resource: &impl kube::Resource, subject: &Subject, keys: &PublicKeys) -> Option<Self> {
        let request = Self::of(resource)?;
        let asserted = &request.asserted;
        let is_this_one = match &asserted.uid {
            Some(uid) => subject.uid.as_ref() == Some(uid),
            // Sealed when it had no uid yet: it is this one only if it was made then.
            None => is_made_at(subject.created, asserted.at),
        };
        (is_this_one && keys.verify(&statement(subject, asserted), &request.seal)).then_some(request)
    }

    /// A request to delete what a resource declares. Kubernetes lets nobody write into what is deleted, so it is
    /// sealed by nobody and stored nowhere: the webhook makes it for who deletes, the controllers for nobody.
    #[must_use]
    pub fn of_deletion(subject: &Subject, hash: &SpecHash, by: Option<&str>, at: Timestamp) -> Self {
        let asserted = Asserted {
            hash: hash.to_string(),
            uid: subject.uid.clone(),
            generation: subject.generation,
            requesters: by.into_iter().map(String::from).collect(),
            authors: Vec::new(),
            at,
            break_glass: None,
        };
        Self { asserted, seal: String::new() }
    }

    /// The request that a resource carries, whoever wrote it.
    #[must_use]
    pub fn of(resource: &impl kube::Resource) -> Option<Self> {
        serde_json::from_str(resource.annotations().get(REQUEST)?).ok()
    }

    /// The annotation's value.
    ///
    /// # Panics
    /// Never: a request is JSON.
    #[must_use]
    pub fn value(&self) -> String {
        serde_json::to_string(self).expect("a request is JSON")
    }

    /// Who may not approve it: whoever asked for it or wrote it.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.asserted.requesters.iter().chain(&self.asserted.authors).map(String::as_str)
    }
}

/// Whether something sealed then may have been stored then, as far as clocks agree; none: it is being stored.
pub(super) fn is_made_at(created: Option<Timestamp>, sealed: Timestamp) -> bool {
    created.is_none_or(|created| sealed.duration_since(created).abs() <= SKEW)
}

fn statement<'a>(subject: &'a Subject, asserted: &'a Asserted) -> Statement<'a> {
    let Subject { kind, namespace, name, .. } = subject;
    Statement::Request { kind: *kind, namespace, name, request: asserted }
}

/// What is known when somebody asks for a content.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The resource as it will be.
    pub subject: &'a Subject,
    /// The content.
    pub hash: &'a SpecHash,
    /// Who asks.
    pub asker: Asker<'a>,
    /// The tenant's rules.
    pub rules: &'a Rules,
    /// The request before, if what it asked for has not taken effect.
    pub waiting: Option<&'a Request>,
    /// When.
    pub now: Timestamp,
}

/// The request that the webhook seals.
///
/// # Errors
/// An automation that does not say who wrote what it applies, or an annotation that cannot be used.
pub fn request<K: kube::Resource>(
    asked: &Asked<'_>,
    old: Option<&K>,
    new: &K,
    key: &SigningKey,
) -> Result<Request, Refusal> {
    let Asked { subject, hash, asker, rules, waiting, now } = *asked;
    let annotation = |resource: &K, name: &str| {
        resource
            .annotations()
            .get(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let author = annotation(new, AUTHORED_BY);
    if author.is_none() && rules.is_automation(asker.username) {
        return Err(Refusal::at(
            Reason::ApprovalNotAllowed,
            format!("metadata.annotations[{AUTHORED_BY}]"),
            format!(
                "{} applies what others have written, so it has to say who did: \
                 have the pipeline set it from the commit",
                asker.username
            ),
        ));
    }
    // What was there before speaks of another change.
    let reason = annotation(new, BREAK_GLASS)
        .filter(|reason| old.and_then(|old| annotation(old, BREAK_GLASS)).as_ref() != Some(reason));
    let break_glass = reason.filter(|_| rules.may_break_glass(asker.groups)).map(|reason| BreakGlass {
        by: asker.username.to_owned(),
        groups: rules.of_interest(asker.groups),
        reason,
    });
    let before = waiting.map(|request| &request.asserted);
    let requesters = joined(before.map(|before| &before.requesters), Some(asker.username));
    let authors = joined(before.map(|before| &before.authors), author.as_deref());
    if requesters.len() + authors.len() > MOST {
        return Err(Refusal::at(
            Reason::ApprovalNotAllowed,
            "spec",
            format!(
                "more than {MOST} people have changed this since it was last approved: withdraw the change \
                 (eventctl withdraw) and begin anew"
            ),
        ));
    }
    let asserted = Asserted {
        hash: hash.to_string(),
        uid: subject.uid.clone(),
        generation: subject.generation,
        requesters,
        authors,
        at: now,
        break_glass,
    };
    let seal = key.seal(&statement(subject, &asserted));
    Ok(Request { asserted, seal })
}

fn joined(before: Option<&Vec<String>>, new: Option<&str>) -> Vec<String> {
    let mut names = before.cloned().unwrap_or_default();
    names.extend(new.filter(|new| !names.iter().any(|known| known == new)).map(String::from));
    names
}

impl fmt::Display for Asserted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.requesters.join(", "))?;
        if self.authors.is_empty() { Ok(()) } else { write!(f, " for {}", self.authors.join(", ")) }
    }
}

/// Whether two people who decide and ask are certainly different, service accounts of one robot included.
#[must_use]
pub fn is_another(approver: &str, request: &Request) -> bool {
    request.people().all(|person| {
        let robots = person::service_account(approver).zip(person::service_account(person));
        let one_robot = robots.is_some_and(|(one, other)| one == other);
        !one_robot && !person::same(approver, person)
    })
}

#[cfg(test)]
mod tests;
