//! EventTopics under rules: what is said to whoever asks for a change that needs approval, and whether
//! it is stored at all where the tenant wants it approved first.
//!
//! What is in force, and who has decided, is read only where a change touches a rule. The controllers decide
//! again from what is stored.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use kube::ResourceExt;

use super::request::User;
use super::review::Reviewer;
use crate::api::{
    ApprovalAction, ApprovalMode, BREAK_GLASS, ChangeApproval, DeletionPolicy, EventTopic, GovernedChange,
    GovernedKind,
};
use crate::domain::Refusal;
use crate::domain::admission::{Change, Verdict};
use crate::domain::approval::active::{Evidence, in_force, kept};
use crate::domain::approval::authorization::{Facts, Grant, PendingApproval, VerifiedDecision};
use crate::domain::approval::pending::{approve_with, named};
use crate::domain::approval::{
    ActiveRecord, ActiveSpec, Authorization, Request, Rules, SpecHash, Subject, authorize,
};
use crate::domain::topic::Observed;
use crate::domain::topic::deletion::leaving;
use crate::kubernetes::TrustedKeys;

/// Answers a change by the rules of the tenant about approvals.
pub(super) async fn change(change: &Change<'_, EventTopic>, user: &User, this: &Reviewer) -> Verdict {
    let (old, new) = match *change {
        Change::Create(new) => (None, new),
        Change::Update { old, new } => (Some(old), new),
        Change::Delete(old) => (Some(old), old),
    };
    let tenant = this.cache.ask(|known| {
        known.catalog.tenants().of_namespace(&new.namespace().unwrap_or_default()).ok().cloned()
    });
    let Some(tenant) = tenant.flatten().filter(|tenant| tenant.approval.govern(GovernedKind::EventTopic))
    else {
        return Verdict::default();
    };
    let Some((_, seals)) = this.seal_keys.now() else { return Verdict::refused(unknown()) };
    let asked = Asking { this, rules: &tenant.approval, seals: &seals, now: (this.clock)() };
    let verdict = match *change {
        Change::Delete(old) => asked.to_delete(old, user).await,
        _ => asked.to_apply(old, new).await,
    };
    verdict.unwrap_or_else(|error| {
        tracing::warn!(%error, "an approval cannot be judged");
        match (change, tenant.approval.mode) {
            // It waits or does not by what the controllers find; nothing is lost by storing it.
            (Change::Create(_) | Change::Update { .. }, ApprovalMode::Hold) => warned(vec![format!(
                "{}: whether this has to wait for approval cannot be read just now; its status says so in a moment",
                Reason::AwaitingApproval
            )]),
            _ => Verdict::refused(unknown()),
        }
    })
}

/// Something that could not be read.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    One(#[from] crate::kubernetes::WriteError),
    #[error(transparent)]
    All(#[from] crate::kubernetes::ListError),
}

/// What is not known is not allowed.
pub(super) fn unknown() -> Refusal {
    Refusal::new(Reason::Internal, "what is approved cannot be read just now: try again in a moment")
}

struct Asking<'a> {
    this: &'a Reviewer,
    rules: &'a Rules,
    seals: &'a TrustedKeys,
    now: Timestamp,
}

impl Asking<'_> {
    async fn to_apply(&self, old: Option<&EventTopic>, new: &EventTopic) -> Result<Verdict, Unread> {
        let breaks_glass = |topic: &EventTopic| topic.annotations().get(BREAK_GLASS).cloned();
        let glass = breaks_glass(new).filter(|reason| old.and_then(breaks_glass).as_ref() != Some(reason));
        if glass.is_none() && old.is_some_and(|old| old.spec == new.spec) {
            return Ok(Verdict::default());
        }
        let hash = SpecHash::of(&new.spec);
        let in_force = self.in_force(old, &hash).await?;
        if matches!(in_force, ActiveSpec::Current(_)) {
            return Ok(Verdict::default());
        }
        let existing = old.filter(|_| in_force.depends_on_kafka(&new.spec)).and_then(Observed::told);
        let changes = in_force.touched(&new.spec, existing.as_ref());
        let subject = match old {
            // The API server (1.33) has counted this change already, and given a new resource its uid, before
            // validating webhooks are asked. Where one has not, it counts from what is stored.
            Some(old) => Subject {
                generation: new
                    .metadata
                    .generation
                    .unwrap_or_default()
                    .max(old.metadata.generation.unwrap_or_default() + i64::from(old.spec != new.spec)),
                ..Subject::topic(old)
            },
            None => Subject { generation: 1, ..Subject::topic(new) },
        };
        let request = Request::verified(new, &subject, &hash, &self.seals.webhook);
        let facts = Facts {
            subject: &subject,
            action: ApprovalAction::Apply,
            hash: &hash,
            changes: &changes,
            request: request.as_ref(),
            decisions: &[],
            rules: self.rules,
            now: self.now,
        };
        // Only where it has to be approved before can it have been.
        let gate = match self.rules.mode {
            ApprovalMode::Hold => authorize(&facts),
            ApprovalMode::Deny => self.decided(facts).await?,
        };
        Ok(match gate {
            Authorization::Granted(Grant::BreakGlass(glass)) => warned(vec![format!(
                "{BREAK_GLASS}: this takes effect without approval, and that is recorded: {}",
                glass.reason
            )]),
            Authorization::Granted(_) => Verdict::default(),
            Authorization::Pending(held) if self.rules.mode == ApprovalMode::Deny => {
                Verdict::refused(denied(&subject, &hash, ApprovalAction::Apply, &held))
            }
            Authorization::Pending(held) => warned(waiting(&subject, &held, glass.is_some())),
        })
    }

    async fn to_delete(&self, old: &EventTopic, user: &User) -> Result<Verdict, Unread> {
        let (subject, hash) = (Subject::topic(old), SpecHash::of(&old.spec));
        let in_force = self.in_force(Some(old), &hash).await?;
        if leaving(old, &in_force).spec.deletion_policy == DeletionPolicy::Retain {
            return Ok(Verdict::default());
        }
        let request = Request::of_deletion(&subject, &hash, Some(&user.username), self.now);
        let changes = BTreeSet::from([GovernedChange::Delete]);
        let facts = Facts {
            subject: &subject,
            action: ApprovalAction::Delete,
            hash: &hash,
            changes: &changes,
            request: Some(&request),
            decisions: &[],
            rules: self.rules,
            now: self.now,
        };
        Ok(match self.decided(facts).await? {
            Authorization::Granted(_) => Verdict::default(),
            Authorization::Pending(held) => {
                Verdict::refused(denied(&subject, &hash, ApprovalAction::Delete, &held))
            }
        })
    }

    /// Whether a change is open by the decisions that are stored; they are read only if it is not free.
    async fn decided(&self, facts: Facts<'_>) -> Result<Authorization, Unread> {
        if let open @ Authorization::Granted(_) = authorize(&facts) {
            return Ok(open);
        }
        let stored = self.this.kubernetes.list_in::<ChangeApproval>(&facts.subject.namespace).await?;
        let decisions: Vec<VerifiedDecision> = stored
            .iter()
            .filter_map(|approval| VerifiedDecision::verified(approval, facts.subject, &self.seals.webhook))
            .collect();
        Ok(authorize(&Facts { decisions: &decisions, ..facts }))
    }

    /// What is in force of a resource that is to declare this content.
    async fn in_force(&self, old: Option<&EventTopic>, hash: &SpecHash) -> Result<ActiveSpec, Unread> {
        let Some(old) = old else { return Ok(ActiveSpec::None) };
        let record = ActiveRecord::verified(old, &self.seals.controllers);
        let stored = match &record {
            Some(record) if record.is_of(hash) => None,
            Some(record) if record.is_of(&SpecHash::of(&old.spec)) => Some(kept(&old.spec)),
            Some(record) => match &record.as_status().revision {
                Some(revision) => self.this.kubernetes.get_approved_revision(old, revision).await?,
                None => None,
            },
            None => None,
        };
        Ok(in_force(old, hash, Evidence { record, kept: stored.as_ref(), ..Evidence::default() }))
    }
}

fn warned(warnings: Vec<String>) -> Verdict {
    Verdict { refusals: Vec::new(), warnings }
}

/// The API server cuts long warnings off, so each sentence is one of its own.
fn waiting(subject: &Subject, held: &PendingApproval, breaks_glass: bool) -> Vec<String> {
    let Subject { kind, namespace, name, .. } = subject;
    let mut warnings = vec![format!(
        "{}: this waits for approval of {}; until then what was approved last stays in force",
        Reason::AwaitingApproval,
        named(&held.changes)
    )];
    warnings.extend(held.missing.iter().map(|missing| format!("missing is {missing}")));
    warnings.push(format!("somebody else approves it by: eventctl approve {kind:?} {name} -n {namespace}"));
    if breaks_glass {
        warnings.push(format!(
            "{BREAK_GLASS}: you are in none of the groups that the tenant lets break the glass, so this waits all the same"
        ));
    }
    warnings
}

fn denied(subject: &Subject, hash: &SpecHash, action: ApprovalAction, held: &PendingApproval) -> Refusal {
    let Subject { kind, namespace, name, .. } = subject;
    let what = match action {
        ApprovalAction::Apply => {
            format!(
                "spec: {} of {kind:?} {name} has to be approved before it is stored",
                named(&held.changes)
            )
        }
        ApprovalAction::Delete => format!(
            "spec.deletionPolicy: data of {kind:?} {name} is deleted with it, which has to be approved before; or set \
             it to Retain, so that the data stays"
        ),
    };
    let mut missing = held.missing.join("; ");
    if let Some(rejected) = &held.rejected {
        let comment = rejected.comment.as_deref().map(|comment| format!(": {comment}")).unwrap_or_default();
        missing = format!("it was rejected by {}{comment}", rejected.by);
    }
    let approval = approve_with(subject, action, hash);
    Refusal::new(
        Reason::AwaitingApproval,
        format!(
            "{what}. Missing is {missing}. Its content is {hash}: ask somebody else to approve that (kubectl create -n \
             {namespace} -f -), then try again:\n{approval}"
        ),
    )
}
