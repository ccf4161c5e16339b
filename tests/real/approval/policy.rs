//! What the API server keeps of approvals while no webhook is installed.

use anyhow::Result;
use eventcenter::api::{APPROVED_LABEL, REQUEST, REQUESTED_BY};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};

use super::team::{bind, install_roles};
use crate::support::site::Site;
use crate::support::{Kube, Place, until};

/// A site with the policies, where nobody is asked. Mallory may write everything of the product and beside it, but for
/// the verb `govern`.
async fn policies(name: &'static str) -> Result<(Site, Kube)> {
    let site = Site::new(name).await?;
    let admin = Kube::of(site.client());
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
        bind(&admin, name, role, "admins").await;
    }
    site.install_webhook(1)?;
    site.kubectl().run(&[
        "delete",
        "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        "--all",
    ])?;
    Ok((site, admin))
}

/// What Mallory asks by kubectl: the complaint, if it is refused.
fn mallory(site: &Site, words: &[impl AsRef<str>]) -> Result<(), String> {
    let words: Vec<&str> =
        words.iter().map(AsRef::as_ref).chain(["--as", "mallory", "--as-group", "admins"]).collect();
    site.kubectl().run(&words).map(drop).map_err(|error| format!("{error:#}"))
}

/// The API server compiles policies in the background, so the first requests may pass: they change nothing.
async fn in_the_end(site: &Site, words: &[impl AsRef<str>], refused: &str) {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).chain(["--dry-run=server"]).collect();
    let seen = until(async || match mallory(site, &words) {
        Err(said) if said.contains(refused) => Ok(()),
        said => Err(format!("{said:?}")),
    });
    seen.await.unwrap_or_else(|seen| panic!("it should be refused: {refused}\n{seen}"));
}

#[track_caller]
fn refuses(site: &Site, words: &[impl AsRef<str>], why: &str) {
    let said = mallory(site, words).expect_err("it is refused");
    assert!(said.contains(why), "{said}");
}

#[tokio::test]
async fn stamps_stay_while_what_they_speak_of_does() -> Result<()> {
    let (site, admin) = policies("stamps").await?;
    let topic = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
        "metadata": {"name": "orders", "namespace": "stamps", "annotations": {REQUEST: "{\"hash\":\"a\"}", REQUESTED_BY: "alice"}},
        "spec": {},
    });
    admin.apply(&topic).await;
    let patch = |patch: Value| patch.to_string();
    let annotations = |annotations: Value| patch(json!({"metadata": {"annotations": annotations}}));
    let why = "record who requested the spec, and change only with it";
    let of = |what: &str| {
        ["patch", "etopic", "orders", "-n", "stamps", "--type=merge", "-p", what].map(String::from)
    };
    let forged = of(&annotations(json!({REQUEST: "{\"hash\":\"b\"}"})));
    in_the_end(&site, &forged, why).await;
    for change in
        [json!({REQUEST: null}), json!({REQUESTED_BY: "bob"}), json!({REQUESTED_BY: null, REQUEST: null})]
    {
        refuses(&site, &of(&annotations(change)), why);
    }
    // With what they speak of they change, and whatever is written then is sealed by nobody.
    let with_spec =
        json!({"metadata": {"annotations": {REQUEST: "{\"hash\":\"c\"}"}}, "spec": {"partitions": 2}});
    for change in [
        patch(with_spec),
        annotations(json!({REQUEST: "{\"hash\":\"d\"}", "eventcenter.io/authored-by": "carol"})),
        annotations(json!({"example.com/other": "x"})),
        patch(json!({"metadata": {"labels": {"a": "b"}}})),
    ] {
        mallory(&site, &of(&change)).map_err(anyhow::Error::msg)?;
    }
    refuses(&site, &forged, why);
    Ok(())
}

/// A copy of a decision that was taken back has a good seal, and its maker's name.
#[tokio::test]
async fn nobody_puts_anothers_decision_there() -> Result<()> {
    let (site, _admin) = policies("copies").await?;
    let mallory = Kube::as_user(site.control_plane.kubeconfig(), "mallory", &["admins".into()]).await;
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
    // One of one's own says nothing without a seal.
    for (name, approver) in [("own", json!({"username": "mallory"})), ("none", Value::Null)] {
        let answer = mallory.create(&decision(name, approver), "").await;
        assert_eq!(answer.status, 201, "{}", answer.message());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_approved_is_said_by_the_operator_alone() -> Result<()> {
    let (site, admin) = policies("records").await?;
    site.declare("orders", json!({})).await?;
    let approved = json!({"hash": "a", "generation": 1, "at": "2026-01-01T00:00:00Z", "seal": "v1.x.y"});
    let pending = json!({"hash": "a", "generation": 1, "since": "2026-01-01T00:00:00Z", "approvals": "0/1"});
    let why = "status.approved, status.pending: only the operator (verb govern) may write these fields";
    let of = |status: Value| {
        let patch = json!({"status": status}).to_string();
        ["patch", "etopic", "orders", "-n", "records", "--subresource=status", "--type=merge", "-p", &patch]
            .map(String::from)
    };
    let forged = of(json!({"approved": approved}));
    in_the_end(&site, &forged, why).await;
    refuses(&site, &of(json!({"pending": pending})), why);
    mallory(&site, &of(json!({"partitions": 1}))).map_err(anyhow::Error::msg)?;

    // The operator has the verb, with the rights of dev/operator-rbac.yaml.
    let account = "system:serviceaccount:eventcenter-system:eventcenter";
    let operator = Kube::as_user(site.control_plane.kubeconfig(), account, &[]).await;
    let place = Place::topic("records", "orders");
    let patch = Patch::Merge(json!({"status": {"approved": approved, "pending": pending}}));
    let parameters = PatchParams::default();
    let request = Request::new(place.folder("")).patch_subresource("status", "orders", &parameters, &patch);
    operator.client().request::<Value>(request?).await?;
    for taken in
        [json!({"approved": null}), json!({"pending": null}), json!({"approved": {"seal": "v1.x.z"}})]
    {
        refuses(&site, &of(taken), why);
    }
    let status = admin.get::<Value>(&place).await.expect("it is there")["status"].clone();
    assert_eq!((&status["approved"], &status["pending"]["hash"]), (&approved, &json!("a")));
    Ok(())
}

#[tokio::test]
async fn what_was_approved_is_kept_and_goes_with_its_topic_and_its_namespace() -> Result<()> {
    let (site, admin) = policies("revisions").await?;
    let topic = site.declare("orders", json!({})).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "goes"}});
    admin.apply(&namespace).await;
    let revision = |name: &str, namespace: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {}},
            "metadata": {"name": name, "namespace": namespace, "labels": {APPROVED_LABEL: "x"}},
        })
    };
    let mut owned = revision("owned", "revisions");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic", "name": "orders", "uid": topic.metadata.uid,
    }]);
    for object in [&owned, &revision("kept", "goes")] {
        admin.apply(object).await;
    }
    let why = "only the operator (verb govern) may write approved revisions";
    let of = |words: &[&str]| -> Vec<String> {
        words.iter().chain(&["-n", "revisions"]).map(ToString::to_string).collect()
    };
    let labelled = format!("{APPROVED_LABEL}=y");
    in_the_end(&site, &of(&["label", "controllerrevision", "owned", "--overwrite", &labelled]), why).await;
    let unlabelled = format!("{APPROVED_LABEL}-");
    refuses(&site, &of(&["label", "controllerrevision", "owned", &unlabelled]), why);
    refuses(&site, &of(&["delete", "controllerrevision", "owned"]), why);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("new.yaml").display().to_string();
    std::fs::write(&file, revision("new", "revisions").to_string())?;
    refuses(&site, &["create", "-f", &file], why);
    // Others' revisions are others' business.
    let mut other = revision("other", "revisions");
    other["metadata"]["labels"] = json!({"app": "x"});
    std::fs::write(&file, other.to_string())?;
    mallory(&site, &["create", "-f", &file]).map_err(anyhow::Error::msg)?;
    mallory(&site, &of(&["delete", "controllerrevision", "other"])).map_err(anyhow::Error::msg)?;

    // The garbage collector and whoever empties a namespace are let through.
    mallory(&site, &of(&["delete", "etopic", "orders"])).map_err(anyhow::Error::msg)?;
    admin.delete(&Place::of(&namespace)).await;
    for place in [Place::of(&owned), Place::of(&namespace)] {
        let gone = until(async || match admin.get::<Value>(&place).await {
            None => Ok(()),
            Some(left) => Err(format!("{left:#}")),
        });
        gone.await.map_err(anyhow::Error::msg)?;
    }
    Ok(())
}
