//! `eventctl approve` and `eventctl reject`: a user's decision on one spec.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::login::LoginArgs;
use super::super::output::{Answer, Refused, print_warning, program_name};
use super::super::resource_arg::ResourceArg;
use super::super::terminal::plain;
use super::confirm::{Confirmation, is_confirmed};
use super::resource::{
    GovernedResource, POLL_INTERVAL, Progress, StoredResource, find, now, read, read_observed,
};
use super::target::{Target, TargetArgs};
use super::{proposal, render};
use crate::api::{
    ApprovalAction, ApprovalTarget, ChangeApproval, ChangeApprovalSpec, Decision, HasApproval, HasConditions,
    PendingChange,
};
use crate::domain::condition::{self, READY};
use crate::domain::quantity;
use crate::kubernetes::Session;

const APPROVE_EXAMPLES: &str = "\
Examples:
  eventctl approve EventTopic orders -n shop
  eventctl approve etopic/orders --hash 3f1c0a9be27d --comment 'as agreed in OPS-17'
  eventctl approve etopic/orders --action Delete
  eventctl approve -f topics/orders.yaml

Exit codes: 0 approved, 1 not approved, 2 an error occurred.";

const REJECT_EXAMPLES: &str = "\
Examples:
  eventctl reject EventTopic orders -n shop --comment 'two days are too short for finance'

Exit codes: 0 rejected, 1 not rejected, 2 an error occurred.";

/// Approve a pending change, or a manifest before it is applied.
///
/// Shows what would change and asks for confirmation. With --hash it does not ask, and approves only if the content
/// still has that hash. The requester of a change cannot approve it.
#[derive(Debug, Args)]
#[command(after_help = APPROVE_EXAMPLES)]
pub(in super::super) struct Approve {
    #[command(flatten)]
    pub(super) decide: DecideArgs,
}

/// Reject a pending change: it stays on hold until the spec changes.
#[derive(Debug, Args)]
#[command(after_help = REJECT_EXAMPLES)]
pub(in super::super) struct Reject {
    #[command(flatten)]
    pub(super) decide: DecideArgs,
}

/// The arguments of a decision.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// The reason. The requester of a rejected change sees it.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// Hash of the reviewed content, or at least its first 12 digits. Content with another hash is not decided on.
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    hash: Option<String>,
    /// The action to decide on.
    #[arg(long, value_enum, default_value_t = Action::Apply, ignore_case = true)]
    action: Action,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
    /// How long to wait until the operator has processed the decision, such as 30s; 0 to not wait.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_wait)]
    wait: Duration,
    #[command(flatten)]
    pub(super) login: LoginArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// The declared spec takes effect.
    #[value(name = "Apply")]
    Apply,
    /// The resource is deleted with its data.
    #[value(name = "Delete")]
    Delete,
}

impl From<Action> for ApprovalAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Apply => Self::Apply,
            Action::Delete => Self::Delete,
        }
    }
}

fn parse_hash(text: &str) -> Result<String, String> {
    let is_hash = (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase()).ok_or_else(|| {
        "a hash has 64 hexadecimal digits, of which the first 12 are enough; eventctl diff shows it".into()
    })
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let milliseconds = if text == "0" { Some(0) } else { quantity::parse_millis(text) };
    milliseconds
        .and_then(|milliseconds| u64::try_from(milliseconds).ok())
        .map(Duration::from_millis)
        .ok_or_else(|| "write a number and its unit (ms, s, m, h), such as 30s, or 0".into())
}

/// The content that is decided on.
struct Subject<K> {
    resource: ResourceArg,
    namespace: String,
    hash: String,
    /// The hash of the existing data that the change takes over.
    takeover_hash: Option<String>,
    action: ApprovalAction,
    /// The change as text, for the confirmation.
    preview: String,
    /// The resource, if its declared spec is decided on.
    stored: Option<StoredResource<K>>,
}

/// Creates a ChangeApproval, and waits for what follows from it.
pub(super) async fn decide<K: GovernedResource>(
    arguments: &DecideArgs,
    target: Target,
    decision: Decision,
) -> anyhow::Result<Answer> {
    let session = arguments.login.open().await?;
    let subject = arguments.subject::<K>(&session, target).await?;
    arguments.check_hash(&subject)?;
    if decision == Decision::Reject && arguments.comment.is_none() {
        print_warning("no --comment is given: the requester sees the rejection without a reason");
    }
    let given = Confirmation { by_hash: arguments.hash.is_some(), by_yes: arguments.yes };
    let (verb, participle) = match decision {
        Decision::Approve => ("approve", "approved"),
        Decision::Reject => ("reject", "rejected"),
    };
    let remedy = format!(
        "--hash with the hash that you have reviewed ({} diff shows it), or --yes to {verb} the current content",
        program_name()
    );
    if !is_confirmed(given, &subject.preview, &question(verb, subject.action), &remedy)? {
        return Err(Refused(format!("{} is not {participle}", subject.resource)).into());
    }
    session
        .decide(&subject.namespace, &change_approval(&subject, decision, arguments.comment.as_deref()))
        .await?;
    let outcome = match &subject.stored {
        Some(stored) => wait_for_outcome(&session, &subject, stored, decision, arguments.wait).await?,
        None => None,
    };
    let text = format!(
        "{} {participle}: {}",
        subject.resource,
        outcome.unwrap_or_else(|| next_step(&subject, decision))
    );
    Ok(Answer { yes: true, text })
}

fn question(verb: &str, action: ApprovalAction) -> String {
    let what = match action {
        ApprovalAction::Apply => "this change",
        ApprovalAction::Delete => "this deletion",
    };
    format!("{}{} {what}?", verb[..1].to_uppercase(), &verb[1..])
}

/// What follows from a decision whose outcome is not awaited.
fn next_step<K>(subject: &Subject<K>, decision: Decision) -> String {
    let Subject { resource, namespace, action, stored, .. } = subject;
    match (decision, action, stored) {
        (Decision::Reject, ..) => "the rejection is recorded".into(),
        (_, ApprovalAction::Delete, _) => format!(
            "once it has all approvals, and unless it changes, it can be deleted: kubectl delete {} -n {namespace}",
            resource.slashed()
        ),
        (_, _, None) => "the manifest can be applied once it has all approvals".into(),
        _ => format!("see {} diff {resource} -n {namespace}", program_name()),
    }
}

/// The ChangeApproval of a decision. The webhook sets the approver, the time and the generation.
fn change_approval<K>(subject: &Subject<K>, decision: Decision, comment: Option<&str>) -> ChangeApproval {
    let mut approval = ChangeApproval::new(
        "",
        ChangeApprovalSpec {
            target: ApprovalTarget {
                kind: subject.resource.kind.clone(),
                name: subject.resource.name.clone(),
                uid: None,
                generation: None,
            },
            action: subject.action,
            spec_hash: subject.hash.clone(),
            takeover_hash: subject.takeover_hash.clone(),
            decision,
            comment: comment.map(String::from),
            approver: None,
            at: None,
            seal: None,
        },
    );
    approval.metadata.name = None;
    approval.metadata.generate_name = Some(format!("{}-", subject.resource.name));
    approval
}

impl DecideArgs {
    async fn subject<K: GovernedResource>(
        &self,
        session: &Session,
        target: Target,
    ) -> anyhow::Result<Subject<K>> {
        let namespace = self.login.namespace_in(session);
        match target {
            Target::Manifest(manifest) => {
                let proposal = proposal::propose::<K>(session, manifest, &namespace).await?;
                Ok(Subject {
                    resource: proposal.resource,
                    namespace: proposal.namespace,
                    hash: proposal.hash.to_string(),
                    takeover_hash: None,
                    action: self.action.into(),
                    preview: proposal.preview,
                    stored: None,
                })
            }
            Target::Stored(resource) if self.action == Action::Delete => {
                deletion(session, resource, namespace).await
            }
            Target::Stored(resource) => pending_change(session, resource, namespace).await,
        }
    }

    /// Checks that the content has not changed since the user reviewed it.
    fn check_hash<K>(&self, subject: &Subject<K>) -> Result<(), Refused> {
        let Subject { resource, namespace, hash, .. } = subject;
        match &self.hash {
            Some(reviewed) if !hash.starts_with(reviewed.as_str()) => Err(Refused(format!(
                "{resource}: the hash is now {hash}, not {reviewed}: review it again ({} diff {resource} -n {namespace})",
                program_name()
            ))),
            _ => Ok(()),
        }
    }
}

/// The pending change of a resource, which may be its deletion.
async fn pending_change<K: GovernedResource>(
    session: &Session,
    resource: ResourceArg,
    namespace: String,
) -> anyhow::Result<Subject<K>> {
    let stored = read_observed::<K>(session, &namespace, &resource).await?;
    let Progress::Pending(pending) = stored.progress() else {
        let message = format!("{}: no change is pending", resource.in_namespace(&namespace));
        return Err(Refused(message).into());
    };
    let lines = stored.diff_lines(session, pending).await;
    let preview = render::pending_change(&resource, &namespace, pending, &lines, now());
    let (action, hash) = (pending.action, stored.hash.to_string());
    let takeover_hash = pending.takeover_hash.clone();
    Ok(Subject { resource, namespace, hash, takeover_hash, action, preview, stored: Some(stored) })
}

/// The deletion of a resource with its data.
async fn deletion<K: GovernedResource>(
    session: &Session,
    resource: ResourceArg,
    namespace: String,
) -> anyhow::Result<Subject<K>> {
    let stored = read::<K>(session, &namespace, &resource).await?;
    let place = resource.in_namespace(&namespace);
    let is_pending = stored.object.status().and_then(HasApproval::pending).is_some();
    if !K::destroys_data(stored.object.spec()) && !is_pending {
        let message =
            format!("{place}: {}: deleting it keeps its data, so no approval is needed", K::DELETION_FIELD);
        return Err(Refused(message).into());
    }
    let preview = format!(
        "{place} would be deleted, and {}\n\nhash:         {}",
        plain(&stored.object.describe_data()),
        stored.hash
    );
    let (action, hash) = (ApprovalAction::Delete, stored.hash.to_string());
    Ok(Subject { resource, namespace, hash, takeover_hash: None, action, preview, stored: Some(stored) })
}

/// Waits for what follows from a decision; `None` if nothing was pending or nothing is to be awaited.
async fn wait_for_outcome<K: GovernedResource>(
    session: &Session,
    subject: &Subject<K>,
    before: &StoredResource<K>,
    decision: Decision,
    timeout: Duration,
) -> anyhow::Result<Option<String>> {
    let Progress::Pending(pending) = before.progress() else { return Ok(None) };
    // A decision on a deletion that nobody has requested yet has no outcome.
    if timeout.is_zero() || pending.action != subject.action {
        return Ok(None);
    }
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        let now = find::<K>(session, &subject.namespace, &subject.resource.name).await?;
        let (text, is_final) = outcome(pending, before, now.as_ref(), decision);
        if is_final {
            return Ok(Some(text));
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(Some(format!(
                "{text}; see {} diff {} -n {}",
                program_name(),
                subject.resource,
                subject.namespace
            )));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// What has followed from a decision, and whether that is final.
fn outcome<K: GovernedResource>(
    pending: &PendingChange,
    before: &StoredResource<K>,
    now: Option<&StoredResource<K>>,
    decision: Decision,
) -> (String, bool) {
    let Some(now) = now else { return ("the resource no longer exists".into(), true) };
    if now.hash != before.hash {
        return ("the spec was changed meanwhile, so the decision no longer applies".into(), true);
    }
    let status = now.object.status();
    let approved = status.and_then(HasApproval::approved);
    if approved.is_some_and(|approved| approved.hash == before.hash.as_str()) {
        let conditions = status.map(HasConditions::conditions).unwrap_or_default();
        return match condition::find(conditions, READY) {
            Some(ready)
                if ready.status == "True"
                    && Some(now.object.meta().generation) == Some(ready.observed_generation) =>
            {
                ("the change is active".into(), true)
            }
            Some(ready) => {
                (format!("the change takes effect, but is not ready yet: {}", plain(&ready.message)), false)
            }
            None => ("the change takes effect".into(), false),
        };
    }
    match now.progress() {
        Progress::Pending(change) if change.rejected.is_some() => match decision {
            Decision::Reject => ("the change is on hold until the spec changes".into(), true),
            Decision::Approve => ("the change stays on hold because it was rejected".into(), true),
        },
        Progress::Pending(change)
            if change.approvals != pending.approvals || change.missing != pending.missing =>
        {
            let missing = change.missing.iter().map(|missing| plain(missing)).collect::<Vec<_>>();
            (format!("the change has {} approvals: {}", plain(&change.approvals), missing.join("; ")), true)
        }
        _ => ("the operator has not processed the decision yet".into(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, Kind};
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    fn stored(spec: Value, status: Value) -> StoredResource<EventTopic> {
        let json = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"name": "orders", "namespace": "shop", "generation": 2},
            "spec": spec, "status": status,
        });
        StoredResource::parse(json).expect("an EventTopic")
    }

    fn pending(hash: &str, approvals: &str, missing: &[&str], rejected: bool) -> Value {
        let mut pending = json!({
            "hash": hash, "generation": 2, "since": "2026-11-21T12:00:00Z", "approvals": approvals, "missing": missing,
        });
        if rejected {
            pending["rejected"] = json!({"by": "carol"});
        }
        json!({"observedGeneration": 2, "pending": pending})
    }

    #[test]
    fn the_outcome_is_one_line() {
        let hash = stored(json!({"partitions": 2}), json!({})).hash.to_string();
        let before = stored(
            json!({"partitions": 2}),
            pending(&hash, "0/2", &["Any needs 2 more from group a"], false),
        );
        let Progress::Pending(change) = before.progress() else { panic!("a pending change") };
        let approved = json!({"hash": hash, "generation": 2, "at": "2026-11-21T12:00:00Z", "seal": "s"});
        let ready = |status: &str| {
            json!([{"type": "Ready", "status": status, "reason": "Available", "message": "as declared",
                    "lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 2}])
        };
        let same = |status: Value| Some(stored(json!({"partitions": 2}), status));
        let check = |now: Option<StoredResource<EventTopic>>, decision: Decision, expected: Expect| {
            let (text, is_final) = outcome(change, &before, now.as_ref(), decision);
            expected.assert_eq(&format!("{text} {}", if is_final { "(final)" } else { "(so far)" }));
        };
        let approve = Decision::Approve;
        check(None, approve, expect!["the resource no longer exists (final)"]);
        check(
            Some(stored(json!({"partitions": 3}), json!({}))),
            approve,
            expect!["the spec was changed meanwhile, so the decision no longer applies (final)"],
        );
        check(
            same(json!({"observedGeneration": 2, "approved": approved})),
            approve,
            expect!["the change takes effect (so far)"],
        );
        check(
            same(json!({"approved": approved, "conditions": ready("True")})),
            approve,
            expect!["the change is active (final)"],
        );
        check(
            same(json!({"approved": approved, "conditions": ready("False")})),
            approve,
            expect!["the change takes effect, but is not ready yet: as declared (so far)"],
        );
        check(
            same(pending(&hash, "0/2", &["Any needs 2 more from group a"], false)),
            approve,
            expect!["the operator has not processed the decision yet (so far)"],
        );
        check(
            same(pending(&hash, "1/2", &["Any needs 1 more from group a"], false)),
            approve,
            expect!["the change has 1/2 approvals: Any needs 1 more from group a (final)"],
        );
        check(
            same(pending(&hash, "1/2", &[], true)),
            approve,
            expect!["the change stays on hold because it was rejected (final)"],
        );
        check(
            same(pending(&hash, "0/2", &[], true)),
            Decision::Reject,
            expect!["the change is on hold until the spec changes (final)"],
        );
    }

    #[test]
    fn a_decision_leaves_approver_and_time_to_the_webhook() {
        let subject = Subject::<EventTopic> {
            resource: ResourceArg { kind: Kind::of::<EventTopic>(), name: "orders".into() },
            namespace: "shop".into(),
            hash: "ab".repeat(32),
            takeover_hash: None,
            action: ApprovalAction::Delete,
            preview: String::new(),
            stored: None,
        };
        let written = serde_yaml::to_string(&change_approval(&subject, Decision::Reject, Some("still used")))
            .expect("YAML");
        expect![[r#"
            apiVersion: eventcenter.io/v1alpha1
            kind: ChangeApproval
            metadata:
              generateName: orders-
            spec:
              target:
                kind: EventTopic
                name: orders
              action: Delete
              specHash: abababababababababababababababababababababababababababababababab
              decision: Reject
              comment: still used
        "#]]
        .assert_eq(&written);
    }

    #[test]
    fn hashes_and_times_are_parsed() {
        assert_eq!(parse_hash(&"AB".repeat(32)), Ok("ab".repeat(32)));
        assert_eq!(parse_hash("abcdef012345"), Ok("abcdef012345".into()));
        for wrong in ["abc", "", "xyzxyzxyzxyz", &"ab".repeat(33)] {
            assert!(parse_hash(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_wait("0"), Ok(Duration::ZERO));
        assert_eq!(parse_wait("2m"), Ok(Duration::from_secs(120)));
        assert!(parse_wait("soon").is_err() && parse_wait("unlimited").is_err());
    }
}
