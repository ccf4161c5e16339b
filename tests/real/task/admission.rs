//! What the webhook refuses, and approvals.

use eventcenter_sdk::Reason;
use serde_json::json;

use super::{fixture, script};
use crate::support::{KubeClient, WriteMethod, assert_refused, until};

#[tokio::test]
async fn invalid_schedules_and_pods_are_refused_with_their_field() {
    let t = fixture("task-rules").await;
    let rejected = async |spec: serde_json::Value, reason, text: &str| {
        t.kube.assert_rejected(&t.task("bad").manifest(spec), reason, text).await;
    };
    rejected(
        json!({"schedule": {"cron": "0 25 * * *"}, "target": script("true")}),
        Reason::InvalidResource,
        "spec.schedule.cron: hour \"25\"",
    )
    .await;
    rejected(
        json!({"schedule": {"cron": "@daily", "timeZone": "Europe/Berln"}, "target": script("true")}),
        Reason::InvalidResource,
        "The nearest one is Europe/Berlin",
    )
    .await;
    let mut target = script("true");
    target["container"]["template"]["spec"]["hostNetwork"] = json!(true);
    rejected(json!({"target": target}), Reason::Forbidden, "spec.hostNetwork").await;
    let mut target = script("true");
    target["container"]["template"]["spec"]["serviceAccountName"] = json!("admin");
    rejected(json!({"target": target}), Reason::Forbidden, "spec.tasks.serviceAccounts").await;
    rejected(
        json!({"target": {"http": {"url": "http://169.254.169.254/latest/meta-data"}}}),
        Reason::HostNotAllowed,
        "spec.target.http.url",
    )
    .await;
    t.schedule("first", json!({"schedule": {"after": [{"task": "second"}]}, "target": script("true")})).await;
    let cycle = t
        .task("second")
        .manifest(json!({"schedule": {"after": [{"task": "first"}]}, "target": script("true")}));
    let is_noticed = until(async || match t.kube.write(&cycle, WriteMethod::DryRun).await.status {
        200 | 201 => Err("accepted".to_owned()),
        _ => Ok(()),
    });
    is_noticed.await.unwrap_or_else(|last| t.fail("the webhook should notice the first task", &last));
    t.kube.assert_rejected(&cycle, Reason::InvalidResource, "second after first after second").await;
}

#[tokio::test]
async fn whoever_writes_a_task_must_be_allowed_to_do_what_it_does() {
    let t = fixture("deputy").await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "task-writer", "namespace": t.namespace},
        "rules": [{"apiGroups": ["eventcenter.io"], "resources": ["scheduledtasks", "tasktemplates"], "verbs": ["get", "create", "update", "patch"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "task-writer", "namespace": t.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "task-writer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}],
    });
    t.apply(&role).await;
    t.apply(&binding).await;
    let mallory = KubeClient::as_user(&t.stage.kubeconfig, "mallory", &[]).await;
    let secret =
        json!([{"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "root", "key": "token"}}}]);
    for (target, right) in [
        (script("cat /var/run/secrets/kubernetes.io/serviceaccount/token"), "create jobs.batch"),
        (json!({"http": {"url": "https://example.com/", "headers": secret}}), "get secrets/root"),
        (
            json!({"event": {"topic": "orders", "type": "Order.Created.v1"}}),
            "create eventtopics.eventcenter.io/orders",
        ),
    ] {
        let response = mallory.create(&t.task("deputy").manifest(json!({"target": target})), "").await;
        assert_refused(&response, Reason::Forbidden, right);
        let template = t.template("deputy").manifest(json!({"target": target}));
        assert_refused(&mallory.create(&template, "").await, Reason::Forbidden, right);
    }
    let reader = json!({"schedule": {"onEvent": {"topic": "orders"}}, "target": {"http": {"url": "https://example.com/"}}});
    let response = mallory.create(&t.task("deputy").manifest(reader), "").await;
    assert_refused(
        &response,
        Reason::Forbidden,
        "get eventtopics.eventcenter.io/orders --subresource=events",
    );
    // So does a change of the template whose target gets the events.
    t.template("shared").apply(json!({"target": {"http": {"url": "https://example.com/"}}})).await;
    let follow = json!({"schedule": {"onEvent": {"topic": "orders"}}, "template": "shared"});
    t.task("follow").apply(follow).await;
    let change = json!({"target": {"http": {"url": "https://example.com/$(event.data)"}}});
    let manifest = t.template("shared").manifest(change);
    let refused = until(async || {
        let response = format!("{:?}", mallory.write(&manifest, WriteMethod::DryRun).await);
        if response.contains("get eventtopics.eventcenter.io/orders") { Ok(()) } else { Err(response) }
    });
    refused.await.unwrap_or_else(|last| t.fail("the change should be refused", &last));
    // The same task is fine without what mallory may not do, and for somebody who may.
    let harmless = json!({"target": {"http": {"url": "https://example.com/"}}});
    let response = mallory.create(&t.task("harmless").manifest(harmless), "").await;
    assert_eq!(response.status, 201, "{response:?}");
    t.schedule("allowed", json!({"target": script("true")})).await;
    // A change of somebody else's task needs the right as well; one that does not concern the target, too: the task goes on.
    let response = mallory
        .try_apply(&t.task("allowed").manifest(json!({"suspend": true, "target": script("false")})))
        .await;
    assert!(response.is_err_and(|error| error.to_string().contains("create jobs.batch")));
}

#[tokio::test]
async fn the_target_of_a_task_needs_approval_if_the_tenant_says_so() {
    let t = fixture("governed-task").await;
    t.apply_tenant(json!({
        "namespaces": [t.namespace], "clusters": t.stage.clusters,
        "approval": {"rules": [{"changes": ["ChangeTarget", "Delete"], "groups": ["approvers"]}]},
    }))
    .await;
    t.schedule("job", json!({"target": script("echo old")})).await;
    t.task("job").apply(json!({"target": script("echo new")})).await;
    let task = t.task("job").wait_for_condition("Approved=False").await;
    let pending = task.status.and_then(|status| status.pending).expect("a pending change");
    assert!(pending.diff.iter().any(|line| line.contains("echo old -> echo new")), "{:?}", pending.diff);
    // The approved target runs meanwhile.
    t.task("job").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("job", eventcenter::domain::task::RunState::Succeeded, 1).await.remove(0);
    assert_eq!(t.log_of(&run, 1).await.as_deref(), Some("old\n"));
    let refused = t.kube.try_delete(t.task("job").path()).await;
    assert_refused(&refused, Reason::AwaitingApproval, "ends its schedule");
}

#[tokio::test]
async fn a_template_gives_its_target_to_tasks_and_stops_them_when_it_is_gone() {
    let t = fixture("template").await;
    t.task("job").apply(json!({"template": "shell", "parameters": {"text": "from the task"}})).await;
    t.task("job").wait_for_condition("Ready=False TemplateNotFound").await;
    let template = json!({
        "parameters": [{"name": "text", "default": "none"}, {"name": "end", "default": "!"}],
        "target": script("echo '$(params.text)$(params.end)'"),
    });
    t.template("shell").apply(template).await;
    t.task("job").wait_for_condition("Ready=True").await;
    t.task("job").annotate("trigger", Some("1")).await;
    let run = t.wait_for_ended("job", eventcenter::domain::task::RunState::Succeeded, 1).await.remove(0);
    assert_eq!(t.log_of(&run, 1).await.as_deref(), Some("from the task!\n"));
    t.template("shell").delete_and_wait().await;
    t.task("job").wait_for_condition("Ready=False TemplateNotFound").await;
}
