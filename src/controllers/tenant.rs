//! Tenants: whose declaration is in force, and how much each has.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use futures::FutureExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use tokio::time::{MissedTickBehavior, interval};

use super::status::write_status;
use super::{Context, Watched};
use crate::api::{Tenant, TenantStatus};
use crate::domain::backoff;
use crate::domain::condition::{self, READY};
use crate::domain::tenant::{Counted, Tenants, status};
use crate::kubernetes::{EventRecord, EventType};

/// How often the number of topics is brought up to date while topics come and go: a write a tenant
/// each time, however many topics there are.
const COUNT: Duration = Duration::from_secs(1);

/// Reads all tenants again, and wakes whoever that concerns.
pub(super) fn learn(context: &Context) {
    let tenants = context.tenants.state();
    let all = Tenants::of(tenants.iter().filter_map(|tenant| tenant.0.as_ref().ok()));
    let topics = context.topics.state();
    let readable = topics.iter().filter_map(|topic| topic.0.as_ref().ok());
    let concerned = context.catalog.lock().set_tenants(all, readable);
    for topic in concerned {
        context.topic_queue.enqueue(Some(&topic.namespace), &topic.name);
    }
    // What one tenant has, another may have lost.
    for tenant in tenants.iter().filter(|tenant| is_wrong(context, tenant)) {
        context.tenant_queue.enqueue(None, &tenant.name_any());
    }
}

fn is_wrong(context: &Context, tenant: &Watched<Tenant>) -> bool {
    let Ok(tenant) = &tenant.0 else { return false };
    let said = tenant.status.as_ref().and_then(|status| condition::find(&status.conditions, READY));
    said.is_some_and(|ready| {
        ready.reason != context.catalog.lock().tenants().health(&tenant.name_any()).reason().as_str()
    })
}

/// Brings a tenant's status up to date.
#[tracing::instrument(name = "tenant", skip_all, fields(tenant = %tenant.name_any()))]
pub(super) async fn reconcile(
    tenant: Arc<Watched<Tenant>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.tenant_queue.begin(&tenant);
    let visit = context.metrics.begin("Tenant");
    let tenant = match &tenant.0 {
        Ok(tenant) => tenant,
        Err(invalid) => {
            tracing::warn!(error = invalid.error, "a Tenant cannot be read");
            visit.end(Reason::InvalidResource.as_str());
            return Ok(Action::await_change());
        }
    };
    let counted = counted(tenant, &context);
    let health = context.catalog.lock().tenants().health(&tenant.name_any());
    let after = status(tenant, &health, counted, (context.clock)());
    let outcome = write_status(&context, &context.tenant_queue, tenant, &after).await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the status could not be written");
    }
    if matches!(outcome, Ok(true)) {
        warn_of_quotas(tenant, &after, &context);
    }
    if outcome.is_ok() && condition::failing_since(&after.conditions).is_none() {
        context.tenant_queue.in_force(tenant);
    }
    visit.end(outcome.as_ref().map_or_else(|_| Reason::Internal.as_str(), |_| health.reason().as_str()));
    Ok(match outcome {
        Ok(_) => Action::await_change(),
        Err(_) => Action::requeue(backoff::SHORTEST),
    })
}

/// Wakes the tenants who have more or less than their status says, until it is dropped.
pub(super) async fn count(context: &Context) {
    let mut ticks = interval(COUNT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = context.topics.wait_until_ready().now_or_never().is_some();
        if !read || !context.catalog.lock().take_changed() {
            continue;
        }
        let all = context.tenants.state();
        let tenants: Vec<&Tenant> = all.iter().filter_map(|tenant| tenant.0.as_ref().ok()).collect();
        for tenant in tenants {
            if counted(tenant, context) != Counted::of(tenant.status.as_ref()) {
                context.tenant_queue.enqueue(None, &tenant.name_any());
            }
        }
    }
}

/// What a tenant's namespaces have. After a start the topics are read last: until then it stays as
/// it was said before.
fn counted(tenant: &Tenant, context: &Context) -> Counted {
    if context.topics.wait_until_ready().now_or_never().is_none() {
        return Counted::of(tenant.status.as_ref());
    }
    let catalog = context.catalog.lock();
    let topics = i64::try_from(catalog.topics_of(tenant).count()).unwrap_or(i64::MAX);
    Counted { topics: Some(topics), usage: catalog.usage(tenant) }
}

/// Tells of each quota that is nearly reached and was not before.
fn warn_of_quotas(tenant: &Tenant, after: &TenantStatus, context: &Context) {
    let facts = context.catalog.lock().tenants().by_name(&tenant.name_any()).cloned();
    let (Some(facts), Some(usage)) = (facts, after.usage) else { return };
    let before = tenant.status.as_ref().and_then(|status| status.usage).unwrap_or_default();
    let before: Vec<_> = facts.limits.nearly_reached(&before).into_iter().map(|near| near.quota).collect();
    for near in facts.limits.nearly_reached(&usage).into_iter().filter(|near| !before.contains(&near.quota)) {
        let message = format!("{near}: delete what is no longer needed, or raise the quota");
        tracing::info!(tenant = %facts.name, "{message}");
        let note =
            EventRecord { kind: EventType::Warning, reason: Reason::QuotaNearlyReached.as_str(), message };
        context.kubernetes.publish_event(tenant, note);
    }
}
