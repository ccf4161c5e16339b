//! Who asks: whom Kubernetes knows by the token of a request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use eventcenter_sdk::Reason;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::Rest;
use super::envelope::Failure;
use super::limit::Asker;
use super::recent::Recent;
use super::request_id::{RequestId, trace};
use super::server::Peer;
use crate::domain::audit::{Actor, Via};
use crate::kubernetes::{AuthenticatedUser, KubeClient};

/// How long Kubernetes' answer counts. A token that is withdrawn is accepted for so long.
const LASTING: Duration = Duration::from_secs(10);

/// How many answers are remembered, of each kind.
const REMEMBERED: usize = 4_096;

/// How many reviews are under way at once.
const ASKING: usize = 16;

/// How long a token may be.
const LONGEST: usize = 16 * 1024;

/// How much is kept of what a client calls itself.
const LONGEST_AGENT: usize = 256;

/// Names a token without being one.
pub(super) type Fingerprint = [u8; 32];

/// Where a request comes from, whoever sends it.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// The request's name.
    pub(super) id: RequestId,
    /// The trace that it belongs to.
    pub(super) trace: Option<String>,
    /// The address of the other end of the connection. What headers say of others is not believed.
    pub(super) address: Option<IpAddr>,
    /// What the client calls itself.
    pub(super) agent: Option<String>,
    /// Method and path.
    pub(super) asked: String,
}

impl Sender {
    fn of(parts: &Parts) -> Self {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let path = parts.uri.path();
        let id = parts.extensions.get::<RequestId>().cloned();
        Self {
            id: id.unwrap_or_else(|| RequestId::of(&parts.headers)),
            trace: trace(&parts.headers),
            address: parts.extensions.get::<Peer>().map(|peer| peer.0),
            agent: agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect()),
            asked: format!("{} {}", parts.method, &path[..path.floor_char_boundary(LONGEST_AGENT)]),
        }
    }

    fn asker(&self) -> Asker {
        self.address.map_or(Asker::Others, |address| Asker::Address(address.into()))
    }
}

/// Somebody who has shown who they are.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// Whom Kubernetes knows.
    pub(super) known: Arc<AuthenticatedUser>,
    /// The token they came with.
    pub(super) fingerprint: Fingerprint,
    /// Where the request comes from.
    pub(super) sender: Sender,
}

impl Caller {
    /// As in records: the name and the groups, and nothing else that Kubernetes says.
    pub(super) fn actor(&self) -> Actor {
        Actor { user: self.known.username.clone(), groups: self.known.groups.clone(), via: Via::Api }
    }
}

/// Finds out whom tokens stand for.
#[derive(Debug)]
pub(super) struct Identities {
    kubernetes: KubeClient,
    accepted: Recent<Fingerprint, Arc<AuthenticatedUser>>,
    refused: Recent<Fingerprint, ()>,
    asking: Semaphore,
}

impl Identities {
    pub(super) fn new(kubernetes: KubeClient) -> Self {
        Self {
            kubernetes,
            accepted: Recent::new(LASTING, REMEMBERED),
            refused: Recent::new(LASTING, REMEMBERED),
            asking: Semaphore::new(ASKING),
        }
    }

    async fn ask(
        &self,
        token: &str,
        fingerprint: Fingerprint,
    ) -> Result<Option<Arc<AuthenticatedUser>>, Failure> {
        if self.refused.get(&fingerprint).is_some() {
            return Ok(None);
        }
        let _place = self.asking.acquire().await;
        let known = self.kubernetes.review_token(token).await.map_err(|error| Failure::unknowable(&error))?;
        let known = known.map(Arc::new);
        match &known {
            Some(known) => self.accepted.keep(fingerprint, Arc::clone(known)),
            None => self.refused.keep(fingerprint, ()),
        }
        Ok(known)
    }
}

impl FromRequestParts<Rest> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Failure> {
        let sender = Sender::of(parts);
        let token = bearer(&parts.headers);
        let fingerprint: Fingerprint = Sha256::digest(token.unwrap_or_default()).into();
        let known = match token.and_then(|_| rest.identities.accepted.get(&fingerprint)) {
            Some(known) => Some(known),
            None => {
                // Nobody makes Kubernetes review tokens, or us write records, as often as they like.
                count(rest, &sender.asker())?;
                match token {
                    Some(token) => rest.identities.ask(token, fingerprint).await?,
                    None => None,
                }
            }
        };
        match known {
            Some(known) => {
                count(rest, &Asker::User(known.username.clone()))?;
                Ok(Self { known, fingerprint, sender })
            }
            None => {
                let why = if token.is_some() { "its token is not accepted" } else { "it has no token" };
                rest.refused_login(&sender, why).await;
                Err(Failure::unauthenticated())
            }
        }
    }
}

/// Counts a request against the limit.
fn count(rest: &Rest, asker: &Asker) -> Result<(), Failure> {
    rest.limit.count(asker).map_err(|wait| {
        rest.metrics.refused(Reason::TooManyRequests.as_str());
        let rate = rest.options.rate;
        let text = format!("at most {rate} requests a second are answered: send fewer, or try again later");
        Failure::too_many(text, wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    })
}

/// The token of a request, if it has exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).into_iter();
    let (Some(one), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_token = |byte: u8| byte.is_ascii_graphic();
    let usable = scheme.eq_ignore_ascii_case("bearer")
        && (1..=LONGEST).contains(&token.len())
        && token.bytes().all(is_token);
    usable.then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_read_from_one_header() {
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer(&headers).map(ToOwned::to_owned)
        };
        for given in ["Bearer abc.def-_~+/=", "bearer abc.def-_~+/=", "BEARER  abc.def-_~+/= "] {
            assert_eq!(with(&[given]).as_deref(), Some("abc.def-_~+/="));
        }
        for given in ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "Bearer a b", "Bearerabc"] {
            assert_eq!(with(&[given]), None, "{given:?}");
        }
        assert_eq!(with(&[&format!("Bearer {}", "x".repeat(LONGEST + 1))]), None);
        assert_eq!(with(&["Bearer a", "Bearer a"]), None);
        assert_eq!(with(&[]), None);
    }
}
