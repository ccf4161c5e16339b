//! Whether what a topic's resource declares may take effect, and what is done while it may not.
//!
//! What is in force is noted before anything is done for it in Kafka: first a ControllerRevision keeps the
//! declaration, then the status names it. So a kill in between leaves either what was in force before, or what is in
//! force now, and never something that nobody knows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt;

use super::super::Context;
use super::super::approval::without_revoked;
use super::super::connections::ClusterState;
use super::super::effect::{EffectError, chain};
use super::super::status::write_status;
use super::activation::{Activation, tell};
use super::{kafka_topic, wake};
use crate::api::{ApprovalAction, ApprovedSpec, Decision, EventTopic, GovernedChange};
use crate::domain::Failure;
use crate::domain::approval::active::{Evidence, in_force, kept, revision_name};
use crate::domain::approval::authorization::{Facts, Grant, PendingApproval, VerifiedDecision};
use crate::domain::approval::pending::{PendingStatus, Waiting};
use crate::domain::approval::{
    ActiveRecord, ActiveSpec, ApprovalState, Authorization, Request, Rules, SpecHash, Subject, authorize,
};
use crate::domain::audit::Action;
use crate::domain::tenant::TenantFacts;
use crate::domain::topic::deletion::{DeletionPlan, leaving};
use crate::domain::topic::diff::difference;
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Identity, ManagementMode, Observed, Permission, management_mode};
use crate::kubernetes::{StoredRevision, WriteError};

/// What a visit is about.
pub(super) struct ApprovalDecision<'t> {
    /// What is acted on: the resource, or what it was when it was last approved.
    pub(super) topic: Cow<'t, EventTopic>,
    /// What may be done.
    pub(super) way: Disposition,
    /// What is to be said.
    pub(super) standing: ApprovalReport,
}

/// What may be done.
pub(super) enum Disposition {
    /// What the topic declares.
    Apply,
    /// The same, once it is noted as in force.
    Activate(Activation),
    /// Nothing that the topic declares; this is how it stands instead, if that is known.
    Hold(Option<Outcome>),
}

/// How a resource stands with approvals.
pub(super) struct ApprovalReport {
    /// What is said of that.
    pub(super) consent: ApprovalState,
    /// The generation of the resource as it is.
    pub(super) generation: Option<i64>,
    /// What is noted as in force.
    pub(super) record: Option<ActiveRecord>,
}

impl ApprovalReport {
    /// Of a resource of which nothing is said about approvals that was not said before.
    pub(super) fn unasked(topic: &EventTopic) -> Self {
        Self { consent: ApprovalState::Unchanged, generation: topic.metadata.generation, record: None }
    }
}

/// Decides what a visit is about.
pub(super) async fn course<'t>(
    topic: &'t EventTopic,
    context: &Context,
) -> Result<ApprovalDecision<'t>, EffectError<WriteError>> {
    let act = |consent| ApprovalDecision {
        topic: Cow::Borrowed(topic),
        way: Disposition::Apply,
        standing: ApprovalReport { consent, ..ApprovalReport::unasked(topic) },
    };
    let tenant = context.catalog.lock().governing_tenant(topic);
    let Some(tenant) = tenant else {
        context.approvals.forget(topic.uid().as_deref());
        return Ok(act(match management_mode(topic) {
            Ok(ManagementMode::Paused) | Err(_) => ApprovalState::Unchanged,
            Ok(ManagementMode::Managed | ManagementMode::Unmanaged) => ApprovalState::NotGoverned,
        }));
    };
    match management_mode(topic) {
        Ok(ManagementMode::Managed) => governed(topic, &tenant, context).await,
        Ok(ManagementMode::Unmanaged) => Ok(act(ApprovalState::NotGoverned)),
        Ok(ManagementMode::Paused) | Err(_) => Ok(act(ApprovalState::Unchanged)),
    }
}

async fn governed<'t>(
    topic: &'t EventTopic,
    tenant: &TenantFacts,
    context: &Context,
) -> Result<ApprovalDecision<'t>, EffectError<WriteError>> {
    let mut asked = ApprovalContext::of(topic, &tenant.approval, context);
    let in_force = asked.in_force(context).await?;
    let standing = |consent, record| ApprovalReport { consent, record, ..ApprovalReport::unasked(topic) };
    if let ActiveSpec::Current(record) = in_force {
        let record = settled(&asked, record, context).await?;
        let standing = standing(ApprovalState::Approved, Some(record));
        return Ok(ApprovalDecision { topic: Cow::Borrowed(topic), way: Disposition::Apply, standing });
    }
    let existing = match in_force.depends_on_kafka(&topic.spec) {
        true => look(topic, context).await,
        false => TopicLookup::Has(None),
    };
    let known = match &existing {
        TopicLookup::Has(observed) => observed.as_ref(),
        TopicLookup::Failed(_) | TopicLookup::Unknown => None,
    };
    let changes = in_force.touched(&topic.spec, known);
    let record = match &in_force {
        ActiveSpec::Previous(record, _) => Some(record.clone()),
        _ => None,
    };
    match (asked.decide(ApprovalAction::Apply, &changes, context).await?, existing) {
        (Authorization::Granted(opened), TopicLookup::Has(_)) => {
            let decided = asked.decided(&opened);
            let live = Activation { hash: asked.hash, opened, changes, decided };
            let standing = standing(ApprovalState::Approved, record);
            Ok(ApprovalDecision { topic: Cow::Borrowed(topic), way: Disposition::Activate(live), standing })
        }
        // What it would change is not known.
        (Authorization::Granted(_), existing) => {
            let standing = standing(ApprovalState::Unchanged, record);
            Ok(ApprovalDecision {
                topic: Cow::Borrowed(topic),
                way: Disposition::Hold(existing.failure()),
                standing,
            })
        }
        (Authorization::Pending(held), existing) => {
            let diff = difference(in_force.base(), &topic.spec);
            let lost = match &in_force {
                ActiveSpec::Unknown(why) => Some(why.as_str()),
                _ => None,
            };
            let request = asked.request.as_ref();
            let (subject, hash) = (&asked.subject, &asked.hash);
            let action = ApprovalAction::Apply;
            let waiting = Waiting { subject, action, hash, held: &held, request, diff: &diff, lost };
            let withheld = waiting.told(topic.status.as_ref(), asked.now);
            let instead = in_force.instead_of(topic);
            let way = match (&instead, existing) {
                (Some(_), _) => Disposition::Apply,
                (None, TopicLookup::Has(_)) => {
                    Disposition::Hold(Some(Outcome::Refused(withheld.refusal.clone())))
                }
                (None, existing) => Disposition::Hold(existing.failure()),
            };
            Ok(ApprovalDecision {
                topic: instead.map_or(Cow::Borrowed(topic), Cow::Owned),
                way,
                standing: standing(ApprovalState::Pending(Box::new(withheld)), record),
            })
        }
    }
}

/// What Kafka has under the name that a resource declares.
enum TopicLookup {
    /// This, or nothing.
    Has(Option<Observed>),
    /// It did not say.
    Failed(Outcome),
    /// It was not asked: the resource is refused before that, or its cluster is not known yet.
    Unknown,
}

impl TopicLookup {
    fn failure(self) -> Option<Outcome> {
        match self {
            Self::Failed(outcome) => Some(outcome),
            Self::Has(_) | Self::Unknown => None,
        }
    }
}

async fn look(topic: &EventTopic, context: &Context) -> TopicLookup {
    let right = context.catalog.lock().check(topic);
    let Ok(Permission::Managed(identity, _)) = right else { return TopicLookup::Unknown };
    match context.connections.reach(&identity.cluster) {
        ClusterState::Available(kafka) => match kafka.describe_topic(&identity.topic).await {
            Ok(observed) => TopicLookup::Has(observed),
            Err(error) => TopicLookup::Failed(Outcome::Failed(error.failure())),
        },
        ClusterState::Unavailable(reason) => {
            TopicLookup::Failed(Outcome::Failed(Failure::retryable(kafka_topic::away(&identity, reason))))
        }
        ClusterState::Unknown => TopicLookup::Unknown,
    }
}

/// What is known of what a resource asks for.
struct ApprovalContext<'a> {
    topic: &'a EventTopic,
    subject: Subject,
    hash: SpecHash,
    record: Option<ActiveRecord>,
    request: Option<Request>,
    decisions: Vec<VerifiedDecision>,
    rules: &'a Rules,
    now: Timestamp,
}

impl<'a> ApprovalContext<'a> {
    fn of(topic: &'a EventTopic, rules: &'a Rules, context: &Context) -> Self {
        let (subject, hash) = (Subject::topic(topic), SpecHash::of(&topic.spec));
        let record = context.approvals.record(topic);
        let waits = !record.as_ref().is_some_and(|record| record.is_of(&hash));
        let leaves = topic.metadata.deletion_timestamp.is_some();
        // What is in force asks for nothing.
        let (request, decisions) = match waits || leaves {
            true => {
                let keys = context.approvals.webhook();
                let request = Request::verified(topic, &subject, &hash, &keys);
                (request, context.approvals.decisions(&subject, &hash, &keys))
            }
            false => (None, Vec::new()),
        };
        Self { topic, subject, hash, record, request, decisions, rules, now: (context.clock)() }
    }

    /// What is in force. Kubernetes is asked only if it is another content than is declared.
    async fn in_force(&self, context: &Context) -> Result<ActiveSpec, WriteError> {
        let mut traces = Evidence { record: self.record.clone(), ..Evidence::default() };
        let stored;
        match &self.record {
            // A note that this process has not seen yet.
            Some(record) if record.is_of(&self.hash) && !context.approvals.remembers(self.topic) => {
                traces.stale = self.is_stale(record, context).await?;
            }
            Some(record) if record.is_of(&self.hash) => {}
            Some(record) => {
                stored = match &record.as_status().revision {
                    Some(name) => context.kubernetes.get_approved_revision(self.topic, name).await?,
                    None => None,
                };
                traces.kept = stored.as_ref();
            }
            None => traces.any = !context.kubernetes.list_approved_revisions(self.topic).await?.is_empty(),
        }
        Ok(in_force(self.topic, &self.hash, traces))
    }

    /// Whether what a note names is not what is kept: what is in force is, and what was in force before is not for
    /// long. Before there were rules nothing was.
    async fn is_stale(&self, record: &ActiveRecord, context: &Context) -> Result<bool, WriteError> {
        match &record.as_status().revision {
            Some(name) => Ok(context.kubernetes.get_approved_revision(self.topic, name).await?.is_none()),
            None => {
                let kept = context.kubernetes.list_approved_revisions(self.topic).await?;
                // Kept a moment ago, and the note of it was not written any more.
                let this = revision_name(&self.subject, &self.hash);
                Ok(kept.iter().any(|name| *name != this))
            }
        }
    }

    /// Whether a change may take effect. If it may because people have approved it, they have to have the right to
    /// do so still, as far as that can be asked without their other groups.
    async fn decide(
        &mut self,
        action: ApprovalAction,
        changes: &BTreeSet<GovernedChange>,
        context: &Context,
    ) -> Result<Authorization, WriteError> {
        let gate = self.authorize(action, changes);
        if !matches!(gate, Authorization::Granted(Grant::Approved(_))) {
            return Ok(gate);
        }
        let decisions = std::mem::take(&mut self.decisions);
        self.decisions = without_revoked(decisions, &self.subject, &context.kubernetes).await?;
        Ok(self.authorize(action, changes))
    }

    fn authorize(&self, action: ApprovalAction, changes: &BTreeSet<GovernedChange>) -> Authorization {
        authorize(&Facts {
            subject: &self.subject,
            action,
            hash: &self.hash,
            changes,
            request: self.request.as_ref(),
            decisions: &self.decisions,
            rules: self.rules,
            now: self.now,
        })
    }

    /// When the decision was made that was the last one missing.
    fn decided(&self, opened: &Grant) -> Option<Timestamp> {
        let Grant::Approved(people) = opened else { return None };
        let theirs = self.decisions.iter().filter(|decision| {
            decision.decision == Decision::Approve && people.contains(&decision.approver.username)
        });
        theirs.map(|decision| decision.at).max()
    }
}

/// The note of what is in force as it should be: with a ControllerRevision, of this generation, sealed with the key
/// of today. When a tenant begins to have rules, what is in force is kept so that it is known after the next change.
async fn settled(
    asked: &ApprovalContext<'_>,
    record: ActiveRecord,
    context: &Context,
) -> Result<ActiveRecord, EffectError<WriteError>> {
    let said = record.as_status();
    let is_settled = said.revision.is_some()
        && said.generation == asked.subject.generation
        && context.approvals.key().is_named_by(&said.seal);
    if is_settled {
        return Ok(record);
    }
    let revision = match said.revision.clone() {
        Some(revision) => revision,
        None => keep(asked.topic, &asked.subject, &asked.hash, context).await?,
    };
    Ok(ActiveRecord::of(&asked.subject, &asked.hash, Some(revision), said.at, context.approvals.key()))
}

/// Keeps what a resource declares.
async fn keep(
    topic: &EventTopic,
    subject: &Subject,
    hash: &SpecHash,
    context: &Context,
) -> Result<String, EffectError<WriteError>> {
    let name = revision_name(subject, hash);
    let revision = StoredRevision { name: name.clone(), number: subject.generation, data: kept(&topic.spec) };
    let what = format!("ControllerRevision {name} keeps generation {}, content {hash}", subject.generation);
    let keep = context.kubernetes.store_approved_revision(topic, revision);
    context.effect(topic, Action::KeepRevision, what, keep).await?;
    Ok(name)
}

/// Notes that what a resource declares is in force from now on. Returns the resource with that note.
pub(super) async fn activate(
    topic: &EventTopic,
    live: &Activation,
    context: &Context,
) -> Result<(EventTopic, ActiveRecord), EffectError<WriteError>> {
    let subject = Subject::topic(topic);
    let revision = keep(topic, &subject, &live.hash, context).await?;
    let now = (context.clock)();
    let record = ActiveRecord::of(&subject, &live.hash, Some(revision), now, context.approvals.key());
    let mut status = topic.status.clone().unwrap_or_default();
    status.approved = Some(record.as_status().clone());
    let note = write_status(context, &context.topic_queue, topic, &status);
    match live.begins(topic, context) {
        Some(begins) => drop(context.run_recorded(begins, note).await?),
        None => drop(note.await?),
    }
    context.approvals.remember(topic, record.clone());
    let topic = EventTopic { status: Some(status), ..topic.clone() };
    // From now on its access counts beside that of others.
    let concerned = context.catalog.lock().upsert(&topic);
    wake(context, concerned);
    tell(&topic, live, context);
    Ok((topic, record))
}

/// Takes away what is kept of a resource besides what is in force. What cannot be taken away now is with the next
/// change, or with the resource.
pub(super) async fn tidy(topic: &EventTopic, record: &ApprovedSpec, context: &Context) {
    if let Err(error) = forget(topic, record.revision.as_deref(), context).await {
        tracing::debug!(error = %chain(&error), "what was in force before is still kept");
    }
}

async fn forget(
    topic: &EventTopic,
    but: Option<&str>,
    context: &Context,
) -> Result<(), EffectError<WriteError>> {
    let kept = context.kubernetes.list_approved_revisions(topic).await?;
    for name in kept.iter().filter(|name| but != Some(name.as_str())) {
        let what = format!("ControllerRevision {name} is not in force any more");
        let forget = context.kubernetes.delete_approved_revision(topic, name);
        context.effect(topic, Action::ForgetRevision, what, forget).await?;
    }
    Ok(())
}

/// The note for a topic that is in force where nothing needs approval, so that rules which come later know what
/// is. It is part of a status that is written anyway, and made once for each generation.
pub(super) fn noted(topic: &EventTopic, now: Timestamp, context: &Context) -> Option<ActiveRecord> {
    let said = topic.status.as_ref().and_then(|status| status.approved.as_ref());
    let key = context.approvals.key();
    let is_noted = said.is_some_and(|said| {
        Some(said.generation) == topic.metadata.generation && key.is_named_by(&said.seal)
    });
    if is_noted {
        return None;
    }
    Some(ActiveRecord::of(&Subject::topic(topic), &SpecHash::of(&topic.spec), None, now, key))
}

/// How a resource goes.
pub(super) struct DeletionDecision<'t> {
    /// What goes: what the resource declares, but nothing is deleted that was never approved.
    pub(super) topic: Cow<'t, EventTopic>,
    /// Why its data may be deleted, where that needs approval.
    pub(super) live: Option<Activation>,
}

/// Decides whether a resource that is being deleted may go, and its data with it; or else what it waits for.
pub(super) async fn going<'t>(
    topic: &'t EventTopic,
    context: &Context,
) -> Result<Result<DeletionDecision<'t>, Box<PendingStatus>>, WriteError> {
    let tenant = context.catalog.lock().governing_tenant(topic);
    let Some(tenant) = tenant else {
        return Ok(Ok(DeletionDecision { topic: Cow::Borrowed(topic), live: None }));
    };
    let mut asked = ApprovalContext::of(topic, &tenant.approval, context);
    let in_force = asked.in_force(context).await?;
    let leaving = leaving(topic, &in_force);
    let farewell = context.catalog.lock().plan_deletion(&leaving);
    let DeletionPlan::DeleteKafkaTopic(identity) = farewell else {
        return Ok(Ok(DeletionDecision { topic: leaving, live: None }));
    };
    asked.of_deletion();
    let changes = BTreeSet::from([GovernedChange::Delete]);
    Ok(match asked.decide(ApprovalAction::Delete, &changes, context).await? {
        Authorization::Granted(opened) => {
            let decided = asked.decided(&opened);
            let live = Activation { hash: asked.hash, opened, changes, decided };
            Ok(DeletionDecision { topic: leaving, live: Some(live) })
        }
        Authorization::Pending(held) => Err(Box::new(asked.waits_to_go(&held, &identity))),
    })
}

impl ApprovalContext<'_> {
    /// Whoever asked for the deletion is known to the webhook only, which has held it against who approved it. When
    /// Kubernetes notes that a resource is to be deleted it counts that as a new generation, and the content stays.
    fn of_deletion(&mut self) {
        let generation = self.subject.generation;
        for decision in &mut self.decisions {
            if decision.action == ApprovalAction::Delete && decision.generation == generation - 1 {
                decision.generation = generation;
            }
        }
        self.request = Some(Request::of_deletion(&self.subject, &self.hash, None, self.now));
    }

    fn waits_to_go(&self, held: &PendingApproval, identity: &Identity) -> PendingStatus {
        let diff = [format!("Kafka topic {identity} and its data are deleted")];
        let waiting = Waiting {
            subject: &self.subject,
            action: ApprovalAction::Delete,
            hash: &self.hash,
            held,
            request: None,
            diff: &diff,
            lost: None,
        };
        waiting.told(self.topic.status.as_ref(), self.now)
    }
}
