//! Reconciles the paths in the webhook configurations.
//!
//! There is no leader. Each replica executes [`path::next`]; a configuration is written only if it is still the version
//! that was read, so that one of two concurrent replicas wins and the other accepts its token.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::select;
use jiff::Timestamp;
use tokio::time::sleep;

use super::caller::{CallerAuthenticator, RenewalTime};
use super::path::{self, PathStep};
use super::path_token::SECRET_BYTES;
use super::self_audit::SelfAudit;
use crate::domain::audit::Action;
use crate::kubernetes::{KubeClient, WebhookConfiguration, WebhookConfigurationKind, WriteError};

/// Minimum time between two attempts.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time between two checks.
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// Maintains the paths.
pub(super) struct PathManager {
    pub(super) kubernetes: KubeClient,
    /// The name of both configurations.
    pub(super) configurations: String,
    pub(super) callers: CallerAuthenticator,
    pub(super) renewal: RenewalTime,
    pub(super) own: SelfAudit,
    pub(super) clock: fn() -> Timestamp,
    /// A random secret for a new token.
    pub(super) secret: fn() -> [u8; SECRET_BYTES],
}

/// The observed configurations; an outer `None` is not read yet.
#[derive(Default)]
struct State {
    validating: Option<Option<WebhookConfiguration>>,
    mutating: Option<Option<WebhookConfiguration>>,
}

impl State {
    fn set(&mut self, kind: WebhookConfigurationKind, configuration: Option<WebhookConfiguration>) {
        match kind {
            WebhookConfigurationKind::Validating => self.validating = Some(configuration),
            WebhookConfigurationKind::Mutating => self.mutating = Some(configuration),
        }
    }
}

impl PathManager {
    /// Maintains the paths until dropped. Calls `ready` whenever the API server can call the webhook at them.
    pub(super) async fn run(self, ready: impl Fn()) {
        let validating = self.kubernetes.watch_validating(&self.configurations);
        let mutating = self.kubernetes.watch_mutating(&self.configurations);
        let validating = validating.map(|read| (WebhookConfigurationKind::Validating, read));
        let mutating = mutating.map(|read| (WebhookConfigurationKind::Mutating, read));
        let mut changes = std::pin::pin!(select(validating, mutating));
        let mut renewals = self.renewal.changes();
        let mut state = State::default();
        let mut pause = MAX_INTERVAL;
        loop {
            tokio::select! {
                event = changes.next() => match event {
                    Some((kind, configuration)) => {
                        self.callers.observe(kind, configuration.as_ref());
                        state.set(kind, configuration);
                    }
                    None => return,
                },
                renewed = renewals.changed() => if renewed.is_err() { return },
                () = sleep(pause) => {}
            }
            let (Some(validating), Some(mutating)) = (&state.validating, &state.mutating) else { continue };
            let existing: Vec<WebhookConfiguration> =
                [validating, mutating].into_iter().flatten().cloned().collect();
            pause = match self.reconcile(&mut state, &existing).await {
                Ok(pause) => {
                    ready();
                    pause
                }
                // Another writer was faster. The watch returns the new version.
                Err(WriteError::Conflict { .. } | WriteError::NotFound { .. }) => MIN_INTERVAL,
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot write the path of the webhook, so the API server cannot call it; trying again"
                    );
                    MIN_INTERVAL
                }
            };
        }
    }

    /// Executes the next step of each configuration. Returns the time until another one may be due.
    async fn reconcile(
        &self,
        state: &mut State,
        existing: &[WebhookConfiguration],
    ) -> Result<Duration, WriteError> {
        let mut pause = MAX_INTERVAL;
        for configuration in existing {
            let now = (self.clock)();
            match path::next(configuration, self.renewal.get(), now, (self.secret)()) {
                PathStep::Wait(until) => {
                    let due: Duration = until.duration_since(now).try_into().unwrap_or_default();
                    pause = pause.min(due);
                }
                PathStep::Write(path) => {
                    let written = self.kubernetes.update_webhook_path(configuration, &path).await?;
                    self.callers.observe(written.kind, Some(&written));
                    let kind = format!("{:?}WebhookConfiguration", written.kind);
                    tracing::info!(kind, name = written.name, "wrote the path of the webhook");
                    let message = "path renewed: earlier tokens of callers expire".to_owned();
                    self.own
                        .record_cluster_scoped(Action::RenewCertificate, &kind, &written.name, message)
                        .await;
                    state.set(written.kind, Some(written));
                    pause = pause.min(MIN_INTERVAL);
                }
            }
        }
        Ok(pause.max(Duration::from_millis(10)))
    }
}
