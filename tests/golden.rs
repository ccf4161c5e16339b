//! Files that have to agree with the code: the generated definitions, the examples, the operator's rights.

#![allow(clippy::panic, reason = "a test fails by a panic, in its helpers as well")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eventcenter::api::{self, EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};
use kube::ResourceExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with that ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { files(&path, ending) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn documents(path: &Path) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(&read(path))
        .map(|document| Value::deserialize(document).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .filter(|document| !document.is_null())
        .collect()
}

#[test]
fn the_definitions_are_those_of_the_code() {
    let generated: BTreeMap<String, String> = api::definitions()
        .iter()
        .map(|definition| {
            let text = serde_yaml::to_string(definition).expect("YAML");
            (format!("{}.yaml", definition.name_any()), format!("---\n{text}"))
        })
        .collect();
    let stored: BTreeMap<String, String> = files(&repository().join("crds"), "yaml")
        .iter()
        .map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), read(path)))
        .collect();
    assert_eq!(
        stored.keys().collect::<Vec<_>>(),
        generated.keys().collect::<Vec<_>>(),
        "run `cargo xtask generate` and remove the files that it does not write"
    );
    for (name, text) in generated {
        assert!(stored[&name] == text, "crds/{name} does not match the types: run `cargo xtask generate`");
    }
}

#[test]
fn the_openapi_document_matches_the_code() {
    let stored = read(&repository().join("docs/openapi.json"));
    let generated = eventcenter::rest::document();
    assert!(stored == generated, "docs/openapi.json does not match the code: run `cargo xtask generate`");
}

/// Collects the fields of a document that its type does not have: they are missing after deserialization and serialization.
fn collect_unknown_fields(written: &Value, read: &Value, path: &str, found: &mut Vec<String>) {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (key, value) in written {
                let path = format!("{path}.{key}");
                match read.get(key) {
                    Some(read) => collect_unknown_fields(value, read, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            for (index, (written, read)) in written.iter().zip(read).enumerate() {
                collect_unknown_fields(written, read, &format!("{path}[{index}]"), found);
            }
        }
        (written, read) if written == read => {}
        _ => found.push(format!("{path} (became {read})")),
    }
}

fn check<K: DeserializeOwned + serde::Serialize>(document: &Value, location: &str) {
    let typed: K =
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{location}: {error}"));
    let again = serde_json::to_value(typed).expect("JSON");
    let mut found = Vec::new();
    collect_unknown_fields(document, &again, "", &mut found);
    assert!(found.is_empty(), "{location} has fields that its type does not have: {found:?}");
}

#[test]
fn the_examples_have_only_fields_of_their_types() {
    let mut seen = 0;
    for path in files(&repository().join("examples"), "yaml") {
        for document in documents(&path) {
            let location = format!("{} {}", path.display(), document["metadata"]["name"]);
            let version = document["apiVersion"].as_str().unwrap_or_default();
            match (version, document["kind"].as_str().unwrap_or_default()) {
                ("eventcenter.io/v1alpha1", "EventTopic") => check::<EventTopic>(&document, &location),
                ("eventcenter.io/v1alpha1", "Tenant") => check::<Tenant>(&document, &location),
                ("eventcenter.io/v1alpha1", "KafkaCluster") => check::<KafkaCluster>(&document, &location),
                ("eventcenter.io/v1alpha1", "ScheduledTask") => check::<ScheduledTask>(&document, &location),
                ("eventcenter.io/v1alpha1", "TaskTemplate") => check::<TaskTemplate>(&document, &location),
                (version, kind) if version.starts_with("eventcenter.io") => {
                    panic!("{location}: no kind {version} {kind}")
                }
                _ => continue,
            }
            seen += 1;
        }
    }
    assert!(seen > 0, "no examples were found");
}

#[test]
fn a_misspelt_field_in_an_example_is_detected() {
    let topic = serde_json::json!({"metadata": {"name": "x"}, "spec": {"partitons": 3, "owner": {"team": "a", "mail": "b"}}});
    let typed: EventTopic = serde_json::from_value(topic.clone()).expect("serde ignores unknown fields");
    let mut found = Vec::new();
    collect_unknown_fields(&topic, &serde_json::to_value(typed).expect("JSON"), "", &mut found);
    assert_eq!(found, [".spec.owner.mail", ".spec.partitons"]);
}

/// The resources of Kubernetes that the roles of the operator and of users name, by group.
const KUBERNETES: [(&str, &str); 15] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("apps", "controllerrevisions"),
    ("batch", "cronjobs"),
    ("batch", "cronjobs/status"),
    ("batch", "jobs"),
    ("", "pods"),
    ("", "pods/log"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("coordination.k8s.io", "leases"),
    ("events.k8s.io", "events"),
];

#[test]
fn the_rights_name_only_kinds_that_exist() {
    let mut rules = 0;
    let ours: Vec<String> =
        api::definitions().iter().map(|definition| definition.spec.names.plural.clone()).collect();
    let files = ["dev/operator-rbac.yaml", "dev/user-roles.yaml"];
    for document in files.iter().flat_map(|file| documents(&repository().join(file))) {
        for rule in document["rules"].as_array().into_iter().flatten() {
            rules += 1;
            let texts = |key: &str| -> Vec<&str> {
                rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
            };
            for group in texts("apiGroups") {
                for resource in texts("resources") {
                    let plural = resource.split('/').next().unwrap_or_default();
                    let exists = if group == api::GROUP {
                        ours.iter().any(|name| name == plural)
                    } else {
                        KUBERNETES.contains(&(group, resource))
                    };
                    assert!(exists, "unknown resource {resource} in group {group:?}");
                }
            }
            assert!(!texts("verbs").contains(&"*") && !texts("resources").contains(&"*"), "{rule}");
        }
    }
    assert!(rules > 0, "no rules were found");
}

/// The verbs that a role has on a resource of the product, sorted.
fn verbs<'a>(roles: &'a [Value], role: &str, resource: &str) -> Vec<&'a str> {
    let of_role = roles
        .iter()
        .filter(|document| document["kind"] == "ClusterRole" && document["metadata"]["name"] == role);
    let rules = of_role.flat_map(|document| document["rules"].as_array().into_iter().flatten());
    let list =
        |rule: &'a Value, key: &str| rule[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut verbs: Vec<&str> = rules
        .filter(|rule| list(rule, "apiGroups").any(|group| group == api::GROUP))
        .filter(|rule| list(rule, "resources").any(|name| name == resource))
        .flat_map(|rule| list(rule, "verbs"))
        .collect();
    verbs.sort_unstable();
    verbs
}

#[test]
fn the_rights_cover_every_kind() {
    let operator = documents(&repository().join("dev/operator-rbac.yaml"));
    let users = documents(&repository().join("dev/user-roles.yaml"));
    for kind in api::kinds() {
        let (plural, status) = (kind.plural, format!("{}/status", kind.plural));
        let controllers = verbs(&operator, "eventcenter-controllers", plural);
        let has = |verbs: &[&str], required: &[&str]| required.iter().all(|verb| verbs.contains(verb));
        assert!(has(&controllers, &["list", "watch"]), "the operator cannot watch {plural}: {controllers:?}");
        let has_status = kind.custom_resource_definition().spec.versions.iter().any(|version| {
            version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some())
        });
        let on_status = verbs(&operator, "eventcenter-controllers", &status);
        assert_eq!(on_status, if has_status { vec!["patch"] } else { vec![] }, "{status}");
        let read = ["get", "list", "watch"];
        for role in ["eventcenter-auditor", "eventcenter-admin"] {
            assert!(has(&verbs(&users, role, plural), &read), "{role} cannot read {plural}");
        }
        // Only the operator may govern a kind, and only a governed one.
        let is_governed = kind.kind().is_governed();
        let governing: Vec<&str> = operator
            .iter()
            .chain(&users)
            .filter_map(|document| document["metadata"]["name"].as_str())
            .filter(|role| {
                verbs(&operator, role, plural).contains(&api::GOVERN)
                    || verbs(&users, role, plural).contains(&api::GOVERN)
            })
            .collect();
        let expected = if is_governed { &["eventcenter-controllers"][..] } else { &[] };
        assert!(
            governing.iter().all(|role| expected.contains(role)) && governing.is_empty() != is_governed,
            "{governing:?}"
        );
        if is_governed {
            assert!(
                has(&verbs(&operator, "eventcenter-webhook", plural), &["get"]),
                "the webhook cannot read {plural}"
            );
            assert!(has(&verbs(&users, "eventcenter-requester", plural), &["create", "update", "delete"]));
            assert!(has(&verbs(&users, "eventcenter-approver", plural), &["get", api::APPROVE]));
        }
    }
}

/// The roles of the operator, each with the permissions that it has alone.
const ROLES: [&str; 4] = ["controllers", "webhook", "api", "runner"];

#[test]
fn each_role_has_an_account_with_its_own_rights_only() {
    let all = documents(&repository().join("dev/operator-rbac.yaml"));
    let name = |document: &Value| document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let bound_to = |account: &str| -> Vec<String> {
        let has_account = |binding: &&Value| {
            let subjects = binding["subjects"].as_array().into_iter().flatten();
            subjects.clone().any(|subject| subject["name"] == account)
        };
        let role = |binding: &Value| binding["roleRef"]["name"].as_str().unwrap_or_default().to_owned();
        let mut roles: Vec<String> = all.iter().filter(has_account).map(role).collect();
        roles.sort();
        roles.dedup();
        roles
    };
    let accounts: Vec<String> =
        all.iter().filter(|document| document["kind"] == "ServiceAccount").map(name).collect();
    let mut every: Vec<String> = ROLES.map(|role| format!("eventcenter-{role}")).into();
    for role in &every {
        assert!(accounts.contains(role), "{accounts:?}");
        assert_eq!(bound_to(role), std::slice::from_ref(role));
    }
    every.sort();
    assert_eq!(bound_to("eventcenter"), every, "the account of a process with all roles");
    for kind in ["tenants", "kafkaclusters", "eventtopics", "tasktemplates", "scheduledtasks"] {
        let verbs = verbs(&all, "eventcenter-webhook", kind);
        assert!(verbs.contains(&"list") && verbs.contains(&"watch"), "the webhook cannot watch {kind}");
    }
}
