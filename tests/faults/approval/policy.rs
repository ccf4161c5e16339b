//! What the API server's policies enforce of approvals while no webhook is installed.

use anyhow::Result;
use eventcenter::api::{APPROVED_LABEL, REQUEST, REQUESTED_BY, REVISION_LABEL};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};

use crate::fixture::FaultFixture;
use crate::support::rbac::{bind_role, install_roles};
use crate::support::{KubeClient, ObjectPath, until};

/// A fixture with the policies and without the webhook. Mallory may write every resource of the product, and
/// ControllerRevisions, but does not have the verb `govern`.
async fn policies(name: &'static str) -> Result<(FaultFixture, KubeClient)> {
    let t = FaultFixture::new(name).await?;
    let admin = t.kube.clone();
    install_roles(&admin).await;
    let everything = json!([
        {"apiGroups": ["eventcenter.io"], "resources": ["eventtopics/status"], "verbs": ["get", "update", "patch"]},
        {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["*"]},
    ]);
    admin
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "tests-everything-else"}, "rules": everything,
        }))
        .await;
    for role in ["eventcenter-admin", "tests-everything-else"] {
        bind_role(&admin, name, role, "admins").await;
    }
    t.parts.install_webhook(1)?;
    t.stage.kubectl().run(&[
        "delete",
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        "--all",
    ])?;
    Ok((t, admin))
}

/// Runs kubectl as Mallory. Returns the error if the API server refuses the request.
fn mallory(t: &FaultFixture, arguments: &[impl AsRef<str>]) -> Result<(), String> {
    let arguments: Vec<&str> =
        arguments.iter().map(AsRef::as_ref).chain(["--as", "mallory", "--as-group", "admins"]).collect();
    t.stage.kubectl().run(&arguments).map(drop).map_err(|error| format!("{error:#}"))
}

/// Waits with dry runs until the API server refuses a request: it compiles policies in the background.
async fn wait_until_refused(t: &FaultFixture, arguments: &[impl AsRef<str>], expected: &str) {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).chain(["--dry-run=server"]).collect();
    let polled = until(async || match mallory(t, &arguments) {
        Err(error) if error.contains(expected) => Ok(()),
        result => Err(format!("{result:?}")),
    });
    polled.await.unwrap_or_else(|polled| panic!("the request is not refused with: {expected}\n{polled}"));
}

#[track_caller]
fn assert_refused(t: &FaultFixture, arguments: &[impl AsRef<str>], expected: &str) {
    let error = mallory(t, arguments).expect_err("the request is refused");
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn request_annotations_change_only_with_the_spec() -> Result<()> {
    let (t, admin) = policies("stamps").await?;
    let topic = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": "orders", "namespace": "stamps", "annotations": {REQUEST: "{\"hash\":\"a\"}", REQUESTED_BY: "alice"}},
        "spec": {},
    });
    admin.apply(&topic).await;
    let patch = |patch: Value| patch.to_string();
    let annotations = |annotations: Value| patch(json!({"metadata": {"annotations": annotations}}));
    let expected = "record who requested the spec, and change only with it";
    let of = |what: &str| {
        ["patch", "etopic", "orders", "-n", "stamps", "--type=merge", "-p", what].map(String::from)
    };
    let forged = of(&annotations(json!({REQUEST: "{\"hash\":\"b\"}"})));
    wait_until_refused(&t, &forged, expected).await;
    for change in
        [json!({REQUEST: null}), json!({REQUESTED_BY: "bob"}), json!({REQUESTED_BY: null, REQUEST: null})]
    {
        assert_refused(&t, &of(&annotations(change)), expected);
    }
    // The annotations can change with the spec, but then the signature of the webhook does not cover the new spec.
    let with_spec =
        json!({"metadata": {"annotations": {REQUEST: "{\"hash\":\"c\"}"}}, "spec": {"partitions": 2}});
    for change in [
        patch(with_spec),
        annotations(json!({REQUEST: "{\"hash\":\"d\"}", "eventcenter.io/authored-by": "carol"})),
        annotations(json!({"example.com/other": "x"})),
        patch(json!({"metadata": {"labels": {"a": "b"}}})),
    ] {
        mallory(&t, &of(&change)).map_err(anyhow::Error::msg)?;
    }
    assert_refused(&t, &forged, expected);
    Ok(())
}

/// A copy of a deleted decision has a valid signature and the name of its approver.
#[tokio::test]
async fn a_user_cannot_store_the_decision_of_another_user() -> Result<()> {
    let (t, _admin) = policies("copies").await?;
    let mallory =
        KubeClient::as_user(t.parts.control_plane.kubeconfig(), "mallory", &["admins".into()]).await;
    let decision = |name: &str, approver: Value| {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "ChangeApproval",
            "metadata": {"name": name, "namespace": "copies"},
            "spec": {
                "target": {"kind": "EventTopic", "name": "orders", "uid": "x", "generation": 1},
                "specHash": "0".repeat(64), "decision": "Approve", "approver": approver, "seal": "v1.x.y",
            },
        })
    };
    let copy = decision("copy", json!({"username": "alice", "groups": ["approvers"]}));
    let refused = until(async || match mallory.create(&copy, "?dryRun=All").await {
        answer
            if answer.message().contains(
                "ApprovalNotAllowed: spec.approver: the approver is always the requesting user",
            ) =>
        {
            Ok(())
        }
        answer => Err(format!("{answer:?}")),
    });
    refused.await.map_err(anyhow::Error::msg)?;
    // The user's own decision has no effect without a signature.
    for (name, approver) in [("own", json!({"username": "mallory"})), ("none", Value::Null)] {
        let answer = mallory.create(&decision(name, approver), "").await;
        assert_eq!(answer.status, 201, "{}", answer.message());
    }
    Ok(())
}

#[tokio::test]
async fn only_the_operator_writes_approved_and_pending() -> Result<()> {
    let (t, admin) = policies("records").await?;
    t.topic("orders").apply(json!({})).await;
    let approved = json!({"hash": "a", "generation": 1, "at": "2026-01-01T00:00:00Z", "seal": "v1.x.y"});
    let pending = json!({"hash": "a", "generation": 1, "since": "2026-01-01T00:00:00Z", "approvals": "0/1"});
    let expected = "status.approved, status.pending: only the operator (verb govern) may write these fields";
    let of = |status: Value| {
        let patch = json!({"status": status}).to_string();
        ["patch", "etopic", "orders", "-n", "records", "--subresource=status", "--type=merge", "-p", &patch]
            .map(String::from)
    };
    let forged = of(json!({"approved": approved}));
    wait_until_refused(&t, &forged, expected).await;
    assert_refused(&t, &of(json!({"pending": pending})), expected);
    mallory(&t, &of(json!({"partitions": 1}))).map_err(anyhow::Error::msg)?;

    // The operator has the verb, with the rights of dev/operator-rbac.yaml.
    let account = "system:serviceaccount:eventcenter-system:eventcenter";
    let operator = KubeClient::as_user(t.parts.control_plane.kubeconfig(), account, &[]).await;
    let topic = t.topic("orders");
    let path = topic.path();
    let patch = Patch::Merge(json!({"status": {"approved": approved, "pending": pending}}));
    let parameters = PatchParams::default();
    let request =
        Request::new(path.collection_url("")).patch_subresource("status", "orders", &parameters, &patch);
    operator.client().request::<Value>(request?).await?;
    for change in
        [json!({"approved": null}), json!({"pending": null}), json!({"approved": {"seal": "v1.x.z"}})]
    {
        assert_refused(&t, &of(change), expected);
    }
    let status = admin.get::<Value>(path).await.expect("the topic exists")["status"].clone();
    assert_eq!((&status["approved"], &status["pending"]["hash"]), (&approved, &json!("a")));
    Ok(())
}

#[tokio::test]
async fn approved_revisions_stay_until_their_topic_or_namespace_is_deleted() -> Result<()> {
    revisions_stay("revisions", APPROVED_LABEL, "approved revisions").await
}

#[tokio::test]
async fn registered_schemas_stay_until_their_owner_or_namespace_is_deleted() -> Result<()> {
    revisions_stay("schemas", REVISION_LABEL, "registered schemas").await
}

/// ControllerRevisions with this label stay until what owns them, or their namespace, is deleted.
async fn revisions_stay(home: &'static str, label: &str, what: &str) -> Result<()> {
    let (t, admin) = policies(home).await?;
    let topic = t.topic("orders").apply(json!({})).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "deleted"}});
    admin.apply(&namespace).await;
    let revision = |name: &str, namespace: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {}},
            "metadata": {"name": name, "namespace": namespace, "labels": {label: "x"}},
        })
    };
    let mut owned = revision("owned", home);
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic", "name": "orders", "uid": topic.metadata.uid,
    }]);
    for object in [&owned, &revision("kept", "deleted")] {
        admin.apply(object).await;
    }
    let expected = &format!("only the operator (verb govern) may write {what}");
    let of = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().chain(&["-n", home]).map(ToString::to_string).collect()
    };
    let labelled = format!("{label}=y");
    wait_until_refused(
        &t,
        &of(&["label", "controllerrevision", "owned", "--overwrite", &labelled]),
        expected,
    )
    .await;
    let unlabelled = format!("{label}-");
    assert_refused(&t, &of(&["label", "controllerrevision", "owned", &unlabelled]), expected);
    assert_refused(&t, &of(&["delete", "controllerrevision", "owned"]), expected);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("new.yaml").display().to_string();
    std::fs::write(&file, revision("new", home).to_string())?;
    assert_refused(&t, &["create", "-f", &file], expected);
    // Revisions of other programs are not protected.
    let mut other = revision("other", home);
    other["metadata"]["labels"] = json!({"app": "x"});
    std::fs::write(&file, other.to_string())?;
    mallory(&t, &["create", "-f", &file]).map_err(anyhow::Error::msg)?;
    mallory(&t, &of(&["delete", "controllerrevision", "other"])).map_err(anyhow::Error::msg)?;

    // The garbage collector and the namespace controller may delete them.
    mallory(&t, &of(&["delete", "etopic", "orders"])).map_err(anyhow::Error::msg)?;
    admin.delete(&ObjectPath::of(&namespace)).await;
    for path in [ObjectPath::of(&owned), ObjectPath::of(&namespace)] {
        let deleted = until(async || match admin.get::<Value>(&path).await {
            None => Ok(()),
            Some(object) => Err(format!("{object:#}")),
        });
        deleted.await.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}
