//! Tenants: whose declaration is in force, and how many topics each has.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use futures::FutureExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use tokio::time::{MissedTickBehavior, interval};

use super::report::write;
use super::{Context, Watched};
use crate::api::Tenant;
use crate::domain::backoff;
use crate::domain::condition::{self, READY};
use crate::domain::tenant::{Tenants, status};

/// How often the number of topics is brought up to date while topics come and go: a write a tenant
/// each time, however many topics there are.
const COUNT: Duration = Duration::from_secs(1);

/// Reads all tenants again, and wakes whoever that concerns.
pub(super) fn learn(context: &Context) {
    let tenants = context.tenants.state();
    let all = Tenants::of(tenants.iter().filter_map(|tenant| tenant.0.as_ref().ok()));
    let topics = context.topics.state();
    let concerned = context.world.set_tenants(all, topics.iter().filter_map(|topic| topic.0.as_ref().ok()));
    for topic in concerned {
        context.wake_topics.wake(Some(&topic.namespace), &topic.name);
    }
    // What one tenant has, another may have lost.
    for tenant in tenants.iter().filter(|tenant| is_wrong(context, tenant)) {
        context.wake_tenants.wake(None, &tenant.name_any());
    }
}

fn is_wrong(context: &Context, tenant: &Watched<Tenant>) -> bool {
    let Ok(tenant) = &tenant.0 else { return false };
    let said = tenant.status.as_ref().and_then(|status| condition::find(&status.conditions, READY));
    said.is_some_and(|ready| ready.reason != context.world.tenant(&tenant.name_any()).reason().as_str())
}

/// Brings a tenant's status up to date.
#[tracing::instrument(name = "tenant", skip_all, fields(tenant = %tenant.name_any()))]
pub(super) async fn reconcile(
    tenant: Arc<Watched<Tenant>>,
    context: Arc<Context>,
) -> Result<Action, Infallible> {
    context.wake_tenants.begin(&tenant);
    let visit = context.metrics.begin("Tenant");
    let tenant = match &tenant.0 {
        Ok(tenant) => tenant,
        Err(invalid) => {
            tracing::warn!(error = invalid.error, "a Tenant cannot be read");
            visit.end(Reason::InvalidResource.as_str());
            return Ok(Action::await_change());
        }
    };
    // After a start the topics are read last: what is not known yet stays as it was.
    let number = topics(&context, &[tenant])
        .and_then(|numbers| numbers.first().copied())
        .or_else(|| tenant.status.as_ref().and_then(|status| status.topics))
        .unwrap_or_default();
    let health = context.world.tenant(&tenant.name_any());
    let after = status(tenant, &health, number, (context.clock)());
    let outcome = write(&context, &context.wake_tenants, tenant, &after).await;
    if let Err(error) = &outcome {
        tracing::warn!(%error, "the status could not be written");
    }
    if outcome.is_ok() && condition::failing_since(&after.conditions).is_none() {
        context.wake_tenants.in_force(tenant);
    }
    visit.end(outcome.as_ref().map_or_else(|_| Reason::Internal.as_str(), |_| health.reason().as_str()));
    Ok(match outcome {
        Ok(_) => Action::await_change(),
        Err(_) => Action::requeue(backoff::SHORTEST),
    })
}

/// Wakes the tenants whose number of topics has changed, until it is dropped.
pub(super) async fn count(context: &Context) {
    let mut ticks = interval(COUNT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let read = context.topics.wait_until_ready().now_or_never().is_some();
        if !read || !context.world.take_topics_changed() {
            continue;
        }
        let all = context.tenants.state();
        let tenants: Vec<&Tenant> = all.iter().filter_map(|tenant| tenant.0.as_ref().ok()).collect();
        let numbers = topics(context, &tenants).unwrap_or_default();
        for (tenant, number) in tenants.iter().zip(numbers) {
            if tenant.status.as_ref().and_then(|status| status.topics) != Some(number) {
                context.wake_tenants.wake(None, &tenant.name_any());
            }
        }
    }
}

/// How many topics each tenant has; none until the topics have been read.
fn topics(context: &Context, tenants: &[&Tenant]) -> Option<Vec<i64>> {
    context.topics.wait_until_ready().now_or_never()?.ok()?;
    let mut by_namespace: HashMap<String, i64> = HashMap::new();
    for topic in context.topics.state() {
        *by_namespace.entry(topic.namespace().unwrap_or_default()).or_default() += 1;
    }
    let number = |namespace: &String| by_namespace.get(namespace).copied().unwrap_or_default();
    Some(tenants.iter().map(|tenant| tenant.spec.namespaces.iter().map(number).sum()).collect())
}
