//! Tenants: health and usage.

use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use tokio::time::{MissedTickBehavior, interval};

use super::context::Context;
use super::queue::Watched;
use super::runtime::{Informer, ReconcileResult, Reconciled, Reconciler, requeue_after_status_error};
use super::services::Services;
use super::status::write_status;
use crate::api::{Tenant, TenantStatus};
use crate::domain::catalog::TenantChange;
use crate::domain::condition::{self, READY};
use crate::domain::tenant::{TenantCounts, Tenants, build_status};
use crate::domain::{Failure, backoff};
use crate::kubernetes::{EventRecord, EventType};

/// Interval of usage updates: at most one status write for each tenant.
const USAGE_INTERVAL: Duration = Duration::from_secs(1);

/// Rebuilds the tenants of the catalog, and enqueues the affected resources.
fn update_catalog(context: &Context) {
    let tenants = context.tenants.objects.state();
    let all = Tenants::of(tenants.iter().filter_map(|tenant| tenant.0.as_ref().ok()));
    let topics = context.topics.objects.state();
    let readable = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    let TenantChange { namespaces, topics } = context.services.catalog.lock().set_tenants(all, readable);
    context.enqueue_topics(topics);
    for queue in context.governed.values() {
        queue.enqueue_namespaces(&namespaces);
    }
    // A namespace or prefix that one tenant gained may be one that another lost.
    for tenant in tenants.iter().filter(|tenant| is_outdated(context, tenant)) {
        context.tenants.queue.enqueue(None, &tenant.name_any());
    }
}

/// Whether the status of a tenant reports another health than it has now.
fn is_outdated(context: &Context, tenant: &Watched<Tenant>) -> bool {
    let Ok(tenant) = &tenant.0 else { return false };
    let reported = tenant.status.as_ref().and_then(|status| condition::find(&status.conditions, READY));
    reported.is_some_and(|ready| {
        ready.reason != context.services.catalog.lock().tenants().health(&tenant.name_any()).reason().as_str()
    })
}

/// Reconciles Tenants.
pub(super) struct TenantReconciler(pub(super) Arc<Context>);

impl Reconciler for TenantReconciler {
    type Object = Tenant;

    fn services(&self) -> &Services {
        &self.0.services
    }

    fn informer(&self) -> &Informer<Tenant> {
        &self.0.tenants
    }

    fn object_changed(&self, _: &Watched<Tenant>) {
        update_catalog(&self.0);
    }

    fn object_deleted(&self, _: &Watched<Tenant>) {
        update_catalog(&self.0);
    }

    fn objects_listed(&self) {
        update_catalog(&self.0);
    }

    async fn reconcile(&self, tenant: &Tenant) -> ReconcileResult {
        let context = &*self.0;
        let counted = count(tenant, context);
        let health = context.services.catalog.lock().tenants().health(&tenant.name_any());
        let after = build_status(tenant, &health, counted, context.services.now());
        match write_status(&context.services, &context.tenants.queue, tenant, &after).await {
            Ok(true) => warn_of_quotas(tenant, &after, context),
            Ok(false) => {}
            Err(error) => return Ok(requeue_after_status_error(&error, backoff::MIN_DELAY)),
        }
        if condition::failing_since(&after.conditions).is_none() {
            context.tenants.queue.observe_active(tenant);
        }
        Ok(Reconciled::until_change(health.reason()))
    }

    async fn report_failure(&self, _: &Tenant, failure: Failure) -> ReconcileResult {
        Ok(Reconciled::requeue(failure.refusal.reason, backoff::MIN_DELAY))
    }
}

/// Enqueues the tenants whose usage differs from their status, until dropped.
pub(super) async fn follow_usage(context: &Context) {
    let mut ticks = interval(USAGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let is_synced = context.topics.is_synced();
        if !is_synced || !context.services.catalog.lock().take_changed() {
            continue;
        }
        let all = context.tenants.objects.state();
        let tenants: Vec<&Tenant> = all.iter().filter_map(|tenant| tenant.0.as_ref().ok()).collect();
        for tenant in tenants {
            if count(tenant, context) != TenantCounts::of(tenant.status.as_ref()) {
                context.tenants.queue.enqueue(None, &tenant.name_any());
            }
        }
    }
}

/// The usage of a tenant's namespaces; the previous status until the topics are listed, which happens last after a
/// start.
fn count(tenant: &Tenant, context: &Context) -> TenantCounts {
    if !context.topics.is_synced() {
        return TenantCounts::of(tenant.status.as_ref());
    }
    let catalog = context.services.catalog.lock();
    let topics = i64::try_from(catalog.topics_of(tenant).count()).unwrap_or(i64::MAX);
    TenantCounts { topics: Some(topics), usage: catalog.usage(tenant) }
}

/// Publishes an Event for each quota that is nearly reached and was not before.
fn warn_of_quotas(tenant: &Tenant, after: &TenantStatus, context: &Context) {
    let facts = context.services.catalog.lock().tenants().by_name(&tenant.name_any()).cloned();
    let (Some(facts), Some(usage)) = (facts, after.usage) else { return };
    let before = tenant.status.as_ref().and_then(|status| status.usage).unwrap_or_default();
    let before: Vec<_> = facts.limits.near_limits(&before).into_iter().map(|near| near.quota).collect();
    for near in facts.limits.near_limits(&usage).into_iter().filter(|near| !before.contains(&near.quota)) {
        let message = format!("{near}: delete what is no longer needed, or raise the quota");
        tracing::info!(tenant = %facts.name, "{message}");
        let event =
            EventRecord { kind: EventType::Warning, reason: Reason::QuotaNearlyReached.as_str(), message };
        context.services.kubernetes.publish_event(tenant, event);
    }
}
