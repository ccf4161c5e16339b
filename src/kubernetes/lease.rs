//! Leader election by a Lease (coordination.k8s.io).
//!
//! A candidate takes a Lease without a holder, or one that has not changed for its duration by the
//! candidate's own clock, so that clocks of different machines are never compared.
//! Every write is a replace with the resourceVersion that was read: one of two candidates wins.
//! The leader renews well before the Lease expires, and stops its work if it cannot renew.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::PostParams;
use tokio::time::{Instant, sleep, timeout};

use super::KubeClient;
use super::timeout::in_time;

/// Settings of the leader election.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Name of the Lease in the operator's namespace.
    pub name: String,
    /// The unique name of this replica.
    pub identity: String,
    /// After this time without a renewal another replica may lead.
    pub duration: Duration,
    /// Interval between renewals, and between attempts of a candidate.
    pub period: Duration,
}

impl LeaseSettings {
    /// How long a renewal is valid for this replica: the last third of the duration is for stopping.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }
}

/// A Lease that this replica can acquire.
pub struct Lease {
    api: Api<Record>,
    settings: LeaseSettings,
}

/// The Lease while this replica leads.
pub struct Leadership {
    lease: Lease,
    record: Record,
    /// When the last successful renewal was sent.
    renewed: Instant,
}

/// This replica lost the Lease: another one may lead, so all its work has to stop.
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
    /// Waits until this replica leads. Calls `another_leads` once if another replica holds the Lease.
    pub async fn acquire(self, another_leads: impl FnOnce()) -> Leadership {
        // The resourceVersion of another holder's Lease, and since when it has not changed.
        let mut observed: Option<(Option<String>, Instant)> = None;
        let mut another_leads = Some(another_leads);
        loop {
            let sent = Instant::now();
            match self.try_acquire(&mut observed).await {
                Ok(Some(record)) if sent.elapsed() < self.settings.renew_deadline() => {
                    return Leadership { lease: self, record, renewed: sent };
                }
                Ok(Some(_)) => {
                    tracing::warn!("acquiring the Lease took longer than it is valid; trying again")
                }
                Ok(None) => {
                    if let Some(call) = another_leads.take() {
                        call();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, lease = self.settings.name, "cannot acquire the Lease; trying again")
                }
            }
            sleep(self.settings.period.min(Duration::from_secs(1))).await;
        }
    }

    async fn try_acquire(
        &self,
        observed: &mut Option<(Option<String>, Instant)>,
    ) -> Result<Option<Record>, kube::Error> {
        let Some(record) = in_time(self.api.get_opt(&self.settings.name)).await? else {
            let record = Record {
                metadata: ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return without_conflict(in_time(self.api.create(&PostParams::default(), &record)).await);
        };
        let spec = record.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if !holder.is_empty() && holder != self.settings.identity {
            let version = record.metadata.resource_version.clone();
            let duration =
                Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default().unsigned_abs().into());
            match observed {
                Some((before, since)) if *before == version && since.elapsed() >= duration => {}
                Some((before, _)) if *before == version => return Ok(None),
                _ => {
                    *observed = Some((version, Instant::now()));
                    return Ok(None);
                }
            }
        }
        let taken = Record { spec: Some(self.spec(Some(&spec))), ..record };
        without_conflict(in_time(self.api.replace(&self.settings.name, &PostParams::default(), &taken)).await)
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
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

/// A conflict with another candidate is no error.
fn without_conflict(result: Result<Record, kube::Error>) -> Result<Option<Record>, kube::Error> {
    match result {
        Ok(record) => Ok(Some(record)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

impl Leadership {
    /// Renews the Lease until that fails. Returns early enough to stop before another replica leads.
    pub async fn renew(&mut self) -> LeaseLost {
        let settings = self.lease.settings.clone();
        loop {
            sleep(settings.period.min(settings.renew_deadline().saturating_sub(self.renewed.elapsed())))
                .await;
            let sent = Instant::now();
            let remaining = settings.renew_deadline().saturating_sub(self.renewed.elapsed());
            match timeout(remaining.max(Duration::from_millis(1)), self.renew_once()).await {
                Ok(Ok(())) => self.renewed = sent,
                Ok(Err(kube::Error::Api(status))) if status.code == 409 || status.code == 404 => {
                    return LeaseLost { name: settings.name, why: "another replica has taken it".into() };
                }
                Ok(Err(error)) if self.renewed.elapsed() < settings.renew_deadline() => {
                    tracing::warn!(%error, lease = settings.name, "cannot renew the Lease; trying again");
                }
                Ok(Err(error)) => return LeaseLost { name: settings.name, why: error.to_string() },
                Err(_) => {
                    return LeaseLost { name: settings.name, why: "the API server does not answer".into() };
                }
            }
        }
    }

    async fn renew_once(&mut self) -> Result<(), kube::Error> {
        match self.replace().await {
            Err(kube::Error::Api(conflict)) if conflict.code == 409 => {
                // The response to an earlier renewal may be lost: then the Lease is newer and still held by this replica.
                let stored = self.lease.api.get(&self.lease.settings.name).await?;
                let holder = stored.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                if holder != Some(self.lease.settings.identity.as_str()) {
                    return Err(kube::Error::Api(conflict));
                }
                self.record = stored;
                self.replace().await
            }
            result => result,
        }
    }

    async fn replace(&mut self) -> Result<(), kube::Error> {
        let spec = self.lease.spec(self.record.spec.as_ref());
        let renewed = Record { spec: Some(spec), ..self.record.clone() };
        self.record =
            self.lease.api.replace(&self.lease.settings.name, &PostParams::default(), &renewed).await?;
        Ok(())
    }

    /// Clears the holder, so that another replica can lead at once.
    pub async fn release(mut self) {
        let mut spec = self.record.spec.take().unwrap_or_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(now()));
        let free = Record { spec: Some(spec), ..self.record };
        let parameters = PostParams::default();
        let replace = self.lease.api.replace(&self.lease.settings.name, &parameters, &free);
        match timeout(self.lease.settings.period, replace).await {
            Ok(Ok(_)) => tracing::info!(lease = self.lease.settings.name, "released the Lease"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the Lease; it expires by itself"),
            Err(_) => tracing::warn!("releasing the Lease took too long; it expires by itself"),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a Lease shows the wall-clock time; decisions use the monotonic clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
