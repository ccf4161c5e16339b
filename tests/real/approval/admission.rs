//! Who may ask and who may decide.

use eventcenter::api::{EventTopic, REQUEST, REQUESTED_BY};
use eventcenter::domain::approval::SpecHash;
use eventcenter_sdk::Reason;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::team::{Team, bind, granted, printed};
use crate::support::{Answer, Kube, Place, Way, refused, until};

const ANY: &str = "{rules: [{changes: [Any], groups: [GROUP]}]}";

fn stamps(topic: &EventTopic) -> [Option<String>; 2] {
    [REQUESTED_BY, REQUEST].map(|key| topic.annotations().get(key).cloned())
}

/// Replaces an object as it is now. The operator may write its status in between, and then it is another one.
async fn replaced(who: &Kube, object: &Value) {
    let answer = until(async || match who.ask(object, Way::Replace).await {
        answer if answer.message().contains("the object has been modified") => {
            Err(answer.message().to_owned())
        }
        answer => Ok(answer),
    });
    granted(&answer.await.expect("nobody writes all the time"));
}

#[tokio::test]
async fn who_asks_is_noted_and_adds_up() {
    let team = Team::new("stamps", ANY).await;
    let (alice, bob) =
        (team.person("alice", &["requesters"]).await, team.person("bob", &["requesters"]).await);
    let answer = alice.ask(&team.t.manifest("orders", "{}"), Way::Apply).await;
    granted(&answer);
    assert!(
        answer.warnings.iter().any(|warning| warning.starts_with("AwaitingApproval: ")
            && warning.contains(" must be approved; the active spec stays in force until then")),
        "{:?}",
        answer.warnings
    );
    let told = format!("eventctl approve EventTopic orders -n {}", team.t.namespace);
    assert!(answer.warnings.iter().any(|warning| warning.contains(&told)), "{:?}", answer.warnings);
    assert_eq!(team.requesters("orders").await, "alice");
    granted(&bob.ask(&team.t.manifest("orders", "partitions: 2"), Way::Apply).await);
    assert_eq!(team.requesters("orders").await, "alice, bob");
    replaced(&alice, &team.t.manifest("orders", "partitions: 3")).await;
    assert_eq!(team.requesters("orders").await, "alice, bob");

    // A dry run is answered the same and leaves nothing.
    granted(
        &team
            .person("carol", &["requesters"])
            .await
            .ask(&team.t.manifest("orders", "partitions: 4"), Way::DryRun)
            .await,
    );
    assert_eq!(team.requesters("orders").await, "alice, bob");
    // A name that is not known cannot be spoken of.
    let mut nameless = team.t.manifest("", "{}");
    nameless["metadata"] = json!({"generateName": "x-", "name": "", "namespace": team.t.namespace});
    let answer = alice.create(&nameless, "").await;
    refused(&answer, Reason::InvalidResource, "write metadata.name");
}

#[tokio::test]
async fn nobody_forges_a_stamp_or_loses_one() {
    let team = Team::new("forged", ANY).await;
    let alice = team.person("alice", &["requesters"]).await;
    // What is brought along at the beginning does not count.
    let mut forged = team.t.manifest("orders", "{}");
    forged["metadata"]["annotations"] = json!({REQUESTED_BY: "bob", REQUEST: "{}", "example.com/other": "x"});
    granted(&alice.create(&forged, "").await);
    let before = stamps(&team.t.get("orders").await);
    assert_eq!(before[0].as_deref(), Some("alice"));
    assert!(before[1].as_deref().is_some_and(|request| request.contains("\"seal\"")), "{before:?}");
    let unchanged = async |way: &str| {
        assert_eq!(stamps(&team.t.get("orders").await), before, "{way}");
    };

    for annotations in
        [json!({REQUESTED_BY: "bob"}), json!({REQUEST: "{}"}), json!({REQUEST: null, REQUESTED_BY: null})]
    {
        alice.merge(&team.t.place("orders"), &json!({"metadata": {"annotations": annotations}})).await;
        unchanged("kubectl edit").await;
    }
    alice.merge(&team.t.place("orders"), &json!({"metadata": {"annotations": null}})).await;
    unchanged("all annotations are taken away").await;
    for object in [&forged, &team.t.manifest("orders", "{}")] {
        replaced(&alice, object).await;
        unchanged("kubectl replace").await;
        granted(&alice.ask(object, Way::Apply).await);
        unchanged("server-side apply").await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("orders.yaml").display().to_string();
    for object in [&forged, &team.t.manifest("orders", "{}")] {
        std::fs::write(&file, object.to_string()).expect("written");
        team.t
            .kubectl(&["apply", "--as", "alice", "--as-group", &team.group("requesters"), "-f", &file])
            .expect("accepted");
        unchanged("client-side apply").await;
    }
}

/// What a GitOps tool does all day changes nothing: no fight over fields, no new version.
#[tokio::test]
async fn the_same_applied_again_changes_nothing() {
    let team = Team::new("gitops", ANY).await;
    let manifest = team.t.manifest("orders", "partitions: 2");
    let forged = {
        let mut forged = team.t.manifest("forged", "{}");
        forged["metadata"]["annotations"] = json!({REQUESTED_BY: "bob", REQUEST: "{}"});
        forged
    };
    let robot =
        Kube::as_user(&team.t.stage.kubeconfig, &team.account("ci"), &[team.group("requesters")]).await;
    let parameters = PatchParams::apply("gitops");
    for object in [&manifest, &forged] {
        let place = Place::of(object);
        robot.try_patch(&place, &parameters, &Patch::Apply(object)).await.expect("accepted");
        let same = until(async || {
            // The operator may write the status in between.
            let before: Value = team.t.kube.get(&place).await.unwrap_or_default();
            let after = robot.try_patch(&place, &parameters, &Patch::Apply(object)).await;
            let after = after.map_err(|error| error.to_string())?;
            let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
            if version(&before) == version(&after) { Ok(()) } else { Err(format!("{before:#}\n{after:#}")) }
        });
        same.await.unwrap_or_else(|seen| panic!("each apply makes a new version: {seen}"));
    }
    let topic = team.t.get("orders").await;
    for managed in topic.metadata.managed_fields.iter().flatten() {
        let fields = serde_json::to_string(&managed.fields_v1).expect("JSON");
        assert!(!fields.contains(REQUEST), "nobody owns a stamp: {managed:?}");
    }
}

#[tokio::test]
async fn somebody_else_decides_and_it_is_sealed() {
    let team = Team::new("decides", ANY).await;
    let alice = team.approver("alice").await;
    granted(&alice.ask(&team.t.manifest("orders", "{}"), Way::Apply).await);
    let carol = team.approver("carol").await;
    let mut approval = team.decision("orders", "Approve").await;
    // Whatever is said of oneself is replaced.
    approval["spec"]["approver"] = json!({"username": "bob", "groups": ["system:masters"]});
    approval["spec"]["at"] = json!("2020-01-01T00:00:00Z");
    approval["spec"]["seal"] = json!("v1.x.y");
    approval["spec"]["target"]["uid"] = json!("another");
    approval["spec"]["target"]["generation"] = json!(7);
    approval["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "y"}]);
    let answer = carol.create(&approval, "?dryRun=All").await;
    granted(&answer);
    assert!(team.approvals().await.is_empty(), "a dry run leaves nothing");
    let answer = carol.create(&approval, "").await;
    granted(&answer);
    let (spec, topic) = (&answer.body["spec"], team.t.get("orders").await);
    assert_eq!(spec["approver"], json!({"username": "carol", "groups": [team.group("approvers")]}));
    assert_eq!(
        spec["target"],
        json!({"kind": "EventTopic", "name": "orders", "uid": topic.uid(), "generation": topic.metadata.generation})
    );
    assert!(spec["at"].as_str().is_some_and(|at| !at.starts_with("2020")), "{spec}");
    let owners = answer.body["metadata"]["ownerReferences"].as_array().expect("an owner");
    assert_eq!((owners.len(), &owners[0]["uid"]), (1, &json!(topic.uid())));

    // It is what it is, whoever asks.
    for change in [
        json!({"spec": {"decision": "Reject"}}),
        json!({"spec": {"approver": {"username": "dave"}}}),
        json!({"spec": {"target": {"generation": 8}}}),
        json!({"spec": {"seal": null}}),
    ] {
        let patch = Patch::Merge(&change);
        let error = team.t.kube.try_patch(&Place::of(&approval), &PatchParams::default(), &patch).await;
        assert!(error.is_err_and(|error| error.to_string().contains("spec is immutable")), "{change}");
    }
    // It goes with what it is about.
    team.t.kube.delete(&team.t.place("orders")).await;
    let gone = until(async || match team.approvals().await {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    gone.await.expect("the garbage collector takes it away");
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_or_wrote() {
    let rules = "{rules: [{changes: [Any], groups: [GROUP]}], automation: ['system:serviceaccount:NAMESPACE:argo'], \
                 robots: ['system:serviceaccount:NAMESPACE:bot']}";
    let team = Team::new("own", rules).await;
    let alice = team.approver("alice").await;
    granted(&alice.ask(&team.t.manifest("orders", "{}"), Way::Apply).await);
    let refuses = async |who: &Kube, topic: &str, words: &str| {
        let answer = who.create(&team.decision(topic, "Approve").await, "").await;
        refused(&answer, Reason::ApprovalNotAllowed, words);
    };
    refuses(&alice, "orders", "alice requested or wrote this change (alice)").await;
    for spelling in ["oidc:alice", "Alice@example.com", "ALICE"] {
        refuses(&team.approver(spelling).await, "orders", "another person has to decide").await;
    }
    // Bob's word on top makes it bob's as well, and no less alice's.
    let bob = team.approver("bob").await;
    granted(&bob.ask(&team.t.manifest("orders", "partitions: 2"), Way::Apply).await);
    refuses(&alice, "orders", "(alice, bob)").await;
    refuses(&bob, "orders", "(alice, bob)").await;

    // Who applies what others have written says who did.
    let groups = ["requesters", "approvers", "may-approve"].map(|group| team.group(group));
    let account =
        async |name: &str| Kube::as_user(&team.t.stage.kubeconfig, &team.account(name), &groups).await;
    let argo = account("argo").await;
    let mut written = team.t.manifest("written", "{}");
    let answer = argo.ask(&written, Way::Apply).await;
    refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "applies changes written by others and must name the author",
    );
    written["metadata"]["annotations"] =
        json!({"eventcenter.io/authored-by": "Carol Doe <carol@example.com>"});
    granted(&argo.ask(&written, Way::Apply).await);
    assert_eq!(
        team.requesters("written").await,
        format!("{} for Carol Doe <carol@example.com>", team.account("argo"))
    );
    refuses(&team.approver("carol").await, "written", "another person has to decide").await;
    // A robot that is listed is no way around its own namespace's changes.
    refuses(&account("bot").await, "written", "another person has to decide").await;
    refuses(&account("other").await, "written", "is a service account: approvals are made by people").await;
    granted(&account("bot").await.create(&team.decision("orders", "Approve").await, "").await);
    granted(&team.approver("dave").await.create(&team.decision("written", "Approve").await, "").await);
}

#[tokio::test]
async fn deciding_takes_the_verb_the_group_and_the_present_content() {
    let team = Team::new("verb", ANY).await;
    granted(
        &team.person("alice", &["requesters"]).await.ask(&team.t.manifest("orders", "{}"), Way::Apply).await,
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
    let answer = team.person("erin", &["approvers", "may-create"]).await.create(&approval, "").await;
    refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "erin may not approve EventTopic orders: that takes the verb approve",
    );
    let answer = team.person("frank", &["may-approve"]).await.create(&approval, "").await;
    refused(
        &answer,
        Reason::ApprovalNotAllowed,
        "frank is in none of the groups that may approve for this tenant",
    );
    let answer = team.person("grace", &["approvers", "requesters"]).await.create(&approval, "").await;
    assert!(
        answer.status == 403 && answer.message().contains("cannot create resource"),
        "{}",
        answer.message()
    );

    let carol = team.approver("carol").await;
    let answer = carol.create(&team.approval("orders", &"0".repeat(64), "Approve"), "").await;
    refused(&answer, Reason::ApprovalOutdated, "look at it again (eventctl diff EventTopic orders");
    let answer = carol.create(&team.approval("nothing", &"0".repeat(64), "Approve"), "").await;
    refused(&answer, Reason::ApprovalOutdated, "there is no EventTopic nothing");
    // Between reading and approving it became another one.
    granted(
        &team
            .person("bob", &["requesters"])
            .await
            .ask(&team.t.manifest("orders", "partitions: 2"), Way::Apply)
            .await,
    );
    let answer = carol.create(&approval, "").await;
    refused(&answer, Reason::ApprovalOutdated, "which is not what this decides on");

    // One person counts once.
    let approval = team.decision("orders", "Approve").await;
    granted(&carol.create(&approval, "").await);
    for name in ["carol", "oidc:Carol@example.com"] {
        let again = team.decision("orders", "Approve").await;
        let answer = team.approver(name).await.create(&again, "").await;
        refused(&answer, Reason::ApprovalNotAllowed, "has already made this decision, in ChangeApproval a-");
    }
    granted(&carol.create(&team.decision("orders", "Reject").await, "").await);
}

#[tokio::test]
async fn an_approval_is_about_its_own_namespace_only() {
    let (one, two) = (Team::new("one", ANY).await, Team::new("two", ANY).await);
    for team in [&one, &two] {
        granted(
            &team
                .person("alice", &["requesters"])
                .await
                .ask(&team.t.manifest("orders", "{}"), Way::Apply)
                .await,
        );
    }
    let carol = two.approver("carol").await;
    let answer = carol.create(&one.decision("orders", "Approve").await, "").await;
    assert!(answer.message().contains("cannot create resource"), "{}", answer.message());
    // A copy of one that is sealed is sealed anew, for what is there.
    let answer = carol.create(&two.decision("orders", "Approve").await, "").await;
    granted(&answer);
    let mut copy = answer.body.clone();
    copy["metadata"] = json!({"name": "copy", "namespace": one.t.namespace});
    bind(&one.t.kube, &one.t.namespace, "eventcenter-approver", &two.group("may-approve")).await;
    let answer = until(async || match carol.create(&copy, "").await {
        answer if answer.message().contains("cannot create resource") => Err(format!("{answer:?}")),
        answer => Ok(answer),
    });
    let answer = answer.await.expect("it is allowed by RBAC");
    refused(&answer, Reason::ApprovalNotAllowed, "is in none of the groups that may approve for this tenant");
}

#[tokio::test]
async fn a_change_that_is_not_to_be_stored_is_approved_before() {
    let team = Team::new("deny", "{mode: Deny, rules: [{changes: [Any], groups: [GROUP]}]}").await;
    let (alice, carol) = (team.approver("alice").await, team.approver("carol").await);
    for spec in ["{}", "partitions: 2"] {
        let wanted = team.t.manifest("orders", spec);
        let answer = alice.ask(&wanted, Way::Apply).await;
        refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        let approval = printed(answer.message());
        let hash = SpecHash::of(&serde_json::from_value::<EventTopic>(wanted.clone()).expect("a topic").spec);
        assert_eq!(approval["spec"]["specHash"], json!(hash.to_string()));
        granted(&carol.create(&approval, "").await);
        // Whoever approves it may not be the one who then asks for it, and nothing else is approved.
        let answer = carol.ask(&wanted, Way::Apply).await;
        refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        let answer = alice.ask(&team.t.manifest("orders", "partitions: 7"), Way::Apply).await;
        refused(&answer, Reason::AwaitingApproval, "of EventTopic orders must be approved first");
        granted(&alice.ask(&wanted, Way::DryRun).await);
        granted(&alice.ask(&wanted, Way::Apply).await);
        // What is not about the spec is free.
        alice
            .merge(
                &team.t.place("orders"),
                &json!({"metadata": {"labels": {"a": spec.replace([':', ' ', '{', '}'], "")}}}),
            )
            .await;
    }
    // It was another generation.
    refused(
        &alice.ask(&team.t.manifest("orders", "partitions: 3"), Way::Apply).await,
        Reason::AwaitingApproval,
        "1 more from group",
    );
}

/// Whoever approves while the content becomes another one has approved the one or nothing, and never the other.
#[tokio::test]
async fn an_approval_beside_a_change_is_never_of_the_change() {
    let team = Team::new("race", ANY).await;
    let (alice, bob) = (team.approver("alice").await, team.approver("bob").await);
    let (mut stored, mut refused) = (0, 0);
    for round in 0..10 {
        let content = |n: i32| team.t.manifest("orders", &format!("description: content {round} {n}"));
        granted(&alice.ask(&content(1), Way::Apply).await);
        let decision = team.decision("orders", "Approve").await;
        let other = content(2);
        let (decided, changed) = tokio::join!(bob.create(&decision, ""), alice.ask(&other, Way::Apply));
        granted(&changed);
        match decided.status {
            201 => stored += 1,
            _ => {
                assert!(decided.message().contains("ApprovalOutdated"), "{decided:?}");
                refused += 1;
            }
        }
        let waiting = team.t.condition("orders", "Ready=False AwaitingApproval").await;
        let pending = waiting.status.and_then(|status| status.pending).expect("it waits");
        assert_eq!(
            (pending.hash, pending.approvals.as_str()),
            (SpecHash::of(&waiting.spec).to_string(), "0/1")
        );
    }
    println!("{stored} approvals were stored before the change, {refused} were outdated");
}

#[tokio::test]
async fn broken_glass_is_told() {
    let team = Team::new("glass", "{rules: [{changes: [Any], groups: [GROUP]}], breakGlass: [ONCALL]}").await;
    let mut wanted = team.t.manifest("orders", "{}");
    wanted["metadata"]["annotations"] = json!({"eventcenter.io/break-glass": "the shop is down"});
    let says = |answer: &Answer, words: &str| {
        assert!(answer.warnings.iter().any(|warning| warning.contains(words)), "{:?}", answer.warnings);
    };
    let answer = team.person("alice", &["requesters"]).await.ask(&wanted, Way::DryRun).await;
    granted(&answer);
    says(&answer, "The requester is not in a break-glass group; approval is still required");
    let answer = team.person("olga", &["requesters", "oncall"]).await.ask(&wanted, Way::Apply).await;
    granted(&answer);
    says(&answer, "this takes effect without approval and is recorded: the shop is down");
    let request = stamps(&team.t.get("orders").await)[1].clone().unwrap_or_default();
    assert!(request.contains("the shop is down"), "{request}");
}

#[tokio::test]
async fn without_a_tenant_that_is_active_nobody_decides() {
    let team = Team::new("inactive", ANY).await;
    let alice = team.person("alice", &["requesters"]).await;
    granted(&alice.ask(&team.t.manifest("orders", "{}"), Way::Apply).await);
    let (carol, approval) = (team.approver("carol").await, team.decision("orders", "Approve").await);
    let becomes = async |tenant: Value, reason: Reason| {
        team.t.tenant(tenant).await;
        let answer = until(async || match carol.create(&approval, "?dryRun=All").await {
            answer if answer.status == 201 => Err(format!("{answer:?}")),
            answer => Ok(answer),
        });
        refused(&answer.await.expect("it is refused"), reason, "the platform's administrator");
    };
    let mut tenant = team.tenant(ANY);
    tenant["suspended"] = json!(true);
    becomes(tenant.clone(), Reason::TenantSuspended).await;
    tenant["namespaces"] = json!([]);
    becomes(tenant, Reason::TenantNotFound).await;
    // Without rules there is nothing to decide, and nobody is stamped any more.
    team.t.tenant(json!({"namespaces": [team.t.namespace]})).await;
    let answer = until(async || match carol.create(&approval, "?dryRun=All").await {
        answer if answer.message().contains("has no approval rules for EventTopics") => Ok(answer),
        answer => Err(format!("{answer:?}")),
    });
    refused(
        &answer.await.expect("it is refused"),
        Reason::ApprovalNotAllowed,
        "so there is nothing to approve",
    );
    let before = stamps(&team.t.get("orders").await);
    granted(&team.t.kube.ask(&team.t.manifest("orders", "partitions: 2"), Way::Apply).await);
    assert_eq!(stamps(&team.t.get("orders").await), before, "what was stamped stays");
    granted(&alice.create(&team.t.manifest("free", "{}"), "").await);
    assert_eq!(stamps(&team.t.get("free").await), [None, None]);
}

#[tokio::test]
async fn the_key_is_told_to_nobody() {
    let team = Team::new("key", ANY).await;
    let alice = team.person("alice", &["requesters"]).await;
    granted(&alice.ask(&team.t.manifest("orders", "{}"), Way::Apply).await);
    let place = |kind: &str, name: &str| {
        let metadata = json!({"name": name, "namespace": xtask::kubectl::NAMESPACE});
        Place::of(&json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}))
    };
    let secret: Secret = team.t.kube.get(&place("Secret", "eventcenter-seal-webhook")).await.expect("a key");
    let seed = secret.data.unwrap_or_default().remove("seed").expect("a seed").0;
    let seed = String::from_utf8(seed).expect("in hexadecimal");
    assert_eq!(seed.len(), 64);
    let public: Value =
        team.t.kube.get(&place("ConfigMap", "eventcenter-seals")).await.expect("the public halves");
    assert!(public["data"]["webhook"].as_str().is_some_and(|keys| keys.trim().len() >= 64), "{public}");
    assert!(!public.to_string().contains(&seed));
    let said = std::fs::read_to_string(&team.t.stage.log).expect("a log");
    assert!(said.contains("created a signing key") && !said.contains(&seed), "the log has the key");
    // None of the roles for people lets anybody say whose seals are believed.
    let forged = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"webhook": "forged"},
        "metadata": {"name": "eventcenter-seals", "namespace": xtask::kubectl::NAMESPACE},
    });
    for who in [alice, team.approver("carol").await] {
        let answer = who.ask(&forged, Way::Apply).await;
        assert!(answer.message().contains("cannot patch resource"), "{}", answer.message());
    }
}
