//! `eventctl` for requesters and approvers, also as a plugin of kubectl.
//!
//! The commands read pending changes from the status. The tests write that status themselves, on topics that the operator does not
//! change: other tests cover who may approve, and the effect of an approval.

use crate::stage;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use eventcenter::api::{ChangeApproval, Decision, EventTopic};
use eventcenter::domain::approval::SpecHash;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::support::Fixture;

/// The exit code, standard output and standard error.
type CommandOutput = (i32, String, String);

/// A namespace whose topics the operator does not change: it has no tenant, and they are paused.
struct Desk(Fixture);

impl Desk {
    async fn new(name: &str) -> Self {
        Self(Fixture::without_tenant(stage::shared(), name).await)
    }

    fn manifest(&self, name: &str, spec: &str) -> Value {
        let mut manifest = self.0.topic(name).manifest(spec);
        manifest["metadata"]["annotations"] = json!({"eventcenter.io/paused": "true"});
        manifest
    }

    /// Applies a topic, and waits until the operator has written its status.
    async fn declare(&self, name: &str, spec: &str) -> EventTopic {
        self.0.apply(&self.manifest(name, spec)).await;
        self.0.topic(name).wait_for_condition("Ready=False Paused").await
    }

    async fn set_status(&self, name: &str, status: Value) {
        let topics = Api::<EventTopic>::namespaced(self.0.kube.client(), &self.0.namespace);
        let patch = Patch::Merge(json!({"status": status}));
        topics.patch_status(name, &PatchParams::default(), &patch).await.expect("a status");
    }

    /// Declares a topic with a pending change that has none of one approval. Returns it with the hash of the change.
    async fn declare_pending(&self, name: &str, spec: &str) -> (EventTopic, String) {
        let topic = self.declare(name, spec).await;
        let hash = SpecHash::of(&topic.spec).to_string();
        let pending = json!({
            "hash": hash, "generation": topic.metadata.generation, "changes": ["AddPartitions"],
            "requestedBy": ["alice"], "since": "2026-11-21T12:00:00Z", "approvals": "0/1",
            "missing": ["AddPartitions needs 1 more from group shop-leads"], "diff": ["partitions: 3 -> 6"],
        });
        self.set_status(name, json!({"pending": pending})).await;
        (topic, hash)
    }

    /// Makes the declared spec of a topic the active one, with `stored` as the spec in its revision.
    async fn set_active_spec(&self, name: &str, stored: &Value) {
        let topic = self.0.topic(name).get().await;
        let revision = format!("{name}-approved");
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": stored},
            "metadata": {"name": revision, "namespace": self.0.namespace},
        });
        self.0.apply(&object).await;
        let approved = json!({
            "hash": SpecHash::of(&topic.spec).as_str(), "generation": 1, "revision": revision,
            "at": "2026-11-21T12:00:00Z", "seal": "of the test",
        });
        self.set_status(name, json!({"approved": approved})).await;
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env("KUBECONFIG", &self.0.stage.kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs eventctl in the namespace.
    fn eventctl(&self, arguments: &[&str]) -> CommandOutput {
        let arguments = [arguments, &["-n", &self.0.namespace]].concat();
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_eventctl")), &arguments);
        to_command_output(&command.output().expect("the program runs"))
    }

    /// Runs eventctl on a terminal with this input.
    fn on_terminal(&self, arguments: &[&str], input: &str) -> CommandOutput {
        let command_line =
            format!("{} {} -n {}", env!("CARGO_BIN_EXE_eventctl"), arguments.join(" "), self.0.namespace);
        let arguments = ["--quiet", "--return", "--command", &command_line, "/dev/null"];
        let mut command = self.command(Path::new("script"), &arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the input is written");
        to_command_output(&child.wait_with_output().expect("the program ends"))
    }

    async fn decisions(&self) -> Vec<ChangeApproval> {
        let decisions = Api::<ChangeApproval>::namespaced(self.0.kube.client(), &self.0.namespace);
        decisions.list(&Default::default()).await.expect("a list").items
    }
}

fn to_command_output(output: &Output) -> CommandOutput {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\r', "");
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn pending_changes_are_listed_as_text_and_json() {
    let desk = Desk::new("pending").await;
    desk.declare("calm", "partitions: 3").await;
    assert_eq!(desk.eventctl(&["pending"]), (0, "no change is pending\n".into(), String::new()));

    let (_, hash) = desk.declare_pending("orders", "partitions: 6").await;
    let (code, table, _) = desk.eventctl(&["pending"]);
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(code, 0);
    assert_eq!(cells.len(), 2, "{table}");
    assert_eq!(cells[0], ["NAMESPACE", "NAME", "CHANGES", "REQUESTED-BY", "APPROVALS", "SINCE"]);
    assert_eq!(cells[1][..5], [&desk.0.namespace, "eventtopic/orders", "AddPartitions", "alice", "0/1"]);

    let (_, out, _) = desk.eventctl(&["pending", "-o", "json"]);
    let listed: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(listed[0]["hash"], json!(hash));
    assert_eq!(listed[0]["name"], "orders");
    let yaml: Value = serde_yaml::from_str(&desk.eventctl(&["pending", "-o", "yaml"]).1).expect("YAML");
    assert_eq!(yaml, listed);

    let eventctl = Path::new(env!("CARGO_BIN_EXE_eventctl"));
    let (code, all, _) =
        to_command_output(&desk.command(eventctl, &["pending", "-A"]).output().expect("the program runs"));
    assert!(code == 0 && all.lines().any(|line| line.starts_with(&desk.0.namespace)), "{all}");
}

#[tokio::test]
async fn a_pending_change_is_shown_with_its_requirements() {
    let desk = Desk::new("diff").await;
    desk.declare("orders", "partitions: 3").await;
    let (code, out, _) = desk.eventctl(&["diff", "EventTopic", "orders"]);
    assert_eq!(
        (code, out.as_str()),
        (0, &*format!("EventTopic orders in namespace {}: no change is pending\n", desk.0.namespace))
    );

    desk.set_active_spec("orders", &json!(desk.0.topic("orders").get().await.spec)).await;
    let (_, hash) = desk.declare_pending("orders", "partitions: 6").await;
    for resource in [&["etopic", "orders"][..], &["eventtopics/orders"]] {
        let (code, out, err) = desk.eventctl(&[&["diff"], resource].concat());
        assert_eq!((code, err.as_str()), (1, ""), "{out}");
        for expected in [
            "  partitions: 3 -> 6\n",
            "alice",
            "0/1",
            "AddPartitions needs 1 more from group shop-leads",
            &hash,
        ] {
            assert!(out.contains(expected), "{expected}: {out}");
        }
        let next = format!("eventctl approve EventTopic orders -n {} --hash {hash}", desk.0.namespace);
        assert!(out.contains(&next), "{out}");
    }
    let (code, _, err) = desk.eventctl(&["diff", "etopic/nothing"]);
    assert_eq!(code, 2);
    assert_eq!(err, format!("eventctl: there is no EventTopic nothing in namespace {}\n", desk.0.namespace));
}

#[tokio::test]
async fn a_decision_is_about_the_content_that_was_shown() {
    let desk = Desk::new("approve").await;
    let (_, hash) = desk.declare_pending("orders", "partitions: 6").await;

    let (code, _, err) = desk.eventctl(&["approve", "etopic/orders"]);
    assert_eq!(code, 2, "there is no terminal: {err}");
    assert!(err.contains("--hash") && err.contains("--yes") && err.contains("not a terminal"), "{err}");
    let (code, _, err) = desk.eventctl(&["approve", "etopic/orders", "--hash", &"0".repeat(64)]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&format!("EventTopic orders: the hash is now {hash}, not 0000")), "{err}");
    assert!(desk.decisions().await.is_empty(), "no decision is stored");

    let arguments =
        ["approve", "EventTopic", "orders", "--hash", &hash[..12], "--comment", "as agreed", "--wait", "0"];
    let (code, out, err) = desk.eventctl(&arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("EventTopic orders approved: "), "{out}");
    let decision = desk.decisions().await.pop().expect("a decision");
    assert!(decision.name_any().starts_with("orders-"));
    assert_eq!(decision.spec.target.name, "orders");
    assert_eq!((&decision.spec.spec_hash, decision.spec.decision), (&hash, Decision::Approve));
    assert_eq!(decision.spec.comment.as_deref(), Some("as agreed"));

    let (code, out, _) = desk.eventctl(&["approvals", "etopic/orders"]);
    assert!(code == 0 && out.contains(&decision.name_any()) && out.contains("as agreed"), "{out}");
    let (code, _, err) = desk.eventctl(&["reject", "etopic/orders", "--yes", "--wait", "0"]);
    assert!(code == 0 && err.contains("warning: no --comment is given"), "{err}");
    assert!(desk.decisions().await.iter().any(|decision| decision.spec.decision == Decision::Reject));

    desk.declare("calm", "partitions: 1").await;
    let (code, _, err) = desk.eventctl(&["approve", "etopic/calm", "--yes"]);
    assert!(code == 1 && err.contains("no change is pending"), "{err}");
    let (code, _, err) = desk.eventctl(&["approve", "etopic/calm", "--yes", "--action", "delete"]);
    assert!(code == 1 && err.contains("spec.deletionPolicy: deleting it keeps its data"), "{err}");
}

#[tokio::test]
async fn on_a_terminal_a_decision_is_confirmed() {
    let desk = Desk::new("confirm").await;
    let before = desk.declare("orders", "partitions: 3").await;
    desk.set_active_spec("orders", &json!(before.spec)).await;
    desk.declare_pending("orders", "partitions: 6").await;
    let (code, out, _) = desk.on_terminal(&["approve", "etopic/orders"], "n\n");
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("partitions: 3 -> 6") && out.contains("Approve this change? [y/N]"), "{out}");
    assert!(out.contains("EventTopic orders is not approved"), "{out}");
    assert!(desk.decisions().await.is_empty());
    let (code, out, _) = desk.on_terminal(&["approve", "etopic/orders", "--wait", "0"], "y\n");
    assert_eq!(code, 0, "{out}");
    assert_eq!(desk.decisions().await.len(), 1);
}

#[tokio::test]
async fn approve_waits_for_the_result() {
    let desk = Desk::new("outcome").await;
    let (topic, hash) = desk.declare_pending("orders", "partitions: 6").await;
    let namespace = desk.0.namespace.clone();
    let arguments = ["approve", "etopic/orders", "--hash", &hash, "--wait", "1m", "-n", &namespace];
    let child = desk
        .command(Path::new(env!("CARGO_BIN_EXE_eventctl")), &arguments)
        .spawn()
        .expect("the program runs");
    crate::support::until(
        async || if desk.decisions().await.is_empty() { Err("none".into()) } else { Ok(()) },
    )
    .await
    .expect("the decision is stored");
    // The status that the operator would write.
    let generation = topic.metadata.generation;
    let approved = json!({"hash": hash, "generation": generation, "at": "2026-11-21T12:00:00Z", "seal": "s"});
    let ready = json!([{
        "type": "Ready", "status": "True", "reason": "Available", "message": "",
        "lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": generation,
    }]);
    let status = json!({"approved": approved, "pending": null, "conditions": ready});
    desk.set_status("orders", status).await;
    let (code, out, err) = to_command_output(&child.wait_with_output().expect("the program ends"));
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "EventTopic orders approved: the change is active\n", "")
    );

    let (_, hash) = desk.declare_pending("slow", "partitions: 6").await;
    let (code, out, _) = desk.eventctl(&["approve", "etopic/slow", "--hash", &hash, "--wait", "1ms"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with(
            "EventTopic slow approved: the operator has not processed the decision yet; see eventctl diff"
        ),
        "{out}"
    );
}

#[tokio::test]
async fn a_pending_change_is_withdrawn() {
    let desk = Desk::new("withdraw").await;
    let before = desk.declare("orders", "{partitions: 3, retention: {time: 7d}}").await;
    desk.set_active_spec("orders", &json!(before.spec)).await;
    desk.declare_pending("orders", "{partitions: 6, retention: {time: 1d}}").await;
    let patch = json!({"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "shop:orders"}}});
    desk.0.kube.merge(desk.0.topic("orders").path(), &patch).await;

    let (code, _, err) = desk.eventctl(&["withdraw", "etopic/orders"]);
    assert!(code == 2 && err.contains("--yes"), "{err}");
    let (code, out, err) = desk.eventctl(&["withdraw", "EventTopic", "orders", "--yes"]);
    assert_eq!(code, 0, "the active spec has fewer partitions than the pending one, which is allowed: {err}");
    assert!(out.starts_with("EventTopic orders withdrawn"), "{out}");
    assert!(err.contains("warning: Argo CD applies this resource from Git"), "{err}");
    let after = desk.0.topic("orders").get().await;
    assert_eq!(after.spec, before.spec);
    assert!(after.annotations().contains_key("argocd.argoproj.io/tracking-id"));

    let (code, _, err) = desk.eventctl(&["withdraw", "etopic/orders", "--yes"]);
    assert!(code == 1 && err.contains("nothing to withdraw"), "{err}");
    // Without a pending change the partitions cannot be reduced.
    desk.set_status("orders", json!({"pending": null})).await;
    desk.0.topic("orders").assert_rejected("{partitions: 2}", "spec.partitions cannot be reduced").await;

    desk.declare_pending("new", "partitions: 1").await;
    let (code, _, err) = desk.eventctl(&["withdraw", "etopic/new", "--yes"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("has no active spec to return to") && err.contains("kubectl delete eventtopic/new"),
        "{err}"
    );
}

#[tokio::test]
async fn a_forged_active_spec_is_not_restored() {
    let desk = Desk::new("forged").await;
    desk.declare("orders", "partitions: 3").await;
    desk.set_active_spec("orders", &json!({"partitions": 3, "deletionPolicy": "Delete"})).await;
    desk.declare_pending("orders", "partitions: 6").await;
    let (code, _, err) = desk.eventctl(&["withdraw", "etopic/orders", "--yes"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("does not have the hash in status.approved"), "{err}");
    assert_eq!(desk.0.topic("orders").get().await.spec.partitions, 6);
}

#[tokio::test]
async fn the_hash_of_a_manifest_is_known_before_it_is_applied() {
    let desk = Desk::new("ahead").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.yaml");
    let path = file.to_str().expect("a path");
    let write = |manifest: &Value| std::fs::write(&file, manifest.to_string()).expect("the file is written");

    // A topic that does not exist yet gets the defaults of the API server.
    write(&desk.manifest("orders", "retention: {time: 7d}"));
    let (code, out, err) = desk.eventctl(&["diff", "-f", path]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("would be created") && out.contains("Create"), "{out}");
    let topic = desk.declare("orders", "retention: {time: 7d}").await;
    assert!(out.contains(SpecHash::of(&topic.spec).as_str()), "{out}");
    let (code, out, _) = desk.eventctl(&["diff", "EventTopic", "orders", "-f", path]);
    assert_eq!(code, 0, "the manifest is the declared spec: {out}");

    // A manifest without a field that another field manager applied: the field is removed.
    write(&desk.manifest("orders", "partitions: 2"));
    let (code, out, err) = desk.eventctl(&["diff", "-f", path]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert_eq!(desk.0.topic("orders").get().await.spec, topic.spec, "diff stores nothing");

    // With read access only, a warning reports that the program's own defaults are used.
    for object in reader_role(&desk.0.namespace) {
        desk.0.apply(&object).await;
    }
    let (code, as_reader, err) =
        desk.eventctl(&["diff", "-f", path, "--as", "carol", "--as-group", "readers"]);
    assert_eq!((code, &as_reader), (1, &out));
    assert!(err.contains("warning: you may not write eventtopics here"), "{err}");
    let approve = ["approve", "-f", path, "--yes", "--as", "carol", "--as-group", "readers"];
    let (code, _, err) = desk.eventctl(&approve);
    assert!(code == 2 && err.contains("forbidden"), "{err}");

    let (code, out, _) = desk.eventctl(&["approve", "-f", path, "--yes"]);
    assert!(code == 0 && out.contains("can be applied"), "{out}");
    let decision = desk.decisions().await.pop().expect("a decision");
    let declared = desk.declare("orders", "partitions: 2").await;
    assert_eq!(decision.spec.spec_hash, SpecHash::of(&declared.spec).as_str());

    write(&desk.manifest("orders", "partitions: 0"));
    let (code, _, err) = desk.eventctl(&["diff", "-f", path]);
    assert!(code == 2 && err.contains("spec.partitions"), "{err}");
}

/// A role and its binding: the group `readers` may read EventTopics.
fn reader_role(namespace: &str) -> [Value; 2] {
    [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "reader", "namespace": namespace},
            "rules": [{"apiGroups": ["eventcenter.io"], "resources": ["eventtopics"], "verbs": ["get", "list"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "reader", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "Group", "name": "readers", "apiGroup": "rbac.authorization.k8s.io"}],
        }),
    ]
}

#[tokio::test]
async fn kubectl_runs_it_as_a_plugin() {
    let desk = Desk::new("plugin").await;
    desk.declare_pending("orders", "partitions: 6").await;
    let plugin = Path::new(env!("CARGO_BIN_EXE_kubectl-eventcenter"));
    let folder = plugin.parent().expect("a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let kubectl = |arguments: &[&str]| {
        let mut command = desk.command(&desk.0.stage.kubectl, arguments);
        to_command_output(&command.env("PATH", &path).output().expect("the program runs"))
    };
    let (code, out, err) = kubectl(&["eventcenter", "pending", "-n", &desk.0.namespace]);
    assert!(code == 0 && out.contains("eventtopic/orders"), "{out}{err}");
    let (code, out, _) = kubectl(&["eventcenter", "diff", "etopic/orders", "-n", &desk.0.namespace]);
    assert!(code == 1 && out.contains("kubectl eventcenter approve EventTopic orders"), "{out}");
    let (code, out, _) = kubectl(&["eventcenter", "approve", "--help"]);
    assert!(
        code == 0 && out.contains("Usage: kubectl eventcenter approve") && !out.contains("eventctl"),
        "{out}"
    );
    let (code, _, err) = kubectl(&["eventcenter", "diff", "etopic/nothing", "-n", &desk.0.namespace]);
    assert!(code == 2 && err.contains("kubectl eventcenter: there is no EventTopic nothing"), "{err}");
}

#[tokio::test]
async fn the_namespace_is_that_of_the_context() {
    let desk = Desk::new("context").await;
    desk.declare_pending("orders", "partitions: 6").await;
    let admin = std::fs::read_to_string(&desk.0.stage.kubeconfig).expect("a kubeconfig");
    let mut kubeconfig: Value = serde_yaml::from_str(&admin).expect("a kubeconfig");
    let mut context = kubeconfig["contexts"][0].clone();
    context["name"] = json!("here");
    context["context"]["namespace"] = json!(desk.0.namespace);
    kubeconfig["contexts"].as_array_mut().expect("contexts").push(context);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), kubeconfig.to_string()).expect("the file is written");
    let path = file.path().to_str().expect("a path");
    let eventctl = |arguments: &[&str]| {
        let mut command = desk.command(Path::new(env!("CARGO_BIN_EXE_eventctl")), arguments);
        to_command_output(&command.env("KUBECONFIG", "/nowhere").output().expect("the program runs"))
    };
    let (code, out, err) = eventctl(&["pending", "--kubeconfig", path, "--context", "here"]);
    assert!(code == 0 && out.contains("eventtopic/orders"), "{out}{err}");
    let (code, out, _) = eventctl(&["pending", "--kubeconfig", path]);
    assert!(code == 0 && !out.contains(&desk.0.namespace), "{out}");
    let (code, _, err) = eventctl(&["pending", "--kubeconfig", path, "--context", "elsewhere"]);
    assert!(code == 2 && err.contains("--context") && err.contains("elsewhere"), "{err}");
    let (code, _, err) = eventctl(&["pending"]);
    assert!(code == 2 && err.contains("KUBECONFIG"), "{err}");
}
