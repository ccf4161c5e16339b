//! Requesters and approvers with `eventctl`, webhook, operator and Kafka: from the change to its effect.

use std::process::Command;

use serde_json::Value;

use super::team::Team;

/// The exit code, standard output and standard error.
type CommandOutput = (i32, String, String);

/// The groups of a requester and of an approver.
const REQUESTER: &[&str] = &["requesters"];
const APPROVER: &[&str] = &["approvers", "may-approve"];

impl Team {
    /// Runs a program as a user in groups of this tenant.
    fn run(&self, mut command: Command, user: &str, groups: &[&str], arguments: &[&str]) -> CommandOutput {
        command.env("KUBECONFIG", &self.t.stage.kubeconfig).args(arguments);
        command.args(["-n", &self.t.namespace, "--as", user]);
        for group in groups {
            command.args(["--as-group", &self.group(group)]);
        }
        let output = command.stdin(std::process::Stdio::null()).output().expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    fn eventctl(&self, user: &str, groups: &[&str], arguments: &[&str]) -> CommandOutput {
        self.run(Command::new(env!("CARGO_BIN_EXE_eventctl")), user, groups, arguments)
    }

    /// Applies an EventTopic with client-side `kubectl apply`.
    fn apply(&self, user: &str, groups: &[&str], manifest: &Value) -> CommandOutput {
        let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
        std::fs::write(file.path(), manifest.to_string()).expect("the file is written");
        let path = file.path().to_str().expect("a path");
        self.run(self.t.stage.kubectl().command(), user, groups, &["apply", "-f", path])
    }
}

const HOLD: &str = "{rules: [{changes: [AddPartitions, ReduceRetention, Delete], groups: [GROUP]}]}";

#[tokio::test]
async fn a_change_is_requested_shown_and_approved() {
    let team = Team::new("journey", HOLD).await;
    let manifest = |partitions: i32| {
        team.t.topic("orders").manifest(&format!("{{partitions: {partitions}, owner: {{team: a}}}}"))
    };
    let (code, _, err) = team.apply("alice", REQUESTER, &manifest(1));
    assert_eq!((code, err.as_str()), (0, ""), "the creation needs no approval");
    team.t.topic("orders").wait_until_ready().await;
    let (code, _, err) = team.apply("alice", REQUESTER, &manifest(3));
    assert!(code == 0 && err.contains("eventctl approve EventTopic orders"), "{err}");
    team.t.topic("orders").wait_for_condition("Ready=False AwaitingApproval").await;

    let (_, out, _) = team.eventctl("bob", APPROVER, &["pending"]);
    assert!(
        out.contains("eventtopic/orders") && out.contains("AddPartitions") && out.contains("alice"),
        "{out}"
    );
    let (code, out, err) = team.eventctl("bob", APPROVER, &["diff", "etopic/orders"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("  partitions: 1 -> 3\n"), "{out}");

    // A requester cannot approve, whatever their groups; eventctl shows the webhook's message.
    let (code, _, err) =
        team.eventctl("alice", &[REQUESTER, APPROVER].concat(), &["approve", "etopic/orders", "--yes"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.starts_with("eventctl: ApprovalNotAllowed: alice requested or wrote this change"), "{err}");
    let (code, _, err) = team.eventctl("carol", &["may-approve"], &["approve", "etopic/orders", "--yes"]);
    assert!(code == 1 && err.contains("ApprovalNotAllowed: carol is in none of the groups"), "{err}");

    let (code, out, err) =
        team.eventctl("bob", APPROVER, &["approve", "etopic/orders", "--yes", "--wait", "1m"]);
    assert_eq!((code, out.as_str()), (0, "EventTopic orders approved: the change is active\n"), "{err}");
    team.t.wait_for_kafka_topic("orders", "3 partitions", |topic| topic.partitions == 3).await;
    let (_, out, _) = team.eventctl("bob", APPROVER, &["approvals", "etopic/orders"]);
    assert!(out.contains("bob") && out.contains("Approve"), "{out}");
    let (code, out, _) = team.eventctl("bob", APPROVER, &["diff", "etopic/orders"]);
    assert!(code == 0 && out.contains("no change is pending"), "{out}");
}

#[tokio::test]
async fn a_change_is_rejected_and_withdrawn() {
    let team = Team::new("reject", HOLD).await;
    team.apply(
        "alice",
        REQUESTER,
        &team.t.topic("orders").manifest("{partitions: 1, retention: {time: 7d}}"),
    );
    team.t.topic("orders").wait_until_ready().await;
    team.apply(
        "alice",
        REQUESTER,
        &team.t.topic("orders").manifest("{partitions: 3, retention: {time: 1d}}"),
    );
    let arguments = ["reject", "etopic/orders", "--yes", "--wait", "1m", "--comment", "too short"];
    let (code, out, err) = team.eventctl("bob", APPROVER, &arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "EventTopic orders rejected: the change is on hold until the spec changes\n");
    let (_, out, _) = team.eventctl("alice", REQUESTER, &["diff", "etopic/orders"]);
    assert!(out.contains("rejected by:  bob: too short"), "{out}");

    let groups = [REQUESTER, APPROVER].concat();
    let (code, out, err) = team.eventctl("alice", &groups, &["withdraw", "etopic/orders", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let topic = team.t.topic("orders").wait_until_ready().await;
    assert_eq!(topic.spec.partitions, 1);
    assert!(topic.status.is_some_and(|status| status.pending.is_none()));
}

#[tokio::test]
async fn a_manifest_is_approved_before_it_is_applied() {
    let team = Team::new("ahead", "{mode: Deny, rules: [{changes: [Any], groups: [GROUP]}]}").await;
    let manifest = team.t.topic("orders").manifest("retention: {time: 7d}");
    let file = tempfile::NamedTempFile::with_suffix(".yaml").expect("a file");
    std::fs::write(file.path(), manifest.to_string()).expect("the file is written");
    let path = file.path().to_str().expect("a path");
    let (code, _, err) = team.apply("alice", REQUESTER, &manifest);
    assert!(code == 1 && err.contains("AwaitingApproval"), "{err}");

    let (code, as_alice, err) = team.eventctl("alice", REQUESTER, &["diff", "-f", path]);
    assert_eq!((code, err.as_str()), (1, ""), "{as_alice}");
    let (code, out, _) = team.eventctl("bob", APPROVER, &["diff", "-f", path]);
    assert_eq!((code, &out), (1, &as_alice), "the output does not depend on the right to write");
    let (code, out, err) = team.eventctl("bob", APPROVER, &["approve", "-f", path, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, _, err) = team.apply("alice", REQUESTER, &manifest);
    assert_eq!(code, 0, "{err}");
    team.t.topic("orders").wait_until_ready().await;
}

#[tokio::test]
async fn a_deletion_is_approved() {
    let team = Team::new("deletion", HOLD).await;
    team.apply("alice", REQUESTER, &team.t.topic("orders").manifest("deletionPolicy: Delete"));
    team.t.topic("orders").wait_until_ready().await;
    let delete = ["delete", "eventtopic", "orders", "--wait=false"];
    let (code, _, err) = team.run(team.t.stage.kubectl().command(), "alice", REQUESTER, &delete);
    assert!(code == 1 && err.contains("AwaitingApproval"), "{err}");
    let arguments = ["approve", "etopic/orders", "--action", "Delete", "--yes"];
    let (code, out, err) = team.eventctl("bob", APPROVER, &arguments);
    assert!(code == 0 && out.contains("it can be deleted"), "{out}{err}");
    let (code, _, err) = team.run(team.t.stage.kubectl().command(), "alice", REQUESTER, &delete);
    assert_eq!(code, 0, "{err}");
    team.t.topic("orders").wait_until_deleted().await;
    team.t.wait_until_kafka_topic_deleted("orders").await;
}
