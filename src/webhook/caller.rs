//! Whether a caller is the API server. Everybody else is refused before the body of a request is read.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::metrics::Metrics;
use super::outcome::ReviewType;
use super::path::{self, AcceptedTokens};
use super::path_token::PathToken;
use crate::kubernetes::{KubeClient, WebhookConfiguration, WebhookConfigurationKind};

/// Minimum time between two reads of the configurations because of an unknown token.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(100);

/// Timeout of such a read. The API server waits for a review for [`super::manifest::TIMEOUT`].
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// Minimum time between two renewals of the tokens because of abandoned reviews.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_mins(1);

/// What shows that a caller is the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The token in the path of the request.
    PathToken,
    /// The client certificate of the connection, which TLS has verified; any path of a webhook is accepted.
    ClientCertificate,
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RefusedCaller {
    /// The path is not that of a webhook, or has no token.
    #[error(
        "the webhook answers the API server only, and the path of this request has no token. The webhook's replicas write \
         the path into the webhook configurations; if this message persists, their logs say why they cannot"
    )]
    NoToken,
    /// The token is not in the configurations.
    #[error(
        "the webhook answers the API server only, and the token in the path of this request is not that of the webhook \
         configurations. Try again"
    )]
    UnknownToken,
    /// The token is unknown, and the configurations cannot be read.
    #[error(
        "the webhook answers the API server only, and cannot read the webhook configurations to check the token in the \
         path of this request. Try again; if this message persists, the webhook's logs say why"
    )]
    Unchecked,
}

impl RefusedCaller {
    /// The label of the metric.
    fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::UnknownToken => "unknown_token",
            Self::Unchecked => "unchecked",
        }
    }
}

/// The time before which issued tokens are outdated. It only increases.
#[derive(Clone, Debug)]
pub(super) struct RenewalTime(watch::Sender<Timestamp>);

impl RenewalTime {
    pub(super) fn new(time: Timestamp) -> Self {
        Self(watch::Sender::new(time))
    }

    pub(super) fn get(&self) -> Timestamp {
        *self.0.borrow()
    }

    /// Makes tokens outdated that were issued before this time.
    pub(super) fn raise(&self, time: Timestamp) {
        self.0.send_if_modified(|current| {
            let is_later = time > *current;
            *current = time.max(*current);
            is_later
        });
    }

    pub(super) fn changes(&self) -> watch::Receiver<Timestamp> {
        self.0.subscribe()
    }
}

/// Authenticates callers.
#[derive(Clone, Debug)]
pub(super) struct CallerAuthenticator(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    credential: Credential,
    kubernetes: KubeClient,
    /// The name of both configurations.
    configurations: String,
    tokens: Mutex<AcceptedTokens>,
    /// When the last read because of an unknown token began.
    last_read: tokio::sync::Mutex<Option<LastRead>>,
    renewal: RenewalTime,
    last_abandoned: Mutex<Option<Timestamp>>,
    metrics: Metrics,
    clock: fn() -> Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct LastRead {
    begun: Instant,
    succeeded: bool,
}

impl CallerAuthenticator {
    pub(super) fn new(
        credential: Credential,
        kubernetes: KubeClient,
        configurations: String,
        renewal: RenewalTime,
        metrics: Metrics,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self(Arc::new(Shared {
            credential,
            kubernetes,
            configurations,
            tokens: Mutex::default(),
            last_read: tokio::sync::Mutex::default(),
            renewal,
            last_abandoned: Mutex::default(),
            metrics,
            clock,
        }))
    }

    /// Accepts the tokens of a configuration as it is now, and those before for a short time.
    pub(super) fn observe(
        &self,
        kind: WebhookConfigurationKind,
        configuration: Option<&WebhookConfiguration>,
    ) {
        let tokens = configuration.map(path::tokens).unwrap_or_default();
        self.0.tokens.lock().observe(kind, tokens, (self.0.clock)());
    }

    /// The review that a request asks for, if its caller is the API server.
    pub(super) async fn authenticate(&self, path: &str) -> Result<ReviewType, RefusedCaller> {
        let result = self.check(path).await;
        if let Err(refused) = result {
            self.0.metrics.count_refused_caller(refused.label());
        }
        result
    }

    async fn check(&self, path: &str) -> Result<ReviewType, RefusedCaller> {
        let (kind, rest) = path::split(path).ok_or(RefusedCaller::NoToken)?;
        if self.0.credential == Credential::ClientCertificate {
            return Ok(path::review_type(kind));
        }
        let token = PathToken::parse(rest).ok_or(RefusedCaller::NoToken)?;
        if self.is_accepted(kind, &token) {
            return Ok(path::review_type(kind));
        }
        // The API server may have read a configuration that this replica's watch has not received yet.
        if !self.read_configurations().await {
            return Err(RefusedCaller::Unchecked);
        }
        self.is_accepted(kind, &token).then(|| path::review_type(kind)).ok_or(RefusedCaller::UnknownToken)
    }

    fn is_accepted(&self, kind: WebhookConfigurationKind, token: &PathToken) -> bool {
        self.0.tokens.lock().contains(kind, token, (self.0.clock)())
    }

    /// Reads the configurations, unless another caller began to after this one arrived. Returns whether they were read.
    async fn read_configurations(&self) -> bool {
        let arrived = Instant::now();
        let mut last_read = self.0.last_read.lock().await;
        if let Some(read) = *last_read {
            if read.begun >= arrived {
                return read.succeeded;
            }
            sleep_until(read.begun + MIN_READ_INTERVAL).await;
        }
        let begun = Instant::now();
        let succeeded = timeout(READ_TIMEOUT, self.observe_stored()).await.unwrap_or(false);
        *last_read = Some(LastRead { begun, succeeded });
        succeeded
    }

    async fn observe_stored(&self) -> bool {
        for kind in [WebhookConfigurationKind::Validating, WebhookConfigurationKind::Mutating] {
            match self.0.kubernetes.get_webhook_configuration(kind, &self.0.configurations).await {
                Ok(configuration) => self.observe(kind, configuration.as_ref()),
                Err(error) => {
                    tracing::warn!(%error, "cannot check the token of a request");
                    return false;
                }
            }
        }
        true
    }

    /// Guards a review. If the API server abandons it, it shows the path in its error, so the tokens are renewed.
    pub(super) fn guard_review(&self) -> ReviewGuard {
        ReviewGuard { authenticator: Some(self.clone()) }
    }

    fn renew_abandoned(&self) {
        let now = (self.0.clock)();
        let mut last = self.0.last_abandoned.lock();
        let time = last.map_or(now, |last| now.max(last + MIN_RENEWAL_INTERVAL));
        *last = Some(time);
        drop(last);
        self.0.renewal.raise(time);
    }
}

/// Dropped before [`Self::complete`], it renews the tokens.
pub(super) struct ReviewGuard {
    authenticator: Option<CallerAuthenticator>,
}

impl ReviewGuard {
    /// The review is answered.
    pub(super) fn complete(mut self) {
        self.authenticator = None;
    }
}

impl Drop for ReviewGuard {
    fn drop(&mut self) {
        if let Some(authenticator) = self.authenticator.take() {
            tracing::debug!("the API server abandoned a review; renewing the tokens in the webhook's paths");
            authenticator.renew_abandoned();
        }
    }
}
