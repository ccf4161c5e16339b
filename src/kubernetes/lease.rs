//! The Lease that makes one replica the leader (Kubernetes' own scheme: coordination.k8s.io).
//!
//! A candidate takes a Lease that nobody holds, or that nobody has renewed for its duration as
//! seen by the candidate's own clock, so that clocks of different machines are never compared.
//! Every write is a replace with the resourceVersion that was read: of two candidates one wins.
//! The leader renews well before the end, and stops everything if it could not.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio::time::{Instant, sleep, timeout};

use super::{KubeClient, in_time};

/// How leadership passes from one replica to another.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Name of the Lease in the operator's namespace.
    pub name: String,
    /// This replica, unlike any other.
    pub identity: String,
    /// After this long without a renewal another replica may lead.
    pub duration: Duration,
    /// How often the leader renews, and candidates look.
    pub period: Duration,
}

impl LeaseSettings {
    /// How long a renewal may be relied on: a third of the duration is left for stopping.
    fn usable(&self) -> Duration {
        self.duration * 2 / 3
    }
}

/// A Lease that this replica may hold.
pub struct Lease {
    api: Api<Record>,
    settings: LeaseSettings,
}

/// Held while this replica leads.
pub struct Leadership {
    lease: Lease,
    record: Record,
    /// When the last renewal that succeeded was asked for: it counts from some time after that.
    renewed: Instant,
}

/// This replica no longer leads: another may, so everything it does has to stop.
#[derive(Debug, thiserror::Error)]
#[error("the Lease {name} could not be renewed in time: {why}")]
pub struct LeaseLost {
    name: String,
    why: String,
}

impl KubeClient {
    /// A Lease in the operator's namespace.
    #[must_use]
    pub fn lease(&self, settings: LeaseSettings) -> Lease {
        Lease { api: Api::namespaced(self.client.clone(), &self.namespace), settings }
    }
}

impl Lease {
    /// Waits until this replica leads. `another_leads` is called once it is known that it has to
    /// wait for another one.
    pub async fn acquire(self, another_leads: impl FnOnce()) -> Leadership {
        // What was last seen of another holder, and since when it has looked the same.
        let mut seen: Option<(Option<String>, Instant)> = None;
        let mut another_leads = Some(another_leads);
        loop {
            let asked = Instant::now();
            match self.attempt(&mut seen).await {
                Ok(Some(record)) if asked.elapsed() < self.settings.usable() => {
                    return Leadership { lease: self, record, renewed: asked };
                }
                Ok(Some(_)) => tracing::warn!("becoming the leader took so long that it may be over; again"),
                Ok(None) => {
                    if let Some(call) = another_leads.take() {
                        call();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, lease = self.settings.name, "trying to become the leader")
                }
            }
            sleep(self.settings.period.min(Duration::from_secs(1))).await;
        }
    }

    async fn attempt(
        &self,
        seen: &mut Option<(Option<String>, Instant)>,
    ) -> Result<Option<Record>, kube::Error> {
        let Some(record) = in_time(self.api.get_opt(&self.settings.name)).await? else {
            let record = Record {
                metadata: ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.held(None)),
            };
            return won(in_time(self.api.create(&PostParams::default(), &record)).await);
        };
        let spec = record.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if !holder.is_empty() && holder != self.settings.identity {
            let version = record.metadata.resource_version.clone();
            let duration =
                Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default().unsigned_abs().into());
            match seen {
                Some((known, since)) if *known == version && since.elapsed() >= duration => {}
                Some((known, _)) if *known == version => return Ok(None),
                _ => {
                    *seen = Some((version, Instant::now()));
                    return Ok(None);
                }
            }
        }
        let taken = Record { spec: Some(self.held(Some(&spec))), ..record };
        won(in_time(self.api.replace(&self.settings.name, &PostParams::default(), &taken)).await)
    }

    fn held(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = now();
        let same =
            before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.settings.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: i32::try_from(self.settings.duration.as_secs()).ok(),
            acquire_time: before
                .filter(|_| same)
                .and_then(|spec| spec.acquire_time.clone())
                .or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions + i32::from(before.is_some() && !same)),
            ..LeaseSpec::default()
        }
    }
}

/// Somebody else having been faster is no error.
fn won(result: Result<Record, kube::Error>) -> Result<Option<Record>, kube::Error> {
    match result {
        Ok(record) => Ok(Some(record)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

impl Leadership {
    /// Renews the Lease for as long as that succeeds.
    ///
    /// Returns the reason once it does not, early enough to stop before another replica leads.
    pub async fn keep(&mut self) -> LeaseLost {
        let settings = self.lease.settings.clone();
        loop {
            sleep(settings.period.min(settings.usable().saturating_sub(self.renewed.elapsed()))).await;
            let asked = Instant::now();
            let left = settings.usable().saturating_sub(self.renewed.elapsed());
            match timeout(left.max(Duration::from_millis(1)), self.renew()).await {
                Ok(Ok(())) => self.renewed = asked,
                Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => {
                    return LeaseLost { name: settings.name, why: "another replica has taken it".into() };
                }
                Ok(Err(error)) if self.renewed.elapsed() < settings.usable() => {
                    tracing::warn!(%error, lease = settings.name, "renewing the Lease");
                }
                Ok(Err(error)) => return LeaseLost { name: settings.name, why: error.to_string() },
                Err(_) => {
                    return LeaseLost { name: settings.name, why: "the API server does not answer".into() };
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), kube::Error> {
        match self.write().await {
            Err(kube::Error::Api(conflict)) if conflict.code == 409 => {
                // The answer to an earlier renewal may have been lost: then the Lease is newer, and ours.
                let stored = self.lease.api.get(&self.lease.settings.name).await?;
                let holder = stored.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder != Some(self.lease.settings.identity.as_str()) {
                    return Err(kube::Error::Api(conflict));
                }
                self.record = stored;
                self.write().await
            }
            result => result,
        }
    }

    async fn write(&mut self) -> Result<(), kube::Error> {
        let spec = self.lease.held(self.record.spec.as_ref());
        let renewed = Record { spec: Some(spec), ..self.record.clone() };
        self.record =
            self.lease.api.replace(&self.lease.settings.name, &PostParams::default(), &renewed).await?;
        Ok(())
    }

    /// Lets go, so that another replica leads at once.
    pub async fn release(mut self) {
        let mut spec = self.record.spec.take().unwrap_or_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(now()));
        let free = Record { spec: Some(spec), ..self.record };
        let parameters = PostParams::default();
        let replace = self.lease.api.replace(&self.lease.settings.name, &parameters, &free);
        match timeout(self.lease.settings.period, replace).await {
            Ok(Ok(_)) => tracing::info!(lease = self.lease.settings.name, "released the Lease"),
            Ok(Err(error)) => tracing::warn!(%error, "releasing the Lease; it runs out by itself"),
            Err(_) => tracing::warn!("releasing the Lease took too long; it runs out by itself"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a Lease holds the time for people to read; decisions use the monotonic clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
