//! What is written into a resource before it is judged: our finalizer, who asks for what it declares, and who decides.
//!
//! Nothing is checked here that can be checked later: a resource has not been held against its schema yet,
//! and what does not fit is told better there.

use std::sync::Arc;

use json_patch::{Patch, PatchOperation};

use super::change_approval::{self, Seen};
use super::event_topic::{finalized, stamped};
use super::request::{Operation, Request};
use super::review::{Outcome, Reviewer, kind, unknown};
use crate::api::{ChangeApproval, EventTopic, GovernedKind};
use crate::domain::approval::Rules;
use crate::domain::approval::annotations::{RequestAnnotations, StampContext, stamps};
use crate::domain::tenant::TenantFacts;

/// Not everything is known yet.
struct Early;

/// What is to be added to a resource.
pub(super) async fn mutate(request: &Request<'_>, this: &Reviewer) -> Outcome {
    let completed = match (kind(request), request.operation) {
        (_, Operation::Delete) => Ok(Outcome::Allowed(Vec::new())),
        ("EventTopic", Operation::Create | Operation::Update) => topic(request, this).await,
        ("ChangeApproval", Operation::Create) => approval(request, this).await,
        (_, Operation::Update) => Ok(Outcome::Allowed(Vec::new())),
        _ => Ok(unknown(request)),
    };
    completed.unwrap_or(Outcome::Early)
}

async fn topic(request: &Request<'_>, this: &Reviewer) -> Result<Outcome, Early> {
    let Some(Ok(new)) = request.proposed::<EventTopic>() else { return Ok(Outcome::Allowed(Vec::new())) };
    let old = request.stored::<EventTopic>().and_then(Result::ok);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let tenant = tenant(namespace, this).await?;
    let none = Rules::default();
    let rules = tenant.as_ref().map_or(&none, |tenant| &tenant.approval);
    // Without rules nobody has to know who asks, nor which seals are good.
    let stamps = if rules.govern(GovernedKind::EventTopic) {
        let (key, seals) = this.seal_keys.now().ok_or(Early)?;
        let by = StampContext {
            asker: request.user_info.asker(),
            rules,
            key,
            webhook: &seals.webhook,
            controllers: &seals.controllers,
            now: (this.clock)(),
        };
        match stamps(namespace, old.as_ref(), &new, &by) {
            Ok(stamps) => stamps,
            Err(refusal) => return Ok(Outcome::Refused(vec![refusal])),
        }
    } else {
        old.as_ref().map(RequestAnnotations::of).unwrap_or_default()
    };
    let finalizer = finalized(&new).filter(|_| request.operation == Operation::Create);
    Ok(patched(stamped(&new, &stamps).into_iter().chain(finalizer).collect()))
}

async fn approval(request: &Request<'_>, this: &Reviewer) -> Result<Outcome, Early> {
    let Some(Ok(new)) = request.proposed::<ChangeApproval>() else { return Ok(Outcome::Allowed(Vec::new())) };
    let namespace = request.namespace.as_deref().unwrap_or_default();
    // Without a tenant it is going to be refused.
    let Some(tenant) = tenant(namespace, this).await? else { return Ok(Outcome::Allowed(Vec::new())) };
    let (key, _) = this.seal_keys.now().ok_or(Early)?;
    let (user, rules) = (&request.user_info, &tenant.approval);
    let seen = Seen { namespace, user, rules, key, now: (this.clock)() };
    Ok(match change_approval::complete(&new, &seen, this).await {
        Ok(patch) => Outcome::Completed(patch),
        Err(refusal) => Outcome::Refused(vec![refusal]),
    })
}

/// The tenant of a namespace. One that was made just now may not be known yet, and then nothing would be stamped.
async fn tenant(namespace: &str, this: &Reviewer) -> Result<Option<Arc<TenantFacts>>, Early> {
    let ask = || this.cache.ask(|known| known.catalog.tenants().of_namespace(namespace).ok().cloned());
    if let Some(tenant) = ask().ok_or(Early)? {
        return Ok(Some(tenant));
    }
    this.cache.refresh(&this.kubernetes).await;
    ask().ok_or(Early)
}

fn patched(operations: Vec<PatchOperation>) -> Outcome {
    if operations.is_empty() { Outcome::Allowed(Vec::new()) } else { Outcome::Completed(Patch(operations)) }
}
