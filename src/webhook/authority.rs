//! Reconciles the certificates: the Secret that all replicas share, the `caBundle` of the configurations, and the serving
//! certificate of this replica.
//!
//! There is no leader. Each replica reads the same Secret and configurations and executes [`certificate::next`]; the
//! Secret is replaced only if it is still the version that was read, so that one of two concurrent replicas wins and the
//! other serves its certificate.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select;
use jiff::Timestamp;
use tokio::time::sleep;

use super::caller::RenewalTime;
use super::certificate::{self, IssueError, Lifetimes, Material, Step};
use super::metrics::Metrics;
use super::self_audit::SelfAudit;
use crate::domain::audit::Action;
use crate::http::ServingCertificate;
use crate::kubernetes::{CertificateSecret, KubeClient, WebhookConfiguration, WriteError};

/// Minimum time between two attempts.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum time between two checks.
const MAX_INTERVAL: Duration = Duration::from_hours(1);

/// Who issues the certificates.
#[derive(Clone, Debug)]
pub enum Source {
    /// The webhook's replicas.
    SelfSigned {
        /// The validity of the certificates.
        lifetimes: Lifetimes,
        /// The names and addresses of the webhook.
        names: BTreeSet<String>,
    },
    /// Another issuer, such as cert-manager, which also writes the `caBundle`.
    External,
}

/// Reconciles the certificates.
pub(super) struct CertificateManager {
    pub(super) kubernetes: KubeClient,
    /// The name of both webhook configurations.
    pub(super) configurations: String,
    /// The Secret in the operator's namespace.
    pub(super) secret: String,
    pub(super) serving: ServingCertificate,
    /// The tokens in the paths are renewed with the serving certificate.
    pub(super) renewal: RenewalTime,
    pub(super) metrics: Metrics,
    pub(super) own: SelfAudit,
    pub(super) clock: fn() -> Timestamp,
}

/// A step failed; it is retried.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// The observed state; an outer `None` is not read yet.
#[derive(Default)]
struct State {
    secret: Option<Option<CertificateSecret>>,
    validating: Option<Option<WebhookConfiguration>>,
    mutating: Option<Option<WebhookConfiguration>>,
    /// The newest authority in all configurations, and since when.
    published: Option<(String, Timestamp)>,
    /// When this replica last issued certificates.
    issued: Option<Timestamp>,
    /// The last invalid Secret, so that its error is logged once.
    invalid: Option<CertificateSecret>,
}

enum WatchEvent {
    Secret(Option<CertificateSecret>),
    Validating(Option<WebhookConfiguration>),
    Mutating(Option<WebhookConfiguration>),
}

impl CertificateManager {
    /// Maintains the certificates until dropped. Calls `ready` whenever the webhook can be called.
    pub(super) async fn run(self, source: Source, ready: impl Fn()) {
        match source {
            Source::SelfSigned { lifetimes, names } => self.manage(lifetimes, &names, ready).await,
            Source::External => self.follow(ready).await,
        }
    }

    /// Serves the certificate that another issuer writes to the Secret.
    async fn follow(&self, ready: impl Fn()) {
        let mut secrets = std::pin::pin!(self.kubernetes.watch_certificate_secret(&self.secret));
        while let Some(secret) = secrets.next().await {
            let Some(secret) = secret else {
                tracing::error!(
                    secret = self.secret,
                    "the Secret with the webhook's certificate does not exist: create it, or let cert-manager create it \
                     (--webhook-certificates, --webhook-certificate-secret)"
                );
                continue;
            };
            match certificate::read_serving(&secret.data()) {
                Ok((serving, key)) => {
                    if self.serve(&serving, &key) {
                        ready();
                    }
                }
                Err(error) => tracing::error!(
                    secret = self.secret,
                    %error,
                    "the webhook's certificate is invalid; still serving the previous one"
                ),
            }
        }
    }

    async fn manage(&self, lifetimes: Lifetimes, names: &BTreeSet<String>, ready: impl Fn()) {
        let secret = self.kubernetes.watch_certificate_secret(&self.secret).map(WatchEvent::Secret);
        let validating = self.kubernetes.watch_validating(&self.configurations).map(WatchEvent::Validating);
        let mutating = self.kubernetes.watch_mutating(&self.configurations).map(WatchEvent::Mutating);
        let mut changes = std::pin::pin!(select(secret, select(validating, mutating)));
        let mut state = State::default();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                event = changes.next() => match event {
                    Some(WatchEvent::Secret(secret)) => state.secret = Some(secret),
                    Some(WatchEvent::Validating(configuration)) => state.validating = Some(configuration),
                    Some(WatchEvent::Mutating(configuration)) => state.mutating = Some(configuration),
                    None => return,
                },
                () = sleep(pause) => {}
            }
            if state.secret.is_none() || state.validating.is_none() || state.mutating.is_none() {
                pause = MAX_INTERVAL;
                continue;
            }
            pause = match self.reconcile(&mut state, lifetimes, names).await {
                Ok(pause) => {
                    ready();
                    pause
                }
                Err(Failure::Write(WriteError::Conflict { .. } | WriteError::NotFound { .. })) => {
                    // Another writer was faster. The watch returns the new version.
                    MIN_INTERVAL
                }
                Err(Failure::Write(error)) => {
                    tracing::warn!(%error, "cannot update the webhook's certificates; trying again");
                    MIN_INTERVAL
                }
                Err(Failure::Issue(error)) => {
                    tracing::error!(%error, "cannot update the webhook's certificates; trying again");
                    MAX_INTERVAL.min(MIN_INTERVAL * 60)
                }
            };
        }
    }

    /// Executes the next step. Returns the time until another step may be due.
    async fn reconcile(
        &self,
        state: &mut State,
        lifetimes: Lifetimes,
        names: &BTreeSet<String>,
    ) -> Result<Duration, Failure> {
        let now = (self.clock)();
        let mut secret = state.secret.clone().flatten();
        let mut stored = self.read(secret.as_ref(), state);
        let settled = match (&stored, &state.published) {
            (Some(stored), Some((authority, since))) if *authority == stored.newest().pem => {
                elapsed(*since, now) >= lifetimes.propagation()
            }
            _ => false,
        };
        let step = certificate::next(stored.as_ref(), names, settled, now);
        let just_now = state.issued.is_some_and(|issued| elapsed(issued, now) < MIN_INTERVAL);
        if just_now && !matches!(step, Step::Wait(_)) {
            // Prevents a loop between two replicas whose clocks differ.
            return Ok(MIN_INTERVAL);
        }
        let mut until = None;
        match certificate::issue(&step, stored.as_ref(), names, lifetimes, now)? {
            Some(issued) => {
                let written = self
                    .kubernetes
                    .store_certificate_secret(
                        &self.secret,
                        secret.as_ref(),
                        "kubernetes.io/tls",
                        issued.data(),
                    )
                    .await?;
                tracing::info!(secret = self.secret, ?step, serving = ?issued.serving, "issued certificates");
                state.secret = Some(Some(written.clone()));
                state.issued = Some(now);
                let message = format!("{}; serving {:?}", step.description(), issued.serving);
                self.own.record_secret(Action::RenewCertificate, &self.secret, message).await;
                (secret, stored) = (Some(written), Some(issued));
            }
            None => {
                if let Step::Wait(time) = step {
                    until = Some(time);
                }
            }
        }
        let Some(stored) = stored else { return Ok(MIN_INTERVAL) };
        self.publish(state, secret.as_ref(), &stored).await?;
        self.serve(&stored.serving, &stored.serving_key);

        let newest = &stored.newest().pem;
        if state.published.as_ref().is_none_or(|(authority, _)| authority != newest) {
            state.published = Some((newest.clone(), now));
        }
        let due = until.map_or(MIN_INTERVAL, |until| elapsed(now, until));
        Ok(if settled {
            due.clamp(MIN_INTERVAL, MAX_INTERVAL)
        } else {
            due.clamp(MIN_INTERVAL, lifetimes.propagation().max(MIN_INTERVAL))
        })
    }

    /// Parses a Secret; logs an invalid one once.
    fn read(&self, secret: Option<&CertificateSecret>, state: &mut State) -> Option<Material> {
        let secret = secret?;
        match Material::read(&secret.data()) {
            Ok(material) => Some(material),
            Err(error) => {
                if !state.invalid.as_ref().is_some_and(|logged| logged.is_same_version(secret)) {
                    tracing::error!(
                        secret = self.secret,
                        %error,
                        "the webhook's certificates are invalid; issuing new ones"
                    );
                    state.invalid = Some(secret.clone());
                }
                None
            }
        }
    }

    /// Writes the authorities to the `caBundle` of the configurations.
    async fn publish(
        &self,
        state: &mut State,
        secret: Option<&CertificateSecret>,
        stored: &Material,
    ) -> Result<(), Failure> {
        let bundle = stored.bundle();
        let configuration = [state.validating.clone().flatten(), state.mutating.clone().flatten()];
        let outdated: Vec<WebhookConfiguration> = configuration
            .into_iter()
            .flatten()
            .filter(|configuration| {
                configuration.webhooks.iter().any(|webhook| webhook.authorities != bundle.as_bytes())
            })
            .collect();
        if outdated.is_empty() {
            return Ok(());
        }
        state.published = None;
        // Another replica may have written a newer Secret: do not restore an older bundle.
        let latest = self.kubernetes.get_certificate_secret(&self.secret).await?;
        if !matches!((&latest, secret), (Some(latest), Some(secret)) if latest.is_same_version(secret)) {
            state.secret = Some(latest);
            return Err(WriteError::Conflict { what: "writing caBundle" }.into());
        }
        for configuration in &outdated {
            self.kubernetes.update_ca_bundle(configuration, &bundle).await?;
            tracing::info!(kind = ?configuration.kind, name = configuration.name, "set caBundle");
            let kind = format!("{:?}WebhookConfiguration", configuration.kind);
            let message = format!("caBundle set from Secret {}", self.secret);
            self.own
                .record_cluster_scoped(Action::RenewCertificate, &kind, &configuration.name, message)
                .await;
        }
        // The watch will return the same.
        let known = [&mut state.validating, &mut state.mutating].into_iter().flatten().flatten();
        known
            .flat_map(|known| &mut known.webhooks)
            .for_each(|webhook| webhook.authorities = bundle.clone().into());
        Ok(())
    }

    /// Serves a certificate on new connections. Returns whether it is valid.
    fn serve(&self, serving: &certificate::Certificate, key: &certificate::Key) -> bool {
        match self.serving.replace(&serving.pem, key.pem()) {
            Ok(changed) => {
                if changed {
                    tracing::info!(certificate = ?serving, "serving a new certificate");
                    self.metrics.set_certificate_expiry(serving.to);
                    self.renewal.raise(serving.from);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "the webhook's certificate is invalid; still serving the previous one");
                false
            }
        }
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}
