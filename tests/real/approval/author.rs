//! Who counts as the author of a change, with server-side and client-side apply, by automation and by people.

use eventcenter::api::{AUTHORED_BY, REQUEST};
use eventcenter_sdk::Reason;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::team::{Team, assert_accepted};
use crate::support::{KubeClient, ObjectPath, Response, WriteMethod, assert_refused, until};

const RULES: &str = "{rules: [{changes: [Any], groups: [GROUP]}], \
                     automation: ['system:serviceaccount:NAMESPACE:gitops']}";

/// A tenant whose changes are applied by automation.
struct GitOps {
    team: Team,
    robot: KubeClient,
}

impl GitOps {
    async fn new(name: &str, rules: &str) -> Self {
        let team = Team::new(name, rules).await;
        let groups = [team.group("requesters")];
        let robot = KubeClient::as_user(&team.t.stage.kubeconfig, &team.account("gitops"), &groups).await;
        Self { team, robot }
    }

    /// The manifest of topic orders, with an author if one is given.
    fn manifest(&self, partitions: i32, author: Option<&str>) -> Value {
        let mut manifest = self.team.t.topic("orders").manifest(&format!("partitions: {partitions}"));
        if let Some(author) = author {
            manifest["metadata"]["annotations"] = json!({AUTHORED_BY: author});
        }
        manifest
    }

    async fn apply(&self, manifest: &Value) -> Response {
        self.robot.write(manifest, WriteMethod::Apply).await
    }

    /// Client-side `kubectl apply` as automation.
    fn kubectl_apply(&self, manifest: &Value) -> Result<String, String> {
        self.kubectl_apply_as(&self.team.account("gitops"), manifest)
    }

    fn kubectl_apply_as(&self, user: &str, manifest: &Value) -> Result<String, String> {
        let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
        std::fs::write(file.path(), manifest.to_string()).expect("the file is written");
        let (path, group) = (file.path().to_str().expect("a path"), self.team.group("requesters"));
        self.team.t.kubectl(&["apply", "--as", user, "--as-group", &group, "-f", path])
    }

    /// Merges into topic orders as a person who edits the object by hand.
    async fn edit(&self, user: &KubeClient, patch: &Value) {
        let (path, parameters) = (ObjectPath::of(&self.manifest(1, None)), PatchParams::default());
        user.try_patch(&path, &parameters, &Patch::Merge(patch)).await.expect("the edit is accepted");
    }

    async fn requesters(&self) -> String {
        self.team.requesters("orders").await.replace(&self.team.account("gitops"), "gitops")
    }
}

/// The message that automation gets if another user wrote the annotation.
const FOREIGN: &str = "somebody else set this author";

#[tokio::test]
async fn an_annotation_that_is_not_exactly_one_person_is_refused() {
    let s = GitOps::new("one", RULES).await;
    let robot = s.team.account("gitops");
    for author in [
        "carol@shop.example, dave@shop.example",
        "Carol <carol@shop.example>, Dave <dave@shop.example>",
        "carol@shop.example; dave@shop.example",
        "carol dave",
        "12345+carol@users.noreply.github.com",
        "carol@users.noreply.github.com",
        "12345-carol@users.noreply.gitlab.com",
        "noreply@github.com",
        "car\u{200b}ol@shop.example",
        "Carol\u{202e} <carol@shop.example>",
        "cåro\u{301}l@shop.example",
        "carol@shop.example.",
        "-",
        "gitops",
        &robot,
        "system:admin",
    ] {
        let answer = s.apply(&s.manifest(1, Some(author))).await;
        assert_refused(
            &answer,
            Reason::ApprovalNotAllowed,
            "metadata.annotations[eventcenter.io/authored-by]: ",
        );
        // Also if a person sets it.
        let alice = s.team.user("alice", &["requesters"]).await;
        let answer = alice.create(&s.manifest(1, Some(author)), "").await;
        assert_refused(
            &answer,
            Reason::ApprovalNotAllowed,
            "metadata.annotations[eventcenter.io/authored-by]: ",
        );
    }
    assert_accepted(&s.apply(&s.manifest(1, Some("\"Doe, Carol\" <carol@shop.example>"))).await);
    assert_eq!(s.requesters().await, "gitops for \"Doe, Carol\" <carol@shop.example>");
}

#[tokio::test]
async fn an_author_with_another_domain_cannot_approve() {
    let s = GitOps::new("domain", RULES).await;
    assert_accepted(&s.apply(&s.manifest(1, Some("Xenia <xenia@gmail.example>"))).await);
    for login in ["xenia@shop.example", "oidc:Xenia@another.example", "xenia+ops@shop.example"] {
        let answer =
            s.team.approver(login).await.create(&s.team.decision("orders", "Approve").await, "").await;
        assert_refused(&answer, Reason::ApprovalNotAllowed, "another person has to decide");
    }
    let dave = s.team.approver("dave@shop.example").await;
    assert_accepted(&dave.create(&s.team.decision("orders", "Approve").await, "").await);
}

#[tokio::test]
async fn identities_say_which_names_are_one_person() {
    let rules = "{rules: [{changes: [Any], groups: [GROUP]}], \
                  automation: ['system:serviceaccount:NAMESPACE:gitops'], \
                  identities: [{user: carol@shop.example, aliases: [7+cdoe@users.noreply.github.com, c.doe@home.example]}, \
                               {user: carol@bank.example}]}";
    let s = GitOps::new("alias", rules).await;
    assert_accepted(&s.apply(&s.manifest(1, Some("7+cdoe@users.noreply.github.com"))).await);
    for login in ["carol@shop.example", "oidc:carol@shop.example", "c.doe@home.example"] {
        let answer =
            s.team.approver(login).await.create(&s.team.decision("orders", "Approve").await, "").await;
        assert_refused(&answer, Reason::ApprovalNotAllowed, "another person has to decide");
    }
    let namesake = s.team.approver("carol@bank.example").await;
    assert_accepted(&namesake.create(&s.team.decision("orders", "Approve").await, "").await);
    let answer = s.apply(&s.manifest(2, Some("8+cdoe@users.noreply.github.com"))).await;
    assert_refused(&answer, Reason::ApprovalNotAllowed, "spec.approval.identities");
}

#[tokio::test]
async fn an_ambiguous_identity_is_refused() {
    let team = Team::new("ambiguous", RULES).await;
    let tenant = |identities: &str| {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "Tenant", "metadata": {"name": team.t.namespace},
            "spec": team.tenant(&format!("{{rules: [{{changes: [Any], groups: [GROUP]}}], identities: {identities}}}")),
        })
    };
    let answer = team
        .t
        .kube
        .write(
            &tenant("[{user: a, aliases: [x@one.example]}, {user: b, aliases: [X@One.example]}]"),
            WriteMethod::DryRun,
        )
        .await;
    assert_refused(&answer, Reason::InvalidResource, "spec.approval.identities[1].aliases[0]: ");
    let answer =
        team.t.kube.write(&tenant("[{user: a, aliases: [b]}, {user: b}]"), WriteMethod::DryRun).await;
    assert_refused(&answer, Reason::InvalidResource, "spec.approval.identities[1].user: ");
}

/// A person annotates the live object, and automation applies a change whose manifest names nobody.
#[tokio::test]
async fn automation_is_not_believed_for_an_author_that_somebody_else_set() {
    let s = GitOps::new("foreign", RULES).await;
    let dave = s.team.user("dave", &["requesters"]).await;
    let annotate = json!({"metadata": {"annotations": {AUTHORED_BY: "victim@shop.example"}}});

    // Server-side apply.
    assert_accepted(&s.apply(&s.manifest(1, Some("carol@shop.example"))).await);
    s.edit(&dave, &annotate).await;
    let answer = s.apply(&s.manifest(2, None)).await;
    assert_refused(&answer, Reason::ApprovalNotAllowed, FOREIGN);
    // The person claims, too, that the field belongs to automation.
    let stored: Value = dave.get(&ObjectPath::of(&s.manifest(1, None))).await.expect("the topic");
    let mut fields = stored["metadata"]["managedFields"].clone();
    for entry in fields.as_array_mut().expect("entries") {
        if entry["operation"] == "Apply" && entry["manager"] == "tests" {
            entry["fieldsV1"]["f:metadata"] = json!({"f:annotations": {format!("f:{AUTHORED_BY}"): {}}});
        }
    }
    let mut forged = annotate.clone();
    forged["metadata"]["managedFields"] = fields;
    s.edit(&dave, &forged).await;
    let stored: Value = dave.get(&ObjectPath::of(&s.manifest(1, None))).await.expect("the topic");
    let claims = stored["metadata"]["managedFields"].as_array().expect("entries").iter().any(|entry| {
        (&entry["operation"], &entry["manager"]) == (&json!("Apply"), &json!("tests"))
            && entry["fieldsV1"]["f:metadata"]["f:annotations"].get(format!("f:{AUTHORED_BY}")).is_some()
    });
    assert!(claims, "the API server stores the claim: {stored:#}");
    let merged = s
        .robot
        .try_patch(
            &ObjectPath::of(&s.manifest(1, None)),
            &PatchParams { field_manager: Some("tests".into()), ..PatchParams::default() },
            &Patch::Merge(&json!({"spec": {"partitions": 2}})),
        )
        .await
        .expect_err("the author is not automation's");
    assert!(merged.to_string().contains(FOREIGN), "{merged}");
    let answer = s.apply(&s.manifest(2, None)).await;
    assert_refused(&answer, Reason::ApprovalNotAllowed, "metadata.annotations[eventcenter.io/authored-by]: ");
    // With the author in the manifest the change is accepted, as often as it is applied with that author.
    for partitions in [2, 3, 4] {
        assert_accepted(&s.apply(&s.manifest(partitions, Some("victim@shop.example"))).await);
    }
}

#[tokio::test]
async fn automation_that_applies_client_side_is_believed_for_its_own_manifest() {
    let s = GitOps::new("clientside", RULES).await;
    let dave = s.team.user("dave", &["requesters"]).await;
    s.kubectl_apply(&s.manifest(1, Some("carol@shop.example"))).expect("accepted");
    s.kubectl_apply(&s.manifest(2, Some("carol@shop.example"))).expect("the same author again");
    assert_eq!(s.requesters().await, "gitops for carol@shop.example");
    // The author in the live object is not that of the manifest.
    s.kubectl_apply(&s.manifest(2, None)).expect("nothing is requested");
    s.edit(&dave, &json!({"metadata": {"annotations": {AUTHORED_BY: "victim@shop.example"}}})).await;
    let refused = s.kubectl_apply(&s.manifest(3, None)).expect_err("nobody is named");
    assert!(refused.contains(FOREIGN), "{refused}");
    // A drifted spec is restored by a client-side apply that changes only the spec.
    s.kubectl_apply(&s.manifest(3, Some("carol@shop.example"))).expect("accepted");
    s.edit(&dave, &json!({"spec": {"partitions": 7}})).await;
    s.kubectl_apply(&s.manifest(3, Some("carol@shop.example"))).expect("the manifest names its author");
}

#[tokio::test]
async fn automation_that_replaces_is_believed_for_its_own_manifest() {
    let s = GitOps::new("replace", RULES).await;
    let dave = s.team.user("dave", &["requesters"]).await;
    let replace = async |manifest: &Value| {
        // The operator may write the status meanwhile.
        let answer = until(async || match s.robot.write(manifest, WriteMethod::Replace).await {
            answer if answer.message().contains("the object has been modified") => Err(format!("{answer:?}")),
            answer => Ok(answer),
        });
        answer.await.expect("the object is replaced without a conflict")
    };
    assert_accepted(&replace(&s.manifest(1, Some("carol@shop.example"))).await);
    assert_accepted(&replace(&s.manifest(2, Some("carol@shop.example"))).await);
    s.edit(&dave, &json!({"metadata": {"annotations": {AUTHORED_BY: "victim@shop.example"}}})).await;
    let answer = replace(&s.manifest(3, None)).await;
    assert_refused(&answer, Reason::ApprovalNotAllowed, "must name the author");
}

/// F4: the author of an unrelated commit, whom `commonAnnotations` names everywhere.
#[tokio::test]
async fn another_author_of_unchanged_content_adds_nobody() {
    let rules = "{rules: [{changes: [Any], approvals: 2, groups: [GROUP]}], \
                  automation: ['system:serviceaccount:NAMESPACE:gitops']}";
    let s = GitOps::new("common", rules).await;
    assert_accepted(&s.apply(&s.manifest(1, Some("carol@shop.example"))).await);
    let bob = s.team.approver("bob").await;
    assert_accepted(&bob.create(&s.team.decision("orders", "Approve").await, "").await);
    let pending = async |approvals: &str| {
        s.team
            .t
            .topic("orders")
            .wait_for_status(approvals, |topic| {
                let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
                pending.is_some_and(|pending| pending.approvals == approvals)
            })
            .await
    };
    pending("1/2").await;
    // By automation, and by another approver.
    assert_accepted(&s.apply(&s.manifest(1, Some("Bob <bob@shop.example>"))).await);
    let erin = s.team.approver("erin").await;
    s.edit(&erin, &json!({"metadata": {"annotations": {AUTHORED_BY: "erin"}}})).await;
    s.edit(&erin, &json!({"metadata": {"annotations": {AUTHORED_BY: null}}})).await;
    assert_eq!(s.requesters().await, "gitops for carol@shop.example");
    assert_accepted(&erin.create(&s.team.decision("orders", "Approve").await, "").await);
    s.team.t.topic("orders").wait_until_ready().await;
}

/// F5: a person changes an object that names the author of an earlier change.
#[tokio::test]
async fn a_hand_edit_has_no_author_but_its_editor() {
    let s = GitOps::new("edit", RULES).await;
    assert_accepted(&s.apply(&s.manifest(1, Some("carol@shop.example"))).await);
    let carol = s.team.approver("carol@shop.example").await;
    let bob = s.team.approver("bob").await;
    assert_accepted(&bob.create(&s.team.decision("orders", "Approve").await, "").await);
    s.team.t.topic("orders").wait_until_ready().await;
    let dave = s.team.user("dave", &["requesters"]).await;
    s.edit(&dave, &json!({"spec": {"partitions": 2}})).await;
    assert_eq!(s.requesters().await, "dave");
    // So Carol, who wrote none of it, approves.
    assert_accepted(&carol.create(&s.team.decision("orders", "Approve").await, "").await);
    s.team.t.topic("orders").wait_until_ready().await;
    // Client-side, after a client-side apply that named her.
    s.kubectl_apply_as("dave", &s.manifest(3, Some("carol@shop.example"))).expect("accepted");
    assert_eq!(s.requesters().await, "dave for carol@shop.example");
    assert_accepted(&bob.create(&s.team.decision("orders", "Approve").await, "").await);
    s.team.t.topic("orders").wait_until_ready().await;
    s.edit(&dave, &json!({"spec": {"partitions": 4}})).await;
    assert_eq!(s.requesters().await, "dave");
    // Unless the editor names the author in that very request.
    s.edit(&dave, &json!({"metadata": {"annotations": {AUTHORED_BY: "erin"}}, "spec": {"partitions": 5}}))
        .await;
    assert_eq!(s.requesters().await, "dave for erin");
}

/// F6: stamps from `kubectl get -o yaml` that were committed to Git.
#[tokio::test]
async fn committed_stamps_of_the_webhook_are_ignored() {
    let s = GitOps::new("stamps", RULES).await;
    assert_accepted(&s.apply(&s.manifest(1, Some("carol@shop.example"))).await);
    let stored = s.team.t.topic("orders").get().await;
    let mut manifest = s.manifest(2, Some("dave@shop.example"));
    for (key, value) in stored.annotations() {
        if key != AUTHORED_BY {
            manifest["metadata"]["annotations"][key] = json!(value);
        }
    }
    assert!(manifest["metadata"]["annotations"][REQUEST].is_string(), "{manifest}");
    assert_accepted(&s.apply(&manifest).await);
    assert_eq!(s.requesters().await, "gitops for carol@shop.example, dave@shop.example");
    let sealed = s.team.t.topic("orders").get().await.annotations().get(REQUEST).cloned();
    // The same again, server-side and client-side.
    assert_accepted(&s.apply(&manifest).await);
    s.kubectl_apply(&manifest).expect("accepted");
    assert_eq!(s.team.t.topic("orders").get().await.annotations().get(REQUEST).cloned(), sealed);
}

/// Thirty-two people have changed a pending spec; the next one withdraws it.
#[tokio::test]
async fn whoever_comes_after_many_requesters_can_withdraw() {
    let team = Team::new("many", "{rules: [{changes: [AddPartitions], groups: [GROUP]}]}").await;
    let manifest = |partitions: i32| team.t.topic("orders").manifest(&format!("partitions: {partitions}"));
    let first = team.user("user0", &["requesters"]).await;
    assert_accepted(&first.write(&manifest(1), WriteMethod::Apply).await);
    team.t.topic("orders").wait_until_ready().await;
    for number in 0..32 {
        let user = team.user(&format!("user{number}"), &["requesters"]).await;
        assert_accepted(&user.write(&manifest(2 + number), WriteMethod::Apply).await);
    }
    let last = team.user("last", &["requesters"]).await;
    let answer = last.write(&manifest(50), WriteMethod::Apply).await;
    assert_refused(&answer, Reason::ApprovalNotAllowed, "more than 32 people");
    assert_accepted(&last.write(&manifest(1), WriteMethod::Apply).await);
    let ready = team.t.topic("orders").wait_until_ready().await;
    assert!(ready.status.is_some_and(|status| status.pending.is_none()));
    // The next change begins anew.
    assert_accepted(&last.write(&manifest(3), WriteMethod::Apply).await);
    assert_eq!(team.requesters("orders").await, "last");
}
