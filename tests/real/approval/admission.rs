//! Requesters and approvers at the webhook.

use eventcenter::api::{EventTopic, REQUEST, REQUESTED_BY};
use eventcenter::domain::approval::SpecHash;
use eventcenter_sdk::Reason;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::team::{Team, assert_accepted, printed_approval};
use crate::support::rbac::bind_role;
use crate::support::{KubeClient, ObjectPath, Response, WriteMethod, assert_refused, until};

const ANY: &str = "{rules: [{changes: [Any], groups: [GROUP]}]}";

fn request_annotations(topic: &EventTopic) -> [Option<String>; 2] {
    [REQUESTED_BY, REQUEST].map(|key| topic.annotations().get(key).cloned())
}

/// Replaces an object. Retries after a conflict, because the operator may write the status meanwhile.
async fn assert_replaced(user: &KubeClient, object: &Value) {
    let answer = until(async || match user.write(object, WriteMethod::Replace).await {
        answer if answer.message().contains("the object has been modified") => {
            Err(answer.message().to_owned())
        }
        answer => Ok(answer),
    });
    assert_accepted(&answer.await.expect("the object is replaced without a conflict"));
}

#[tokio::test]
async fn requesters_are_annotated_and_accumulate() {
    let team = Team::new("stamps", ANY).await;
    let (alice, bob) = (team.user("alice", &["requesters"]).await, team.user("bob", &["requesters"]).await);
    let answer = alice.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await;
    assert_accepted(&answer);
    assert!(
        answer.warnings.iter().any(|warning| warning.starts_with("AwaitingApproval: ")
            && warning.contains(" must be approved; the active spec stays in force until then")),
        "{:?}",
        answer.warnings
    );
    let command = format!("eventctl approve EventTopic orders -n {}", team.t.namespace);
    assert!(answer.warnings.iter().any(|warning| warning.contains(&command)), "{:?}", answer.warnings);
    assert_eq!(team.requesters("orders").await, "alice");
    assert_accepted(&bob.write(&team.t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply).await);
    assert_eq!(team.requesters("orders").await, "alice, bob");
    assert_replaced(&alice, &team.t.topic("orders").manifest("partitions: 3")).await;
    assert_eq!(team.requesters("orders").await, "alice, bob");

    // A dry run is accepted and stores nothing.
    assert_accepted(
        &team
            .user("carol", &["requesters"])
            .await
            .write(&team.t.topic("orders").manifest("partitions: 4"), WriteMethod::DryRun)
            .await,
    );
    assert_eq!(team.requesters("orders").await, "alice, bob");
    // With generateName the warning could not name the resource.
    let mut nameless = team.t.topic("").manifest("{}");
    nameless["metadata"] = json!({"generateName": "x-", "name": "", "namespace": team.t.namespace});
    let answer = alice.create(&nameless, "").await;
    assert_refused(&answer, Reason::InvalidResource, "write metadata.name");
}

#[tokio::test]
async fn request_annotations_cannot_be_forged_or_removed() {
    let team = Team::new("forged", ANY).await;
    let alice = team.user("alice", &["requesters"]).await;
    // Annotations in the create request are replaced.
    let mut forged = team.t.topic("orders").manifest("{}");
    forged["metadata"]["annotations"] = json!({REQUESTED_BY: "bob", REQUEST: "{}", "example.com/other": "x"});
    assert_accepted(&alice.create(&forged, "").await);
    let before = request_annotations(&team.t.topic("orders").get().await);
    assert_eq!(before[0].as_deref(), Some("alice"));
    assert!(before[1].as_deref().is_some_and(|request| request.contains("\"seal\"")), "{before:?}");
    let assert_unchanged = async |method: &str| {
        assert_eq!(request_annotations(&team.t.topic("orders").get().await), before, "{method}");
    };

    for annotations in
        [json!({REQUESTED_BY: "bob"}), json!({REQUEST: "{}"}), json!({REQUEST: null, REQUESTED_BY: null})]
    {
        alice.merge(team.t.topic("orders").path(), &json!({"metadata": {"annotations": annotations}})).await;
        assert_unchanged("kubectl edit").await;
    }
    alice.merge(team.t.topic("orders").path(), &json!({"metadata": {"annotations": null}})).await;
    assert_unchanged("all annotations are removed").await;
    for object in [&forged, &team.t.topic("orders").manifest("{}")] {
        assert_replaced(&alice, object).await;
        assert_unchanged("kubectl replace").await;
        assert_accepted(&alice.write(object, WriteMethod::Apply).await);
        assert_unchanged("server-side apply").await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.yaml").display().to_string();
    for object in [&forged, &team.t.topic("orders").manifest("{}")] {
        std::fs::write(&file, object.to_string()).expect("written");
        team.t
            .kubectl(&["apply", "--as", "alice", "--as-group", &team.group("requesters"), "-f", &file])
            .expect("accepted");
        assert_unchanged("client-side apply").await;
    }
}

/// A repeated server-side apply, as by a GitOps tool, changes neither the resourceVersion nor the field managers.
#[tokio::test]
async fn applying_the_same_again_changes_nothing() {
    let team = Team::new("gitops", ANY).await;
    let manifest = team.t.topic("orders").manifest("partitions: 2");
    let forged = {
        let mut forged = team.t.topic("forged").manifest("{}");
        forged["metadata"]["annotations"] = json!({REQUESTED_BY: "bob", REQUEST: "{}"});
        forged
    };
    let robot =
        KubeClient::as_user(&team.t.stage.kubeconfig, &team.account("ci"), &[team.group("requesters")]).await;
    let parameters = PatchParams::apply("gitops");
    for object in [&manifest, &forged] {
        let path = ObjectPath::of(object);
        robot.try_patch(&path, &parameters, &Patch::Apply(object)).await.expect("accepted");
        let is_unchanged = until(async || {
            // The operator may write the status meanwhile.
            let before: Value = team.t.kube.get(&path).await.unwrap_or_default();
            let after = robot.try_patch(&path, &parameters, &Patch::Apply(object)).await;
            let after = after.map_err(|error| error.to_string())?;
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            if version(&before) == version(&after) { Ok(()) } else { Err(format!("{before:#}\n{after:#}")) }
        });
        is_unchanged.await.unwrap_or_else(|seen| panic!("each apply changes the resourceVersion: {seen}"));
    }
    let topic = team.t.topic("orders").get().await;
    for managed in topic.metadata.managed_fields.iter().flatten() {
        let fields = serde_json::to_string(&managed.fields_v1).expect("JSON");
        assert!(!fields.contains(REQUEST), "no field manager owns the annotation: {managed:?}");
    }
}

#[tokio::test]
async fn another_user_decides_and_the_decision_is_sealed() {
    let team = Team::new("decides", ANY).await;
    let alice = team.approver("alice").await;
    assert_accepted(&alice.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await);
    let carol = team.approver("carol").await;
    let mut approval = team.decision("orders", "Approve").await;
    // The webhook replaces these fields by the approver's own.
    approval["spec"]["approver"] = json!({"username": "bob", "groups": ["system:masters"]});
    approval["spec"]["at"] = json!("2020-01-01T00:00:00Z");
    approval["spec"]["seal"] = json!("v1.x.y");
    approval["spec"]["target"]["uid"] = json!("another");
    approval["spec"]["target"]["generation"] = json!(7);
    approval["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y"}]);
    let answer = carol.create(&approval, "?dryRun=All").await;
    assert_accepted(&answer);
    assert!(team.approvals().await.is_empty(), "a dry run stores nothing");
    let answer = carol.create(&approval, "").await;
    assert_accepted(&answer);
    let (spec, topic) = (&answer.body["spec"], team.t.topic("orders").get().await);
    assert_eq!(spec["approver"], json!({"username": "carol", "groups": [team.group("approvers")]}));
    assert_eq!(
        spec["target"],
        json!({"kind": "EventTopic", "name": "orders", "uid": topic.uid(), "generation": topic.metadata.generation})
    );
    assert!(spec["at"].as_str().is_some_and(|at| !at.starts_with("2020")), "{spec}");
    let owners = answer.body["metadata"]["ownerReferences"].as_array().expect("an owner");
    assert_eq!((owners.len(), &owners[0]["uid"]), (1, &json!(topic.uid())));

    // The decision is immutable for every user.
    for change in [
        json!({"spec": {"decision": "Reject"}}),
        json!({"spec": {"approver": {"username": "dave"}}}),
        json!({"spec": {"target": {"generation": 8}}}),
        json!({"spec": {"seal": null}}),
    ] {
        let patch = Patch::Merge(&change);
        let error = team.t.kube.try_patch(&ObjectPath::of(&approval), &PatchParams::default(), &patch).await;
        assert!(error.is_err_and(|error| error.to_string().contains("spec is immutable")), "{change}");
    }
    // The decision is deleted with its target.
    team.t.kube.delete(team.t.topic("orders").path()).await;
    let deleted = until(async || match team.approvals().await {
        approvals if approvals.is_empty() => Ok(()),
        approvals => Err(format!("{approvals:?}")),
    });
    deleted.await.expect("the garbage collector deletes it");
}

#[tokio::test]
async fn requesters_and_authors_cannot_approve() {
    let rules = "{rules: [{changes: [Any], groups: [GROUP]}], automation: ['system:serviceaccount:NAMESPACE:argo'], \
                 robots: ['system:serviceaccount:NAMESPACE:bot']}";
    let team = Team::new("own", rules).await;
    let alice = team.approver("alice").await;
    assert_accepted(&alice.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await);
    let assert_approval_refused = async |user: &KubeClient, topic: &str, expected: &str| {
        let answer = user.create(&team.decision(topic, "Approve").await, "").await;
        assert_refused(&answer, Reason::ApprovalNotAllowed, expected);
    };
    assert_approval_refused(&alice, "orders", "alice requested or wrote this change (alice)").await;
    for spelling in ["oidc:alice", "Alice@example.com", "ALICE"] {
        assert_approval_refused(&team.approver(spelling).await, "orders", "another person has to decide")
            .await;
    }
    // After a change by Bob both Alice and Bob are requesters.
    let bob = team.approver("bob").await;
    assert_accepted(&bob.write(&team.t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply).await);
    assert_approval_refused(&alice, "orders", "(alice, bob)").await;
    assert_approval_refused(&bob, "orders", "(alice, bob)").await;

    // An automation account must name the author of the change.
    let groups = ["requesters", "approvers", "may-approve"].map(|group| team.group(group));
    let account =
        async |name: &str| KubeClient::as_user(&team.t.stage.kubeconfig, &team.account(name), &groups).await;
    let argo = account("argo").await;
    let mut manifest = team.t.topic("written").manifest("{}");
    let answer = argo.write(&manifest, WriteMethod::Apply).await;
    assert_refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "applies changes written by others and must name the author",
    );
    manifest["metadata"]["annotations"] =
        json!({"eventcenter.io/authored-by": "Carol Doe <carol@example.com>"});
    assert_accepted(&argo.write(&manifest, WriteMethod::Apply).await);
    assert_eq!(
        team.requesters("written").await,
        format!("{} for Carol Doe <carol@example.com>", team.account("argo"))
    );
    assert_approval_refused(&team.approver("carol").await, "written", "another person has to decide").await;
    // A listed robot cannot approve a change that a service account of its namespace requested.
    assert_approval_refused(&account("bot").await, "written", "another person has to decide").await;
    assert_approval_refused(
        &account("other").await,
        "written",
        "is a service account: approvals are made by people",
    )
    .await;
    assert_accepted(&account("bot").await.create(&team.decision("orders", "Approve").await, "").await);
    assert_accepted(
        &team.approver("dave").await.create(&team.decision("written", "Approve").await, "").await,
    );
}

#[tokio::test]
async fn a_decision_needs_the_verb_the_group_and_the_current_content() {
    let team = Team::new("verb", ANY).await;
    assert_accepted(
        &team
            .user("alice", &["requesters"])
            .await
            .write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply)
            .await,
    );
    team.t
        .kube
        .apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "tests-approvals-only"},
            "rules": [{"apiGroups": ["eventcenter.io"], "resources": ["changeapprovals"], "verbs": ["get", "create"]}],
        }))
        .await;
    team.bind("tests-approvals-only", "may-create").await;
    let approval = team.decision("orders", "Approve").await;
    let answer = team.user("erin", &["approvers", "may-create"]).await.create(&approval, "").await;
    assert_refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "erin may not approve EventTopic orders: that takes the verb approve",
    );
    let answer = team.user("frank", &["may-approve"]).await.create(&approval, "").await;
    assert_refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "frank is in none of the groups that may approve for this tenant",
    );
    let answer = team.user("grace", &["approvers", "requesters"]).await.create(&approval, "").await;
    assert!(
        answer.status == 403 && answer.message().contains("cannot create resource"),
        "{}",
        answer.message()
    );

    let carol = team.approver("carol").await;
    let answer = carol.create(&team.approval("orders", &"0".repeat(64), "Approve"), "").await;
    assert_refused(&answer, Reason::ApprovalOutdated, "look at it again (eventctl diff EventTopic orders");
    let answer = carol.create(&team.approval("nothing", &"0".repeat(64), "Approve"), "").await;
    assert_refused(&answer, Reason::ApprovalOutdated, "there is no EventTopic nothing");
    // The spec changes between reading and approving.
    assert_accepted(
        &team
            .user("bob", &["requesters"])
            .await
            .write(&team.t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply)
            .await,
    );
    let answer = carol.create(&approval, "").await;
    assert_refused(&answer, Reason::ApprovalOutdated, "which is not what this decides on");

    // A user can decide only once, also under another spelling of the name.
    let approval = team.decision("orders", "Approve").await;
    assert_accepted(&carol.create(&approval, "").await);
    for name in ["carol", "oidc:Carol@example.com"] {
        let again = team.decision("orders", "Approve").await;
        let answer = team.approver(name).await.create(&again, "").await;
        assert_refused(
            &answer,
            Reason::ApprovalNotAllowed,
            "has already made this decision, in ChangeApproval a-",
        );
    }
    assert_accepted(&carol.create(&team.decision("orders", "Reject").await, "").await);
}

#[tokio::test]
async fn an_approval_counts_only_in_its_namespace() {
    let (one, two) = (Team::new("one", ANY).await, Team::new("two", ANY).await);
    for team in [&one, &two] {
        assert_accepted(
            &team
                .user("alice", &["requesters"])
                .await
                .write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply)
                .await,
        );
    }
    let carol = two.approver("carol").await;
    let answer = carol.create(&one.decision("orders", "Approve").await, "").await;
    assert!(answer.message().contains("cannot create resource"), "{}", answer.message());
    // A copy of a sealed approval is checked like a new one in its namespace.
    let answer = carol.create(&two.decision("orders", "Approve").await, "").await;
    assert_accepted(&answer);
    let mut copy = answer.body.clone();
    copy["metadata"] = json!({"name": "copy", "namespace": one.t.namespace});
    bind_role(&one.t.kube, &one.t.namespace, "eventcenter-approver", &two.group("may-approve")).await;
    let answer = until(async || match carol.create(&copy, "").await {
        answer if answer.message().contains("cannot create resource") => Err(format!("{answer:?}")),
        answer => Ok(answer),
    });
    let answer = answer.await.expect("RBAC allows the request");
    assert_refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "is in none of the groups that may approve for this tenant",
    );
}

#[tokio::test]
async fn with_mode_deny_a_change_is_approved_before_it_is_stored() {
    let team = Team::new("deny", "{mode: Deny, rules: [{changes: [Any], groups: [GROUP]}]}").await;
    let (alice, carol) = (team.approver("alice").await, team.approver("carol").await);
    for spec in ["{}", "partitions: 2"] {
        let manifest = team.t.topic("orders").manifest(spec);
        let answer = alice.write(&manifest, WriteMethod::Apply).await;
        assert_refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        let approval = printed_approval(answer.message());
        let hash =
            SpecHash::of(&serde_json::from_value::<EventTopic>(manifest.clone()).expect("a topic").spec);
        assert_eq!(approval["spec"]["specHash"], json!(hash.to_string()));
        assert_accepted(&carol.create(&approval, "").await);
        // The approver cannot request the approved change, and another spec is not approved.
        let answer = carol.write(&manifest, WriteMethod::Apply).await;
        assert_refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        let answer = alice.write(&team.t.topic("orders").manifest("partitions: 7"), WriteMethod::Apply).await;
        assert_refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        assert_accepted(&alice.write(&manifest, WriteMethod::DryRun).await);
        assert_accepted(&alice.write(&manifest, WriteMethod::Apply).await);
        // Changes of metadata need no approval.
        alice
            .merge(
                team.t.topic("orders").path(),
                &json!({"metadata": {"labels": {"a": spec.replace([':', ' ', '{', '}'], "")}}}),
            )
            .await;
    }
    // The approvals were for earlier generations.
    assert_refused(
        &alice.write(&team.t.topic("orders").manifest("partitions: 3"), WriteMethod::Apply).await,
        Reason::AwaitingApproval,
        "1 more from group",
    );
}

/// An approval that is concurrent with a change is stored for the old spec or refused, and never counts for the new one.
#[tokio::test]
async fn an_approval_concurrent_with_a_change_does_not_approve_it() {
    let team = Team::new("race", ANY).await;
    let (alice, bob) = (team.approver("alice").await, team.approver("bob").await);
    let (mut stored, mut refused) = (0, 0);
    for round in 0..10 {
        let content = |n: i32| team.t.topic("orders").manifest(&format!("description: content {round} {n}"));
        assert_accepted(&alice.write(&content(1), WriteMethod::Apply).await);
        let decision = team.decision("orders", "Approve").await;
        let other = content(2);
        let (decided, changed) =
            tokio::join!(bob.create(&decision, ""), alice.write(&other, WriteMethod::Apply));
        assert_accepted(&changed);
        match decided.status {
            201 => stored += 1,
            _ => {
                assert!(decided.message().contains("ApprovalOutdated"), "{decided:?}");
                refused += 1;
            }
        }
        let waiting = team.t.topic("orders").wait_for_condition("Ready=False AwaitingApproval").await;
        let pending = waiting.status.and_then(|status| status.pending).expect("the change is pending");
        assert_eq!(
            (pending.hash, pending.approvals.as_str()),
            (SpecHash::of(&waiting.spec).to_string(), "0/1")
        );
    }
    println!("{stored} approvals were stored before the change, {refused} were outdated");
}

#[tokio::test]
async fn break_glass_is_reported() {
    let team = Team::new("glass", "{rules: [{changes: [Any], groups: [GROUP]}], breakGlass: [ONCALL]}").await;
    let mut manifest = team.t.topic("orders").manifest("{}");
    manifest["metadata"]["annotations"] = json!({"eventcenter.io/break-glass": "the shop is down"});
    let assert_warning = |answer: &Response, expected: &str| {
        assert!(answer.warnings.iter().any(|warning| warning.contains(expected)), "{:?}", answer.warnings);
    };
    let answer = team.user("alice", &["requesters"]).await.write(&manifest, WriteMethod::DryRun).await;
    assert_accepted(&answer);
    assert_warning(&answer, "The requester is not in a break-glass group; approval is still required");
    let answer =
        team.user("olga", &["requesters", "oncall"]).await.write(&manifest, WriteMethod::Apply).await;
    assert_accepted(&answer);
    assert_warning(&answer, "this takes effect without approval and is recorded: the shop is down");
    let request = request_annotations(&team.t.topic("orders").get().await)[1].clone().unwrap_or_default();
    assert!(request.contains("the shop is down"), "{request}");
}

#[tokio::test]
async fn decisions_need_an_active_tenant() {
    let team = Team::new("inactive", ANY).await;
    let alice = team.user("alice", &["requesters"]).await;
    assert_accepted(&alice.write(&team.t.topic("orders").manifest("{}"), WriteMethod::Apply).await);
    let (carol, approval) = (team.approver("carol").await, team.decision("orders", "Approve").await);
    let assert_refused_with = async |tenant: Value, reason: Reason| {
        team.t.apply_tenant(tenant).await;
        let answer = until(async || match carol.create(&approval, "?dryRun=All").await {
            answer if answer.status == 201 => Err(format!("{answer:?}")),
            answer => Ok(answer),
        });
        assert_refused(
            &answer.await.expect("the approval is refused"),
            reason,
            "the platform's administrator",
        );
    };
    let mut tenant = team.tenant(ANY);
    tenant["suspended"] = json!(true);
    assert_refused_with(tenant.clone(), Reason::TenantSuspended).await;
    tenant["namespaces"] = json!([]);
    assert_refused_with(tenant, Reason::TenantNotFound).await;
    // Without rules no change needs approval, and requesters are no longer annotated.
    team.t.apply_tenant(json!({"namespaces": [team.t.namespace]})).await;
    let answer = until(async || match carol.create(&approval, "?dryRun=All").await {
        answer if answer.message().contains("has no approval rules for EventTopics") => Ok(answer),
        answer => Err(format!("{answer:?}")),
    });
    assert_refused(
        &answer.await.expect("the approval is refused"),
        Reason::ApprovalNotAllowed,
        "so there is nothing to approve",
    );
    let before = request_annotations(&team.t.topic("orders").get().await);
    assert_accepted(
        &team.t.kube.write(&team.t.topic("orders").manifest("partitions: 2"), WriteMethod::Apply).await,
    );
    assert_eq!(request_annotations(&team.t.topic("orders").get().await), before, "existing annotations stay");
    assert_accepted(&alice.create(&team.t.topic("free").manifest("{}"), "").await);
    assert_eq!(request_annotations(&team.t.topic("free").get().await), [None, None]);
}
