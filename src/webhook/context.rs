//! The state and the clients that reviews use.

use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::{Instant, timeout_at};

use super::cache::{Cache, Snapshot};
use super::metrics::Metrics;
use super::outcome::NotReady;
use super::seal_keys::SealKeys;
use super::target::GovernedKinds;
use crate::api::Kind;
use crate::domain::admission::Verdict;
use crate::domain::approval::Governed;
use crate::domain::tenant::TenantFacts;
use crate::kubernetes::KubeClient;
use crate::store::Recorder;

/// Maximum time that a refusal waits for watch events, because the watch is a few milliseconds behind the API server.
const WATCH_LAG: Duration = Duration::from_millis(10);

/// The same for a conflict with another topic, which may just have been deleted, for example by `kubectl delete` of a
/// folder. Such conflicts are rare, and the refusal would be final.
const WATCH_LAG_OF_TOPICS: Duration = Duration::from_millis(250);

/// The state and the clients that reviews use.
#[derive(Clone, Debug)]
pub struct ReviewContext {
    pub(super) cache: Arc<Cache>,
    pub(super) kubernetes: KubeClient,
    pub(super) metrics: Metrics,
    pub(super) seal_keys: Arc<SealKeys>,
    pub(super) targets: GovernedKinds,
    pub(super) recorder: Recorder,
    pub(super) clock: fn() -> Timestamp,
    /// Whether nothing is stored, so that reviews must have no effect.
    pub(super) is_dry_run: bool,
}

impl ReviewContext {
    /// The context of dry runs, whose seals are not trusted.
    pub(super) fn for_dry_run(&self) -> Self {
        Self { seal_keys: Arc::new(self.seal_keys.for_dry_run()), is_dry_run: true, ..self.clone() }
    }

    /// The current time.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The tenant of a namespace; it is listed if it was created a moment ago.
    pub(super) async fn tenant_of(&self, namespace: &str) -> Result<Option<Arc<TenantFacts>>, NotReady> {
        let find =
            || self.cache.read(|snapshot| snapshot.catalog.tenants().of_namespace(namespace).ok().cloned());
        if let Some(tenant) = find().ok_or(NotReady)? {
            return Ok(Some(tenant));
        }
        self.cache.refresh(&self.kubernetes).await;
        find().ok_or(NotReady)
    }

    /// The tenant whose approval rules cover a resource.
    pub(super) fn governing_tenant<K: Governed>(&self, resource: &K) -> Option<Arc<TenantFacts>> {
        let namespace = resource.namespace().unwrap_or_default();
        let tenant =
            self.cache.read(|snapshot| snapshot.catalog.tenants().of_namespace(&namespace).ok().cloned());
        tenant.flatten().filter(|tenant| tenant.approval.govern(&Kind::of::<K>()))
    }

    /// Judges a change by the snapshot. A Tenant and its topics are often applied together, and the watch may be behind
    /// the review, so the snapshot may catch up before anything is refused.
    pub(super) async fn judge(&self, judge: impl Fn(&Snapshot) -> Verdict) -> Result<Verdict, NotReady> {
        let mut changes = self.cache.changes();
        let mut verdict = self.cache.read(&judge).ok_or(NotReady)?;
        if concerns_platform(&verdict) {
            self.cache.refresh(&self.kubernetes).await;
            return self.cache.read(&judge).ok_or(NotReady);
        }
        let lag = if concerns_topics(&verdict) { WATCH_LAG_OF_TOPICS } else { WATCH_LAG };
        let deadline = Instant::now() + lag;
        while !verdict.refusals.is_empty() && timeout_at(deadline, changes.changed()).await.is_ok() {
            verdict = self.cache.read(&judge).ok_or(NotReady)?;
        }
        Ok(verdict)
    }
}

/// Whether the refusal depends on another topic, which may have been deleted.
fn concerns_topics(verdict: &Verdict) -> bool {
    let concerns = |reason: Reason| matches!(reason, Reason::ResourceConflict | Reason::ResourceInUse);
    verdict.refusals.first().is_some_and(|first| concerns(first.reason))
}

/// Whether the refusal depends on a Tenant or a KafkaCluster that may exist. Only a list request tells for certain; it
/// takes an API server up to a tenth of a second.
fn concerns_platform(verdict: &Verdict) -> bool {
    use Reason::{ClusterNotAllowed, ClusterNotFound, TenantNotFound, TenantSuspended};
    let concerns = |reason: Reason| {
        matches!(reason, ClusterNotAllowed | ClusterNotFound | TenantNotFound | TenantSuspended)
    };
    verdict.refusals.first().is_some_and(|first| concerns(first.reason))
}
