//! `eventctl approve` and `eventctl reject`: one person's decision on one exact content.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::super::login::{Flags, Named, run};
use super::super::output::{Answer, Refused, print_warning, program_name};
use super::consent::{Given, agrees};
use super::{GLANCE, Seen, Standing, attended, lines, look, now, proposal, shown};
use crate::api::{
    ApprovalAction, ApprovalTarget, ChangeApproval, ChangeApprovalSpec, Decision, DeletionPolicy,
    HasConditions, PendingChange,
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

/// Approve a change that waits, or one that will be made.
///
/// What would change is shown, and you are asked. With --hash you are not asked: then it is approved only if it is
/// still what you looked at. Whoever has asked for a change cannot approve it.
#[derive(Debug, Args)]
#[command(after_help = APPROVE_EXAMPLES)]
pub(in super::super) struct Approve {
    #[command(flatten)]
    decide: Decide,
}

/// Reject a change that waits: it is held until it becomes another one.
#[derive(Debug, Args)]
#[command(after_help = REJECT_EXAMPLES)]
pub(in super::super) struct Reject {
    #[command(flatten)]
    decide: Decide,
}

#[derive(Debug, Args)]
struct Decide {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required_unless_present = "filename")]
    resource: Vec<String>,
    /// Why. Whoever has asked for a change that is rejected is shown it.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// The hash of the content that you have looked at, or its first 12 digits or more: any other is not decided on.
    #[arg(long, value_name = "HASH", value_parser = digits)]
    hash: Option<String>,
    /// What is to be done with the resource.
    #[arg(long, value_enum, default_value_t = Action::Apply, ignore_case = true)]
    action: Action,
    /// File with a manifest that is not applied yet, where changes are refused until they are approved; - for standard
    /// input.
    #[arg(long, short, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// How long to wait for what comes of it, such as 30s; 0 to not wait.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    wait: Duration,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// What it declares takes effect.
    #[value(name = "Apply")]
    Apply,
    /// It is deleted, and its data with it.
    #[value(name = "Delete")]
    Delete,
}

fn digits(text: &str) -> Result<String, String> {
    let is_hash = (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase()).ok_or_else(|| {
        "a hash has 64 hexadecimal digits, of which the first 12 are enough; eventctl diff shows it".into()
    })
}

fn time(text: &str) -> Result<Duration, String> {
    let milliseconds = if text == "0" { Some(0) } else { quantity::parse_millis(text) };
    milliseconds
        .and_then(|milliseconds| u64::try_from(milliseconds).ok())
        .map(Duration::from_millis)
        .ok_or_else(|| "write a number and its unit (ms, s, m, h), such as 30s, or 0".into())
}

pub(in super::super) fn approve(arguments: &Approve) -> anyhow::Result<Answer> {
    run(decided(&arguments.decide, Decision::Approve))
}

pub(in super::super) fn reject(arguments: &Reject) -> anyhow::Result<Answer> {
    run(decided(&arguments.decide, Decision::Reject))
}

/// What is decided on.
struct Subject {
    named: Named,
    namespace: String,
    hash: String,
    action: ApprovalAction,
    /// How it is shown to whoever is asked.
    shown: String,
    /// The resource, if what it declares now is decided on.
    seen: Option<Seen>,
}

async fn decided(arguments: &Decide, decision: Decision) -> anyhow::Result<Answer> {
    let named = Named::if_any(&arguments.resource)?;
    let session = arguments.flags.open().await?;
    let subject = arguments.subject(&session, named).await?;
    arguments.is_what_was_looked_at(&subject)?;
    if decision == Decision::Reject && arguments.comment.is_none() {
        print_warning("there is no --comment: whoever asked is told that it was rejected, and not why");
    }
    let given = Given { by_hash: arguments.hash.is_some(), by_yes: arguments.yes };
    let (verb, word) = words(decision);
    let instead = format!(
        "--hash with the hash that you have looked at ({} diff shows it), or --yes to {verb} what is there now",
        program_name()
    );
    if !agrees(given, &subject.shown, &question(verb, subject.action), &instead)? {
        return Err(Refused(format!("{} is not {word}", subject.named)).into());
    }
    session.decide(&subject.namespace, &approval(&subject, decision, arguments.comment.as_deref())).await?;
    let outcome = match &subject.seen {
        Some(seen) => outcome(&session, &subject, seen, decision, arguments.wait).await?,
        None => None,
    };
    let text = format!("{} {word}: {}", subject.named, outcome.unwrap_or_else(|| noted(&subject, decision)));
    Ok(Answer { yes: true, text })
}

fn words(decision: Decision) -> (&'static str, &'static str) {
    match decision {
        Decision::Approve => ("approve", "approved"),
        Decision::Reject => ("reject", "rejected"),
    }
}

fn question(verb: &str, action: ApprovalAction) -> String {
    let what = match action {
        ApprovalAction::Apply => "this change",
        ApprovalAction::Delete => "this deletion",
    };
    format!("{}{} {what}?", verb[..1].to_uppercase(), &verb[1..])
}

/// What is to be said if nobody has been waited for.
fn noted(subject: &Subject, decision: Decision) -> String {
    let Subject { named, namespace, action, seen, .. } = subject;
    match (decision, action, seen) {
        (Decision::Reject, ..) => "noted".into(),
        (_, ApprovalAction::Delete, _) => format!(
            "as long as it stays as it is, and every approval is there, it can be deleted: kubectl delete {}/{} -n {namespace}",
            format!("{:?}", named.kind).to_lowercase(),
            named.name
        ),
        (_, _, None) => "the manifest can be applied as soon as every approval is there".into(),
        _ => format!("see {} diff {named} -n {namespace}", program_name()),
    }
}

/// The resource that is made of a decision. Who decides, when, and on which generation is the webhook's to write.
fn approval(subject: &Subject, decision: Decision, comment: Option<&str>) -> ChangeApproval {
    let mut approval = ChangeApproval::new(
        "",
        ChangeApprovalSpec {
            target: ApprovalTarget {
                kind: subject.named.kind.clone(),
                name: subject.named.name.clone(),
                uid: None,
                generation: None,
            },
            action: subject.action,
            spec_hash: subject.hash.clone(),
            decision,
            comment: comment.map(String::from),
            approver: None,
            at: None,
            seal: None,
        },
    );
    approval.metadata.name = None;
    approval.metadata.generate_name = Some(format!("{}-", subject.named.name));
    approval
}

impl Decide {
    async fn subject(&self, session: &Session, named: Option<Named>) -> anyhow::Result<Subject> {
        let place = self.flags.place(session);
        match (&self.filename, named) {
            (Some(path), named) => {
                let manifest = proposal::manifest(path, named.as_ref(), self.flags.namespace.as_deref())?;
                let proposal = proposal::propose(session, manifest, &place).await?;
                let (named, namespace, shown) = (proposal.named, proposal.namespace, proposal.shown);
                let action = self.action.into();
                Ok(Subject { named, namespace, hash: proposal.hash.to_string(), action, shown, seen: None })
            }
            (None, named) if self.action == Action::Delete => {
                deletion(session, Named::needed(named)?, place).await
            }
            (None, named) => change(session, Named::needed(named)?, place).await,
        }
    }

    /// Guards against a change between reading and deciding.
    fn is_what_was_looked_at(&self, subject: &Subject) -> Result<(), Refused> {
        let Subject { named, namespace, hash, .. } = subject;
        match &self.hash {
            Some(looked_at) if !hash.starts_with(looked_at.as_str()) => Err(Refused(format!(
                "{named} is {hash} now, and not {looked_at} any more: look at it again ({} diff {named} -n {namespace})",
                program_name()
            ))),
            _ => Ok(()),
        }
    }
}

impl From<Action> for ApprovalAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Apply => Self::Apply,
            Action::Delete => Self::Delete,
        }
    }
}

/// The change of a resource that waits. One that is being deleted waits for that.
async fn change(session: &Session, named: Named, namespace: String) -> anyhow::Result<Subject> {
    let seen = attended(session, &namespace, &named).await?;
    let Standing::Waits(pending) = seen.standing() else {
        let why = format!("{}: nothing waits for approval", shown::place(&named, &namespace));
        return Err(Refused(why).into());
    };
    let lines = lines(session, &seen, pending).await;
    let (action, shown) = (pending.action, shown::waiting(&named, &namespace, pending, &lines, now()));
    Ok(Subject { named, namespace, hash: seen.hash.to_string(), action, shown, seen: Some(seen) })
}

/// The deletion of a resource with its data, as it is now.
async fn deletion(session: &Session, named: Named, namespace: String) -> anyhow::Result<Subject> {
    let seen = look(session, &namespace, &named).await?;
    let place = shown::place(&named, &namespace);
    let status = seen.topic.status.as_ref();
    let waits = status.is_some_and(|status| status.pending.is_some());
    if seen.topic.spec.deletion_policy == DeletionPolicy::Retain && !waits {
        let why = format!(
            "{place}: spec.deletionPolicy is Retain, so deleting it leaves the Kafka topic and its data, and needs no approval"
        );
        return Err(Refused(why).into());
    }
    let topic = status.and_then(|status| status.topic_name.as_deref()).unwrap_or("that it stands for");
    let shown = format!(
        "{place} would be deleted, and the Kafka topic {} with all its data\n\nhash:         {}",
        shown::plain(topic),
        seen.hash
    );
    let action = ApprovalAction::Delete;
    Ok(Subject { named, namespace, hash: seen.hash.to_string(), action, shown, seen: Some(seen) })
}

/// What came of a decision, if the operator has said so in time.
async fn outcome(
    session: &Session,
    subject: &Subject,
    before: &Seen,
    decision: Decision,
    wait: Duration,
) -> anyhow::Result<Option<String>> {
    let Standing::Waits(waited) = before.standing() else { return Ok(None) };
    if wait.is_zero() {
        return Ok(None);
    }
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let now = session.topic(&subject.namespace, &subject.named.name).await?.map(Seen::of).transpose()?;
        let (told, is_last) = told(waited, before, now.as_ref(), decision);
        if is_last {
            return Ok(Some(told));
        }
        if tokio::time::Instant::now() >= deadline {
            return Ok(Some(format!(
                "{told}; see {} diff {} -n {}",
                program_name(),
                subject.named,
                subject.namespace
            )));
        }
        tokio::time::sleep(GLANCE).await;
    }
}

/// What the operator has made of a decision, and whether it will say no more.
fn told(waited: &PendingChange, before: &Seen, now: Option<&Seen>, decision: Decision) -> (String, bool) {
    let Some(now) = now else { return ("it is gone".into(), true) };
    if now.hash != before.hash {
        return (
            "it was changed meanwhile, so this decision is about something that is not asked for any more"
                .into(),
            true,
        );
    }
    let status = now.topic.status.as_ref();
    let in_force = status.and_then(|status| status.approved.as_ref());
    if in_force.is_some_and(|approved| approved.hash == before.hash.as_str()) {
        let conditions = status.map(HasConditions::conditions).unwrap_or_default();
        return match condition::find(conditions, READY) {
            Some(ready)
                if ready.status == "True"
                    && Some(now.topic.metadata.generation) == Some(ready.observed_generation) =>
            {
                ("it is in force".into(), true)
            }
            Some(ready) => {
                (format!("it takes effect, and is not ready yet: {}", shown::plain(&ready.message)), false)
            }
            None => ("it takes effect".into(), false),
        };
    }
    match now.standing() {
        Standing::Waits(pending) if pending.rejected.is_some() => match decision {
            Decision::Reject => ("it is held until it becomes another one".into(), true),
            Decision::Approve => ("it is held all the same, because it was rejected".into(), true),
        },
        Standing::Waits(pending)
            if pending.approvals != waited.approvals || pending.missing != waited.missing =>
        {
            let missing = pending.missing.iter().map(|missing| shown::plain(missing)).collect::<Vec<_>>();
            (
                format!(
                    "it has {} approvals, and waits for {}",
                    shown::plain(&pending.approvals),
                    missing.join("; ")
                ),
                true,
            )
        }
        _ => ("the operator has not answered yet".into(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, Kind};
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    fn seen(spec: Value, status: Value) -> Seen {
        let whole = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"name": "orders", "namespace": "shop", "generation": 2},
            "spec": spec, "status": status,
        });
        Seen::of(whole).expect("an EventTopic")
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
    fn what_came_of_it_is_one_line() {
        let hash = seen(json!({"partitions": 2}), json!({})).hash.to_string();
        let before =
            seen(json!({"partitions": 2}), pending(&hash, "0/2", &["Any needs 2 more from group a"], false));
        let Standing::Waits(waited) = before.standing() else { panic!("it waits") };
        let approved = json!({"hash": hash, "generation": 2, "at": "2026-11-21T12:00:00Z", "seal": "s"});
        let ready = |status: &str| {
            json!([{"type": "Ready", "status": status, "reason": "Available", "message": "as declared",
                    "lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 2}])
        };
        let same = |status: Value| Some(seen(json!({"partitions": 2}), status));
        let check = |now: Option<Seen>, decision: Decision, expected: Expect| {
            let (told, is_last) = told(waited, &before, now.as_ref(), decision);
            expected.assert_eq(&format!("{told} {}", if is_last { "(the last word)" } else { "(so far)" }));
        };
        let approve = Decision::Approve;
        check(None, approve, expect!["it is gone (the last word)"]);
        check(
            Some(seen(json!({"partitions": 3}), json!({}))),
            approve,
            expect![
                "it was changed meanwhile, so this decision is about something that is not asked for any more (the last word)"
            ],
        );
        check(
            same(json!({"observedGeneration": 2, "approved": approved})),
            approve,
            expect!["it takes effect (so far)"],
        );
        check(
            same(json!({"approved": approved, "conditions": ready("True")})),
            approve,
            expect!["it is in force (the last word)"],
        );
        check(
            same(json!({"approved": approved, "conditions": ready("False")})),
            approve,
            expect!["it takes effect, and is not ready yet: as declared (so far)"],
        );
        check(
            same(pending(&hash, "0/2", &["Any needs 2 more from group a"], false)),
            approve,
            expect!["the operator has not answered yet (so far)"],
        );
        check(
            same(pending(&hash, "1/2", &["Any needs 1 more from group a"], false)),
            approve,
            expect!["it has 1/2 approvals, and waits for Any needs 1 more from group a (the last word)"],
        );
        check(
            same(pending(&hash, "1/2", &[], true)),
            approve,
            expect!["it is held all the same, because it was rejected (the last word)"],
        );
        check(
            same(pending(&hash, "0/2", &[], true)),
            Decision::Reject,
            expect!["it is held until it becomes another one (the last word)"],
        );
    }

    #[test]
    fn a_decision_says_what_is_decided_and_leaves_the_rest_to_the_webhook() {
        let subject = Subject {
            named: Named { kind: Kind::of::<EventTopic>(), name: "orders".into() },
            namespace: "shop".into(),
            hash: "ab".repeat(32),
            action: ApprovalAction::Delete,
            shown: String::new(),
            seen: None,
        };
        let made =
            serde_yaml::to_string(&approval(&subject, Decision::Reject, Some("still used"))).expect("YAML");
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
        .assert_eq(&made);
    }

    #[test]
    fn hashes_and_times_are_read_as_they_are_shown() {
        assert_eq!(digits(&"AB".repeat(32)), Ok("ab".repeat(32)));
        assert_eq!(digits("abcdef012345"), Ok("abcdef012345".into()));
        for wrong in ["abc", "", "xyzxyzxyzxyz", &"ab".repeat(33)] {
            assert!(digits(wrong).is_err(), "{wrong}");
        }
        assert_eq!(time("0"), Ok(Duration::ZERO));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert!(time("soon").is_err() && time("unlimited").is_err());
    }
}
