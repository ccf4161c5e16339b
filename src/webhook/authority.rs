//! Keeps the certificates good: the Secret that all replicas share, what the configurations trust,
//! and what this replica serves.
//!
//! No replica is in charge. Each looks at the same Secret and the same configurations and does what
//! [`certificate::next`] says; the Secret is replaced only if it is still the version that was read,
//! so of two that do the same at once one wins and the other serves what the first has made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select;
use jiff::Timestamp;
use tokio::time::sleep;

use super::certificate::{self, IssueError, Lifetimes, Material, Step};
use super::metrics::Metrics;
use super::record::SelfAudit;
use super::tls::Served;
use crate::domain::audit::Action;
use crate::kubernetes::{CertificateSecret, KubeClient, WebhookConfiguration, WriteError};

/// How long to wait at least between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait at most before looking whether something is due.
const GLANCE: Duration = Duration::from_hours(1);

/// Who makes the certificates.
#[derive(Clone, Debug)]
pub enum Source {
    /// The webhook's replicas.
    SelfSigned {
        /// How long what they make is valid.
        lifetimes: Lifetimes,
        /// The names and addresses that the webhook is called by.
        names: BTreeSet<String>,
        /// The name of both webhook configurations.
        configurations: String,
    },
    /// Somebody else, such as cert-manager, who also tells the API server whom to trust.
    Others,
}

/// What keeps certificates good.
pub(super) struct CertificateManager {
    pub(super) kubernetes: KubeClient,
    /// The Secret in the operator's namespace.
    pub(super) secret: String,
    pub(super) served: Arc<Served>,
    pub(super) metrics: Metrics,
    pub(super) own: SelfAudit,
    pub(super) clock: fn() -> Timestamp,
}

/// Something that could not be done now and is tried again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// What is known at the moment; outer options are for what has not been read yet.
#[derive(Default)]
struct State {
    keys: Option<Option<CertificateSecret>>,
    validating: Option<Option<WebhookConfiguration>>,
    mutating: Option<Option<WebhookConfiguration>>,
    /// The newest authority that is in all configurations, and since when that is so.
    published: Option<(String, Timestamp)>,
    /// When this replica last made certificates.
    made: Option<Timestamp>,
    /// What was last read, so that what it is wrong about is told once.
    told: Option<CertificateSecret>,
}

enum Seen {
    Secret(Option<CertificateSecret>),
    Validating(Option<WebhookConfiguration>),
    Mutating(Option<WebhookConfiguration>),
}

impl CertificateManager {
    /// Keeps them good for as long as it is polled. Calls `ready` whenever the webhook can be called.
    pub(super) async fn keep(self, source: Source, ready: impl Fn()) {
        match source {
            Source::SelfSigned { lifetimes, names, configurations } => {
                self.keep_own(lifetimes, &names, &configurations, ready).await;
            }
            Source::Others => self.follow(ready).await,
        }
    }

    /// Serves what somebody else puts into the Secret.
    async fn follow(&self, ready: impl Fn()) {
        let mut found = std::pin::pin!(self.kubernetes.watch_certificate_secret(&self.secret));
        while let Some(keys) = found.next().await {
            let Some(keys) = keys else {
                tracing::error!(
                    secret = self.secret,
                    "there is no Secret with the webhook's certificate: make it, or have cert-manager make it \
                     (--webhook-certificates, --webhook-certificate-secret)"
                );
                continue;
            };
            match certificate::read_serving(&keys.data()) {
                Ok((serving, key)) => {
                    if self.serve(&serving, &key) {
                        ready();
                    }
                }
                Err(error) => tracing::error!(
                    secret = self.secret,
                    %error,
                    "the webhook's certificate cannot be read: what was served before still is"
                ),
            }
        }
    }

    async fn keep_own(
        &self,
        lifetimes: Lifetimes,
        names: &BTreeSet<String>,
        configurations: &str,
        ready: impl Fn(),
    ) {
        let keys = self.kubernetes.watch_certificate_secret(&self.secret).map(Seen::Secret);
        let validating = self.kubernetes.watch_validating(configurations).map(Seen::Validating);
        let mutating = self.kubernetes.watch_mutating(configurations).map(Seen::Mutating);
        let mut changes = std::pin::pin!(select(keys, select(validating, mutating)));
        let mut state = State::default();
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                seen = changes.next() => match seen {
                    Some(Seen::Secret(keys)) => state.keys = Some(keys),
                    Some(Seen::Validating(found)) => state.validating = Some(found),
                    Some(Seen::Mutating(found)) => state.mutating = Some(found),
                    None => return,
                },
                () = sleep(pause) => {}
            }
            if state.keys.is_none() || state.validating.is_none() || state.mutating.is_none() {
                pause = GLANCE;
                continue;
            }
            pause = match self.act(&mut state, lifetimes, names).await {
                Ok(pause) => {
                    ready();
                    pause
                }
                Err(Failure::Write(WriteError::Conflict { .. } | WriteError::NotFound { .. })) => {
                    // Another replica, or a person, was faster. What they did is seen in a moment.
                    PAUSE
                }
                Err(Failure::Write(error)) => {
                    tracing::warn!(%error, "the webhook's certificates");
                    PAUSE
                }
                Err(Failure::Issue(error)) => {
                    tracing::error!(%error, "the webhook's certificates");
                    GLANCE.min(PAUSE * 60)
                }
            };
        }
    }

    /// Does what has to be done now. Returns how long nothing has to be done as far as is known.
    async fn act(
        &self,
        state: &mut State,
        lifetimes: Lifetimes,
        names: &BTreeSet<String>,
    ) -> Result<Duration, Failure> {
        let now = (self.clock)();
        let mut keys = state.keys.clone().flatten();
        let mut stored = self.read(keys.as_ref(), state);
        let settled = match (&stored, &state.published) {
            (Some(stored), Some((authority, since))) if *authority == stored.newest().pem => {
                elapsed(*since, now) >= lifetimes.settled()
            }
            _ => false,
        };
        let step = certificate::next(stored.as_ref(), names, settled, now);
        let just_now = state.made.is_some_and(|made| elapsed(made, now) < PAUSE);
        if just_now && !matches!(step, Step::Wait(_)) {
            // Two replicas whose clocks disagree would otherwise be busy with each other.
            return Ok(PAUSE);
        }
        let mut until = None;
        match certificate::issue(&step, stored.as_ref(), names, lifetimes, now)? {
            Some(made) => {
                let written = self
                    .kubernetes
                    .store_certificate_secret(&self.secret, keys.as_ref(), "kubernetes.io/tls", made.data())
                    .await?;
                tracing::info!(secret = self.secret, ?step, serving = ?made.serving, "made certificates");
                state.keys = Some(Some(written.clone()));
                state.made = Some(now);
                let message = format!("{}; serving {:?}", step.words(), made.serving);
                self.own.record_secret(Action::RenewCertificate, &self.secret, message).await;
                (keys, stored) = (Some(written), Some(made));
            }
            None => {
                if let Step::Wait(time) = step {
                    until = Some(time);
                }
            }
        }
        let Some(stored) = stored else { return Ok(PAUSE) };
        self.publish(state, keys.as_ref(), &stored).await?;
        self.serve(&stored.serving, &stored.serving_key);

        let newest = &stored.newest().pem;
        if state.published.as_ref().is_none_or(|(authority, _)| authority != newest) {
            state.published = Some((newest.clone(), now));
        }
        let due = until.map_or(PAUSE, |until| elapsed(now, until));
        Ok(if settled { due.clamp(PAUSE, GLANCE) } else { due.clamp(PAUSE, lifetimes.settled().max(PAUSE)) })
    }

    /// What a Secret holds, if that can be used.
    fn read(&self, keys: Option<&CertificateSecret>, state: &mut State) -> Option<Material> {
        let keys = keys?;
        match Material::read(&keys.data()) {
            Ok(material) => Some(material),
            Err(error) => {
                if !state.told.as_ref().is_some_and(|told| told.is_same_version(keys)) {
                    tracing::error!(
                        secret = self.secret,
                        %error,
                        "the webhook's certificates cannot be used and are made anew"
                    );
                    state.told = Some(keys.clone());
                }
                None
            }
        }
    }

    /// Has the configurations trust the authorities, and these only.
    async fn publish(
        &self,
        state: &mut State,
        keys: Option<&CertificateSecret>,
        stored: &Material,
    ) -> Result<(), Failure> {
        let bundle = stored.bundle();
        let found = [state.validating.clone().flatten(), state.mutating.clone().flatten()];
        let wrong: Vec<WebhookConfiguration> = found
            .into_iter()
            .flatten()
            .filter(|found| found.webhooks.iter().any(|(_, trusted)| trusted != bundle.as_bytes()))
            .collect();
        if wrong.is_empty() {
            return Ok(());
        }
        state.published = None;
        // Another replica may know of a newer Secret: whoever is behind must not put back what was.
        let latest = self.kubernetes.get_certificate_secret(&self.secret).await?;
        if !matches!((&latest, keys), (Some(latest), Some(keys)) if latest.is_same_version(keys)) {
            state.keys = Some(latest);
            return Err(WriteError::Conflict { what: "writing caBundle" }.into());
        }
        for configuration in &wrong {
            self.kubernetes.update_ca_bundle(configuration, &bundle).await?;
            tracing::info!(kind = ?configuration.kind, name = configuration.name, "set caBundle");
            let kind = format!("{:?}WebhookConfiguration", configuration.kind);
            let message = format!("caBundle is what Secret {} has now", self.secret);
            self.own
                .record_cluster_scoped(Action::RenewCertificate, &kind, &configuration.name, message)
                .await;
        }
        // As it will be seen in a moment.
        let known = [&mut state.validating, &mut state.mutating].into_iter().flatten().flatten();
        known.flat_map(|known| &mut known.webhooks).for_each(|(_, trusted)| *trusted = bundle.clone().into());
        Ok(())
    }

    /// Serves a certificate from now on; whether that was possible.
    fn serve(&self, serving: &certificate::Certificate, key: &certificate::Key) -> bool {
        match self.served.set(&serving.pem, key.pem()) {
            Ok(changed) => {
                if changed {
                    tracing::info!(certificate = ?serving, "serving with another certificate");
                    self.metrics.expires(serving.to);
                }
                true
            }
            Err(error) => {
                tracing::error!(%error, "the webhook's certificate cannot be used: what was served before still is");
                false
            }
        }
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}
