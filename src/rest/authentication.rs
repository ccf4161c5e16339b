//! Authenticates callers: Kubernetes reviews the bearer token of each request.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::request::Parts;
use moka::sync::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::access_log::{AccessLog, RequestOrigin};
use super::cache::expiring_cache;
use super::rate_limit::{Client, RateLimiter};
use super::request_id::{RequestId, trace_id};
use super::response::ApiError;
use crate::domain::audit::{Actor, Via};
use crate::http::Peer;
use crate::kubernetes::{AuthenticatedUser, KubeClient};

/// How long a TokenReview is cached. A revoked token is accepted for this long.
const CACHE_TTL: Duration = Duration::from_secs(10);

/// Cached answers of each kind.
const MAX_CACHED: u64 = 4_096;

/// Concurrent TokenReviews.
const MAX_REVIEWS: usize = 16;

const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How many characters of a user agent, and bytes of a path, are kept.
const MAX_KEPT_CHARS: usize = 256;

/// The SHA-256 hash of a token, which identifies it.
pub(super) type TokenHash = [u8; 32];

/// An authenticated caller.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: Arc<AuthenticatedUser>,
    pub(super) token_hash: TokenHash,
    pub(super) origin: RequestOrigin,
}

impl Caller {
    /// The caller in audit records: name and groups.
    pub(super) fn actor(&self) -> Actor {
        Actor { user: self.user.username.clone(), groups: self.user.groups.clone(), via: Via::Api }
    }
}

/// Authenticates callers and limits their rate.
#[derive(Clone, Debug)]
pub(super) struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kube: KubeClient,
    accepted: Cache<TokenHash, Arc<AuthenticatedUser>>,
    rejected: Cache<TokenHash, ()>,
    reviews: Semaphore,
    rate: NonZeroU32,
    rate_limiter: RateLimiter,
    access_log: AccessLog,
}

impl Authenticator {
    /// `rate` is the number of requests per second and caller.
    pub(super) fn new(kube: KubeClient, rate: NonZeroU32, access_log: AccessLog) -> Self {
        Self(Arc::new(Inner {
            kube,
            accepted: expiring_cache(MAX_CACHED, CACHE_TTL),
            rejected: expiring_cache(MAX_CACHED, CACHE_TTL),
            reviews: Semaphore::new(MAX_REVIEWS),
            rate,
            rate_limiter: RateLimiter::per_second(rate),
            access_log,
        }))
    }

    async fn authenticate(&self, parts: &Parts) -> Result<Caller, ApiError> {
        let inner = &self.0;
        let origin = origin(parts);
        let token = bearer_token(&parts.headers);
        let token_hash: TokenHash = Sha256::digest(token.unwrap_or_default()).into();
        let user = match token.and_then(|_| inner.accepted.get(&token_hash)) {
            Some(user) => Some(user),
            None => {
                // Unknown callers are limited by address, because they cause TokenReviews and audit records.
                self.limit_rate(&origin.client())?;
                match token {
                    Some(token) => self.review(token, token_hash).await?,
                    None => None,
                }
            }
        };
        match user {
            Some(user) => {
                self.limit_rate(&Client::User(user.username.clone()))?;
                Ok(Caller { user, token_hash, origin })
            }
            None => {
                let why = if token.is_some() { "its token is not accepted" } else { "it has no token" };
                inner.access_log.record_unauthenticated(&origin, why).await;
                Err(ApiError::unauthenticated())
            }
        }
    }

    /// Asks Kubernetes whose token it is; `None` if Kubernetes does not accept it.
    async fn review(
        &self,
        token: &str,
        token_hash: TokenHash,
    ) -> Result<Option<Arc<AuthenticatedUser>>, ApiError> {
        let inner = &self.0;
        if inner.rejected.contains_key(&token_hash) {
            return Ok(None);
        }
        let _permit = inner.reviews.acquire().await;
        let user = inner.kube.review_token(token).await;
        let user = user.map_err(|error| ApiError::authentication_unavailable(&error))?.map(Arc::new);
        match &user {
            Some(user) => inner.accepted.insert(token_hash, Arc::clone(user)),
            None => inner.rejected.insert(token_hash, ()),
        }
        Ok(user)
    }

    fn limit_rate(&self, client: &Client) -> Result<(), ApiError> {
        self.0.rate_limiter.check(client).map_err(|retry_after| {
            self.0.access_log.count_rate_limited();
            let rate = self.0.rate;
            let text = format!("the limit is {rate} requests per second: send fewer, or try again later");
            ApiError::too_many_requests(text, retry_after)
        })
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Authenticator::from_ref(state).authenticate(parts).await
    }
}

fn origin(parts: &Parts) -> RequestOrigin {
    let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let path = parts.uri.path();
    let id = parts.extensions.get::<RequestId>().cloned();
    RequestOrigin {
        id: id.unwrap_or_else(|| RequestId::from_headers(&parts.headers)),
        trace_id: trace_id(&parts.headers),
        address: parts.extensions.get::<Peer>().map(|peer| peer.0),
        user_agent: user_agent.map(|agent| agent.chars().take(MAX_KEPT_CHARS).collect()),
        endpoint: format!("{} {}", parts.method, &path[..path.floor_char_boundary(MAX_KEPT_CHARS)]),
    }
}

/// The bearer token of a request with exactly one header `Authorization`.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).into_iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_valid = scheme.eq_ignore_ascii_case("bearer")
        && (1..=MAX_TOKEN_BYTES).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then_some(token)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_read_from_one_header() {
        let token = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer_token(&headers).map(ToOwned::to_owned)
        };
        for value in ["Bearer abc.def-_~+/=", "bearer abc.def-_~+/=", "BEARER  abc.def-_~+/= "] {
            assert_eq!(token(&[value]).as_deref(), Some("abc.def-_~+/="));
        }
        for value in ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "Bearer a b", "Bearerabc"] {
            assert_eq!(token(&[value]), None, "{value:?}");
        }
        assert_eq!(token(&[&format!("Bearer {}", "x".repeat(MAX_TOKEN_BYTES + 1))]), None);
        assert_eq!(token(&["Bearer a", "Bearer a"]), None);
        assert_eq!(token(&[]), None);
    }
}
