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
use super::super::connections::Reach;
use super::super::effect::{Undone, chain};
use super::super::report::write;
use super::live::{Live, tell};
use super::{visit, wake};
use crate::api::{ApprovalAction, ApprovedSpec, Decision, EventTopic, GovernedChange};
use crate::cluster::{StoredRevision, WriteError};
use crate::domain::approval::gate::{Facts, Held, Opened, Voice};
use crate::domain::approval::pending::{Waiting, Withheld};
use crate::domain::approval::record::{Traces, in_force, kept, revision_name};
use crate::domain::approval::{
    Consent, Gate, InForce, Record, Request, Rules, SpecHash, Subject, gate, topic,
};
use crate::domain::audit::Action;
use crate::domain::tenant::TenantFacts;
use crate::domain::topic::farewell::{Farewell, leaving};
use crate::domain::topic::status::Outcome;
use crate::domain::topic::{Attention, Identity, Observed, Right, attention};

/// What a visit is about.
pub(super) struct Course<'t> {
    /// What is acted on: the resource, or what it was when it was last approved.
    pub(super) topic: Cow<'t, EventTopic>,
    /// What may be done.
    pub(super) way: Way,
    /// What is to be said.
    pub(super) standing: Standing,
}

/// What may be done.
pub(super) enum Way {
    /// What the topic declares.
    Act,
    /// The same, once it is noted as in force.
    GoLive(Live),
    /// Nothing that the topic declares; this is how it stands instead, if that is known.
    Hold(Option<Outcome>),
}

/// How a resource stands with approvals.
pub(super) struct Standing {
    /// What is said of that.
    pub(super) consent: Consent,
    /// The generation of the resource as it is.
    pub(super) generation: Option<i64>,
    /// What is noted as in force.
    pub(super) record: Option<Record>,
}

impl Standing {
    /// Of a resource of which nothing is said about approvals that was not said before.
    pub(super) fn unasked(topic: &EventTopic) -> Self {
        Self { consent: Consent::Unasked, generation: topic.metadata.generation, record: None }
    }
}

/// Decides what a visit is about.
pub(super) async fn course<'t>(
    topic: &'t EventTopic,
    context: &Context,
) -> Result<Course<'t>, Undone<WriteError>> {
    let act = |consent| Course {
        topic: Cow::Borrowed(topic),
        way: Way::Act,
        standing: Standing { consent, ..Standing::unasked(topic) },
    };
    let tenant = context.world.now().governing(topic);
    let Some(tenant) = tenant else {
        context.approvals.forget(topic.uid().as_deref());
        return Ok(act(match attention(topic) {
            Ok(Attention::Paused) | Err(_) => Consent::Unasked,
            Ok(Attention::Managed | Attention::Unmanaged) => Consent::Ungoverned,
        }));
    };
    match attention(topic) {
        Ok(Attention::Managed) => governed(topic, &tenant, context).await,
        Ok(Attention::Unmanaged) => Ok(act(Consent::Ungoverned)),
        Ok(Attention::Paused) | Err(_) => Ok(act(Consent::Unasked)),
    }
}

async fn governed<'t>(
    topic: &'t EventTopic,
    tenant: &TenantFacts,
    context: &Context,
) -> Result<Course<'t>, Undone<WriteError>> {
    let mut asked = Asked::of(topic, &tenant.approval, context);
    let in_force = asked.in_force(context).await?;
    let standing = |consent, record| Standing { consent, record, ..Standing::unasked(topic) };
    if let InForce::Declared(record) = in_force {
        let record = settled(&asked, record, context).await?;
        let standing = standing(Consent::Given, Some(record));
        return Ok(Course { topic: Cow::Borrowed(topic), way: Way::Act, standing });
    }
    let existing = match in_force.depends_on_kafka(&topic.spec) {
        true => look(topic, context).await,
        false => Look::Has(None),
    };
    let known = match &existing {
        Look::Has(observed) => observed.as_ref(),
        Look::Failed(_) | Look::Unknown => None,
    };
    let changes = in_force.touched(&topic.spec, known);
    let record = match &in_force {
        InForce::Before(record, _) => Some(record.clone()),
        _ => None,
    };
    match (asked.decide(ApprovalAction::Apply, &changes, context).await?, existing) {
        (Gate::Open(opened), Look::Has(_)) => {
            let decided = asked.decided(&opened);
            let live = Live { hash: asked.hash, opened, changes, decided };
            let standing = standing(Consent::Given, record);
            Ok(Course { topic: Cow::Borrowed(topic), way: Way::GoLive(live), standing })
        }
        // What it would change is not known.
        (Gate::Open(_), existing) => {
            let standing = standing(Consent::Unasked, record);
            Ok(Course { topic: Cow::Borrowed(topic), way: Way::Hold(existing.failure()), standing })
        }
        (Gate::Held(held), existing) => {
            let diff = topic::difference(in_force.base(), &topic.spec);
            let lost = match &in_force {
                InForce::Lost(why) => Some(why.as_str()),
                _ => None,
            };
            let request = asked.request.as_ref();
            let (subject, hash) = (&asked.subject, &asked.hash);
            let action = ApprovalAction::Apply;
            let waiting = Waiting { subject, action, hash, held: &held, request, diff: &diff, lost };
            let withheld = waiting.told(topic.status.as_ref(), asked.now);
            let instead = in_force.instead_of(topic);
            let way = match (&instead, existing) {
                (Some(_), _) => Way::Act,
                (None, Look::Has(_)) => Way::Hold(Some(Outcome::Refused(withheld.refusal.clone()))),
                (None, existing) => Way::Hold(existing.failure()),
            };
            Ok(Course {
                topic: instead.map_or(Cow::Borrowed(topic), Cow::Owned),
                way,
                standing: standing(Consent::Withheld(Box::new(withheld)), record),
            })
        }
    }
}

/// What Kafka has under the name that a resource declares.
enum Look {
    /// This, or nothing.
    Has(Option<Observed>),
    /// It did not say.
    Failed(Outcome),
    /// It was not asked: the resource is refused before that, or its cluster is not known yet.
    Unknown,
}

impl Look {
    fn failure(self) -> Option<Outcome> {
        match self {
            Self::Failed(outcome) => Some(outcome),
            Self::Has(_) | Self::Unknown => None,
        }
    }
}

async fn look(topic: &EventTopic, context: &Context) -> Look {
    let right = context.world.now().consider(topic);
    let Ok(Right::Managed(identity, _)) = right else { return Look::Unknown };
    match context.connections.reach(&identity.cluster) {
        Reach::Answers(kafka) => match kafka.observe(&identity.topic).await {
            Ok(observed) => Look::Has(observed),
            Err(error) => {
                Look::Failed(Outcome::Failed { stalled: error.is_stalled(), refusal: error.refusal() })
            }
        },
        Reach::Away(reason) => {
            Look::Failed(Outcome::Failed { refusal: visit::away(&identity, reason), stalled: false })
        }
        Reach::Unknown => Look::Unknown,
    }
}

/// What is known of what a resource asks for.
struct Asked<'a> {
    topic: &'a EventTopic,
    subject: Subject,
    hash: SpecHash,
    record: Option<Record>,
    request: Option<Request>,
    voices: Vec<Voice>,
    rules: &'a Rules,
    now: Timestamp,
}

impl<'a> Asked<'a> {
    fn of(topic: &'a EventTopic, rules: &'a Rules, context: &Context) -> Self {
        let (subject, hash) = (Subject::topic(topic), SpecHash::of(&topic.spec));
        let record = context.approvals.record(topic);
        let waits = !record.as_ref().is_some_and(|record| record.is_of(&hash));
        let leaves = topic.metadata.deletion_timestamp.is_some();
        // What is in force asks for nothing.
        let (request, voices) = match waits || leaves {
            true => {
                let keys = context.approvals.webhook();
                let request = Request::verified(topic, &subject, &hash, &keys);
                (request, context.approvals.voices(&subject, &hash, &keys))
            }
            false => (None, Vec::new()),
        };
        Self { topic, subject, hash, record, request, voices, rules, now: (context.clock)() }
    }

    /// What is in force. Kubernetes is asked only if it is another content than is declared.
    async fn in_force(&self, context: &Context) -> Result<InForce, WriteError> {
        let mut traces = Traces { record: self.record.clone(), ..Traces::default() };
        let stored;
        match &self.record {
            // A note that this process has not seen yet.
            Some(record) if record.is_of(&self.hash) && !context.approvals.remembers(self.topic) => {
                traces.stale = self.is_stale(record, context).await?;
            }
            Some(record) if record.is_of(&self.hash) => {}
            Some(record) => {
                stored = match &record.said().revision {
                    Some(name) => context.cluster.approved(self.topic, name).await?,
                    None => None,
                };
                traces.kept = stored.as_ref();
            }
            None => traces.any = !context.cluster.all_approved(self.topic).await?.is_empty(),
        }
        Ok(in_force(self.topic, &self.hash, traces))
    }

    /// Whether what a note names is not what is kept: what is in force is, and what was in force before is not for
    /// long. Before there were rules nothing was.
    async fn is_stale(&self, record: &Record, context: &Context) -> Result<bool, WriteError> {
        match &record.said().revision {
            Some(name) => Ok(context.cluster.approved(self.topic, name).await?.is_none()),
            None => {
                let kept = context.cluster.all_approved(self.topic).await?;
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
    ) -> Result<Gate, WriteError> {
        let gate = self.gate(action, changes);
        if !matches!(gate, Gate::Open(Opened::Approved(_))) {
            return Ok(gate);
        }
        let voices = std::mem::take(&mut self.voices);
        self.voices = without_revoked(voices, &self.subject, &context.cluster).await?;
        Ok(self.gate(action, changes))
    }

    fn gate(&self, action: ApprovalAction, changes: &BTreeSet<GovernedChange>) -> Gate {
        gate(&Facts {
            subject: &self.subject,
            action,
            hash: &self.hash,
            changes,
            request: self.request.as_ref(),
            voices: &self.voices,
            rules: self.rules,
            now: self.now,
        })
    }

    /// When the decision was made that was the last one missing.
    fn decided(&self, opened: &Opened) -> Option<Timestamp> {
        let Opened::Approved(people) = opened else { return None };
        let theirs = self
            .voices
            .iter()
            .filter(|voice| voice.decision == Decision::Approve && people.contains(&voice.approver.username));
        theirs.map(|voice| voice.at).max()
    }
}

/// The note of what is in force as it should be: with a ControllerRevision, of this generation, sealed with the key
/// of today. When a tenant begins to have rules, what is in force is kept so that it is known after the next change.
async fn settled(asked: &Asked<'_>, record: Record, context: &Context) -> Result<Record, Undone<WriteError>> {
    let said = record.said();
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
    Ok(Record::of(&asked.subject, &asked.hash, Some(revision), said.at, context.approvals.key()))
}

/// Keeps what a resource declares.
async fn keep(
    topic: &EventTopic,
    subject: &Subject,
    hash: &SpecHash,
    context: &Context,
) -> Result<String, Undone<WriteError>> {
    let name = revision_name(subject, hash);
    let revision = StoredRevision { name: name.clone(), number: subject.generation, data: kept(&topic.spec) };
    let what = format!("ControllerRevision {name} keeps generation {}, content {hash}", subject.generation);
    let keep = context.cluster.keep_approved(topic, revision);
    context.effect(topic, Action::KeepRevision, what, keep).await?;
    Ok(name)
}

/// Notes that what a resource declares is in force from now on. Returns the resource with that note.
pub(super) async fn go_live(
    topic: &EventTopic,
    live: &Live,
    context: &Context,
) -> Result<(EventTopic, Record), Undone<WriteError>> {
    let subject = Subject::topic(topic);
    let revision = keep(topic, &subject, &live.hash, context).await?;
    let now = (context.clock)();
    let record = Record::of(&subject, &live.hash, Some(revision), now, context.approvals.key());
    let mut status = topic.status.clone().unwrap_or_default();
    status.approved = Some(record.said().clone());
    let note = write(context, &context.wake_topics, topic, &status);
    match live.begins(topic, context) {
        Some(begins) => drop(context.recorded(begins, note).await?),
        None => drop(note.await?),
    }
    context.approvals.remember(topic, record.clone());
    let topic = EventTopic { status: Some(status), ..topic.clone() };
    // From now on its access counts beside that of others.
    let concerned = context.world.now().seen(&topic);
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

async fn forget(topic: &EventTopic, but: Option<&str>, context: &Context) -> Result<(), Undone<WriteError>> {
    let kept = context.cluster.all_approved(topic).await?;
    for name in kept.iter().filter(|name| but != Some(name.as_str())) {
        let what = format!("ControllerRevision {name} is not in force any more");
        let forget = context.cluster.forget_approved(topic, name);
        context.effect(topic, Action::ForgetRevision, what, forget).await?;
    }
    Ok(())
}

/// The note for a topic that is in force where nothing needs approval, so that rules which come later know what
/// is. It is part of a status that is written anyway, and made once for each generation.
pub(super) fn noted(topic: &EventTopic, now: Timestamp, context: &Context) -> Option<Record> {
    let said = topic.status.as_ref().and_then(|status| status.approved.as_ref());
    let key = context.approvals.key();
    let is_noted = said.is_some_and(|said| {
        Some(said.generation) == topic.metadata.generation && key.is_named_by(&said.seal)
    });
    if is_noted {
        return None;
    }
    Some(Record::of(&Subject::topic(topic), &SpecHash::of(&topic.spec), None, now, key))
}

/// How a resource goes.
pub(super) struct Going<'t> {
    /// What goes: what the resource declares, but nothing is deleted that was never approved.
    pub(super) topic: Cow<'t, EventTopic>,
    /// Why its data may be deleted, where that needs approval.
    pub(super) live: Option<Live>,
}

/// Decides whether a resource that is being deleted may go, and its data with it; or else what it waits for.
pub(super) async fn going<'t>(
    topic: &'t EventTopic,
    context: &Context,
) -> Result<Result<Going<'t>, Box<Withheld>>, WriteError> {
    let tenant = context.world.now().governing(topic);
    let Some(tenant) = tenant else {
        return Ok(Ok(Going { topic: Cow::Borrowed(topic), live: None }));
    };
    let mut asked = Asked::of(topic, &tenant.approval, context);
    let in_force = asked.in_force(context).await?;
    let leaving = leaving(topic, &in_force);
    let farewell = context.world.now().farewell(&leaving);
    let Farewell::DeleteKafkaTopic(identity) = farewell else {
        return Ok(Ok(Going { topic: leaving, live: None }));
    };
    asked.of_deletion();
    let changes = BTreeSet::from([GovernedChange::Delete]);
    Ok(match asked.decide(ApprovalAction::Delete, &changes, context).await? {
        Gate::Open(opened) => {
            let decided = asked.decided(&opened);
            let live = Live { hash: asked.hash, opened, changes, decided };
            Ok(Going { topic: leaving, live: Some(live) })
        }
        Gate::Held(held) => Err(Box::new(asked.waits_to_go(&held, &identity))),
    })
}

impl Asked<'_> {
    /// Whoever asked for the deletion is known to the webhook only, which has held it against who approved it. When
    /// Kubernetes notes that a resource is to be deleted it counts that as a new generation, and the content stays.
    fn of_deletion(&mut self) {
        let generation = self.subject.generation;
        for voice in &mut self.voices {
            if voice.action == ApprovalAction::Delete && voice.generation == generation - 1 {
                voice.generation = generation;
            }
        }
        self.request = Some(Request::of_deletion(&self.subject, &self.hash, None, self.now));
    }

    fn waits_to_go(&self, held: &Held, identity: &Identity) -> Withheld {
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
