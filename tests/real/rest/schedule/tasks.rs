//! ScheduledTasks through the REST API, as the caller.

use serde_json::{Value, json};

use super::fixture::{TARGET, TaskServer, User};
use crate::support::yaml;

fn spec(schedule: &str) -> Value {
    yaml(&format!("{{schedule: {{{schedule}}}, {TARGET}}}"))
}

fn manifest(server: &TaskServer, name: &str, spec: &Value) -> Value {
    json!({"metadata": {"namespace": server.shop, "name": name}, "spec": spec})
}

#[test]
fn a_task_is_created_changed_and_deleted_as_the_caller() {
    let server = TaskServer::shared();
    let (path, user) = (server.task_path("crud"), User::Developer);
    let new = manifest(server, "crud", &spec("cron: '@daily'"));
    let created = server.call(user, "POST", "/api/schedule/tasks", &new);
    assert_eq!(created.status, 201, "{}", created.text());
    let task = created.json()["data"].clone();
    assert_eq!(
        (&task["id"], &task["tenant"]),
        (&json!(format!("{}.crud", server.shop)), &json!(server.shop))
    );
    assert_eq!(task["spec"]["schedule"]["cron"], "@daily");
    assert_eq!(server.get(user, &path).data()["uid"], task["uid"]);
    let again = server.call(user, "POST", "/api/schedule/tasks", &new);
    assert_eq!(again.outcome(), (409, 40001, "ResourceConflict".into()), "{}", again.text());

    // The webhook has seen the caller, and not the operator.
    let user_name = format!("system:serviceaccount:{}:developer", server.shop);
    let writers = server.writers("crud");
    assert!(writers.iter().all(|writer| *writer == user_name), "{writers:?}");

    // The controllers write the status meanwhile.
    let (replacement, replaced) = loop {
        let version = server.get(user, &path).data()["resourceVersion"].clone();
        let replacement = json!({"spec": spec("every: 1h"), "resourceVersion": version});
        let answer = server.call(user, "PUT", &path, &replacement);
        if answer.status != 409 {
            break (replacement, answer.data());
        }
    };
    assert_eq!(
        (&replaced["spec"]["schedule"]["every"], replaced["spec"]["schedule"].get("cron")),
        (&json!("1h"), None)
    );
    let stale = server.call(user, "PUT", &path, &replacement);
    assert_eq!(stale.outcome(), (409, 40001, "ResourceConflict".into()), "{}", stale.text());

    let stopped = server.call(user, "PATCH", &path, &json!({"action": "stop"})).data();
    assert_eq!(stopped["spec"]["suspend"], true);
    let started = server.call(user, "PATCH", &path, &json!({"action": "start"})).data();
    assert_eq!(started["spec"]["suspend"], false);
    let merged = server.send(
        user,
        "PATCH",
        &path,
        &[("Content-Type", "application/merge-patch+json")],
        Some(r#"{"spec":{"description":"x"}}"#),
    );
    assert_eq!(merged.data()["spec"]["description"], "x");

    assert_eq!(server.send(user, "DELETE", &path, &[], None).data()["id"], task["id"]);
    assert_eq!(server.get(user, &path).outcome(), (404, 40401, "NotFound".into()));
    assert_eq!(server.send(user, "DELETE", &path, &[], None).outcome(), (404, 40401, "NotFound".into()));
}

#[test]
fn a_refusal_comes_back_with_its_reason() {
    let server = TaskServer::shared();
    let create = |user: User, body: &Value| server.call(user, "POST", "/api/schedule/tasks", body);
    let check = |user: User, body: &Value, expected: (u16, u64, &str), text: &str| {
        let answer = create(user, body);
        assert_eq!(answer.outcome(), (expected.0, expected.1, expected.2.to_owned()), "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    };
    let invalid = (400, 40001, "InvalidResource");
    // The webhook.
    let cron = manifest(server, "refused", &spec("cron: '61 * * * *'"));
    check(User::Developer, &cron, invalid, "InvalidResource: spec.schedule.cron");
    // The definition.
    let none = manifest(server, "refused", &json!({}));
    check(User::Developer, &none, invalid, "set either target or template");
    let misspelt = manifest(server, "refused", &spec("cron: '@daily', timezone: Europe/Berlin"));
    check(User::Developer, &misspelt, invalid, "unknown field \\\"spec.schedule.timezone\\\"");
    // RBAC: the caller's rights count, and not those of the operator.
    let valid = manifest(server, "refused", &spec("cron: '@daily'"));
    for user in [User::Outsider, User::Lister, User::Banker, User::Auditor] {
        check(user, &valid, (403, 40301, "Forbidden"), "cannot create resource");
    }
    // The server itself.
    check(
        User::Developer,
        &json!({"metadata": {"namespace": "a", "name": "b"}, "spec": {}, "x": 1}),
        invalid,
        "unknown field `x`",
    );
    check(
        User::Developer,
        &json!({"metadata": {"namespace": "A", "name": "b"}, "spec": {}}),
        invalid,
        "NAMESPACE.NAME",
    );
    check(
        User::Developer,
        &json!({"kind": "Job", "metadata": {"namespace": "a", "name": "b"}, "spec": {}}),
        invalid,
        "write ScheduledTask",
    );
    let text = server.send(
        User::Developer,
        "POST",
        "/api/schedule/tasks",
        &[("Content-Type", "text/plain")],
        Some("{}"),
    );
    assert!(text.text().contains("Content-Type: application/json"), "{}", text.text());
    let method = server.send(User::Developer, "PUT", "/api/schedule/tasks", &[], None);
    assert_eq!(method.status, 405);
    assert!(
        method.headers["allow"].contains("POST") && method.headers["allow"].contains("GET"),
        "{method:?}"
    );
    assert_eq!(server.get(User::Outsider, &server.task_path("logged")).outcome().2, "Forbidden");
    assert_eq!(server.get(User::Developer, "/api/schedule/tasks/logged").outcome().2, "InvalidResource");
}

fn names(data: &Value) -> Vec<String> {
    let items = data["items"].as_array().expect("tasks").iter();
    items.map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_list_has_the_tasks_that_the_caller_may_list() {
    let server = TaskServer::shared();
    for name in ["list-a", "list-b", "list-c", "list-d"] {
        let suspend = name == "list-d";
        server.declare(name, &format!("{{suspend: {suspend}, {TARGET}}}"));
    }
    let list = |user: User, query: &str| server.get(user, &format!("/api/schedule/tasks?{query}"));
    let all = ["list-a", "list-b", "list-c", "list-d"];
    for user in [User::Developer, User::Auditor] {
        let data = list(user, &format!("prefix=list-&namespace={}", server.shop)).data();
        assert_eq!((names(&data), &data["next"]), (all.map(String::from).to_vec(), &Value::Null));
        let data = list(user, &format!("prefix=list-&tenant={}&suspended=true", server.shop)).data();
        assert_eq!(names(&data), ["list-d"]);
    }
    assert_eq!(names(&list(User::Developer, "prefix=list-").data()), all, "of all namespaces of the caller");
    assert_eq!(names(&list(User::Banker, "").data()), ["logged"]);
    assert_eq!(names(&list(User::Auditor, &format!("tenant={}", server.bank)).data()), ["logged"]);

    // In pages, which end with the last task.
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let data = list(User::Developer, &format!("prefix=list-&limit=3{cursor}")).data();
        found.extend(names(&data));
        match data["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, all);
    let other = list(User::Developer, &format!("prefix=list{cursor}"));
    assert_eq!(other.outcome().2, "InvalidResource", "a cursor belongs to its filter");

    for user in [User::Outsider, User::Lister] {
        assert_eq!(list(user, "").outcome(), (403, 40301, "Forbidden".into()));
    }
    let (own, missing) = (format!("namespace={}", server.bank), "namespace=missing".to_owned());
    for query in [own, missing] {
        let answer = list(User::Developer, &query);
        assert_eq!(answer.outcome(), (403, 40301, "Forbidden".into()), "{query}");
    }
    let foreign = list(User::Developer, &format!("tenant={}", server.bank));
    let missing = list(User::Developer, "tenant=missing");
    assert_eq!(
        foreign.json()["message"],
        missing.json()["message"],
        "it does not show whether the tenant exists"
    );
    assert_eq!(list(User::Auditor, "engine=x").outcome().2, "InvalidResource");
}
