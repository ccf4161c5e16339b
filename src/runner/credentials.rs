//! The values of Secrets and the tokens of ServiceAccounts that calls send.

use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::sleep;

use crate::kubernetes::{KubeClient, SecretError, ServiceAccountToken, WriteError};

/// How long a value of a Secret is used without reading it again.
const SECRET_AGE: Duration = Duration::from_secs(5);
/// Maximum number of cached values of each kind.
const MAX_ENTRIES: u64 = 4096;
/// Delay before a request is repeated that the API server did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Namespace, Secret and key.
type SecretId = (String, String, String);
/// Namespace, ServiceAccount and audience.
type TokenId = (String, String, String);

/// Reads the values of Secrets and requests tokens.
pub(super) struct Credentials {
    kubernetes: KubeClient,
    secrets: Cache<SecretId, String>,
    tokens: Cache<TokenId, CachedToken>,
    clock: fn() -> Timestamp,
}

#[derive(Clone)]
struct CachedToken {
    token: String,
    /// After two thirds of its validity another one is requested.
    renew_at: Timestamp,
}

impl Credentials {
    pub(super) fn new(kubernetes: KubeClient, clock: fn() -> Timestamp) -> Self {
        let secrets = Cache::builder().max_capacity(MAX_ENTRIES).time_to_live(SECRET_AGE).build();
        let tokens = Cache::builder().max_capacity(MAX_ENTRIES).time_to_idle(Duration::from_hours(1)).build();
        Self { kubernetes, secrets, tokens, clock }
    }

    /// The text under a key of a Secret. Waits while the API server does not answer.
    pub(super) async fn read_secret(
        &self,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<String, SecretError> {
        let id = (namespace.to_owned(), name.to_owned(), key.to_owned());
        if let Some(value) = self.secrets.get(&id) {
            return Ok(value);
        }
        loop {
            match self.kubernetes.read_secret(namespace, name, &[key]).await {
                Ok(mut values) => {
                    let value = values.pop().unwrap_or_default();
                    self.secrets.insert(id, value.clone());
                    return Ok(value);
                }
                Err(error) if error.is_temporary() => sleep(RETRY_DELAY).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// A token of a ServiceAccount for an audience. Waits while the API server does not answer.
    pub(super) async fn request_token(
        &self,
        namespace: &str,
        service_account: &str,
        audience: &str,
    ) -> Result<String, WriteError> {
        let id = (namespace.to_owned(), service_account.to_owned(), audience.to_owned());
        if let Some(cached) = self.tokens.get(&id).filter(|cached| (self.clock)() < cached.renew_at) {
            return Ok(cached.token);
        }
        loop {
            match self.kubernetes.request_token(namespace, service_account, audience).await {
                Ok(ServiceAccountToken { token, expires_at }) => {
                    let now = (self.clock)();
                    let validity = Duration::try_from(expires_at.duration_since(now)).unwrap_or_default();
                    let renew_at = now.saturating_add(validity * 2 / 3).unwrap_or(now);
                    self.tokens.insert(id, CachedToken { token: token.clone(), renew_at });
                    return Ok(token);
                }
                Err(error) if error.is_temporary() => sleep(RETRY_DELAY).await,
                Err(error) => return Err(error),
            }
        }
    }
}
