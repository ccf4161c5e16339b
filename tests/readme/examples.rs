//! The resources and the script that the pages show.

use std::collections::BTreeSet;

use eventcenter::api::{ChangeApproval, EventTopic, KafkaCluster, ScheduledTask, TaskTemplate, Tenant};
use eventcenter::domain::{condition, topic::status};
use eventcenter_sdk::Reason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use crate::{blocks, pages, read};

/// The error in a document that a page shows, if any.
fn find_error(document: &Value) -> Option<String> {
    fn find_type_error<K: Serialize + DeserializeOwned>(document: &Value) -> Option<String> {
        match serde_yaml::from_value::<K>(document.clone()) {
            Err(error) => Some(error.to_string()),
            Ok(read) => find_unknown_field("", document, &serde_yaml::to_value(read).unwrap()),
        }
    }
    match (document["apiVersion"].as_str(), document["kind"].as_str()) {
        (Some("eventcenter.io/v1alpha1"), Some("EventTopic")) => find_type_error::<EventTopic>(document),
        (Some("eventcenter.io/v1alpha1"), Some("KafkaCluster")) => find_type_error::<KafkaCluster>(document),
        (Some("eventcenter.io/v1alpha1"), Some("Tenant")) => find_type_error::<Tenant>(document),
        (Some("eventcenter.io/v1alpha1"), Some("ScheduledTask")) => {
            find_type_error::<ScheduledTask>(document)
        }
        (Some("eventcenter.io/v1alpha1"), Some("TaskTemplate")) => find_type_error::<TaskTemplate>(document),
        (Some("eventcenter.io/v1alpha1"), Some("ChangeApproval")) => {
            find_type_error::<ChangeApproval>(document)
        }
        (Some(group), kind) if group.starts_with("eventcenter.io/") => Some(format!("there is no {kind:?}")),
        (Some(_), Some(_)) => None,
        _ => Some("apiVersion and kind are missing".into()),
    }
}

/// The first field that was written and not read.
fn find_unknown_field(path: &str, written: &Value, read: &Value) -> Option<String> {
    match (written, read) {
        (Value::Mapping(written), Value::Mapping(read)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}.{}", key.as_str().unwrap_or("?"));
            match read.get(key) {
                None => Some(format!("{path} is unknown")),
                Some(read) => find_unknown_field(&path, value, read),
            }
        }),
        (Value::Sequence(written), Value::Sequence(read)) => {
            written.iter().zip(read).find_map(|(written, read)| find_unknown_field(path, written, read))
        }
        _ => (written != read).then(|| format!("{path} is read as {read:?}")),
    }
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| {
            serde::Deserialize::deserialize(document).unwrap_or_else(|error| panic!("{error}\n{text}"))
        })
        .collect()
}

#[test]
fn examples_on_the_pages_are_resources() {
    let mut shown = 0;
    for page in pages() {
        for (_, text) in blocks(&read(&page)).iter().filter(|(language, _)| language == "yaml") {
            for document in documents(text) {
                shown += 1;
                assert_eq!(find_error(&document), None, "{page}:\n{text}");
                // A block that names a file shows a document of that file, without its comments.
                let file = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
                if file.starts_with("examples/") {
                    assert!(
                        documents(&read(file)).contains(&document),
                        "{page}: {file} has no such document:\n{text}"
                    );
                }
            }
        }
    }
    assert!(shown > 2, "the pages show examples");
}

#[test]
fn an_invalid_example_is_detected() {
    let error_of = |spec: &str| {
        let text = format!(
            "{{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {{name: a}}, spec: {spec}}}"
        );
        find_error(&documents(&text)[0])
    };
    assert_eq!(error_of("{partitions: 3}"), None);
    assert_eq!(error_of("{partition: 3}"), Some(".spec.partition is unknown".into()));
    assert_eq!(error_of("{retention: {days: 3}}"), Some(".spec.retention.days is unknown".into()));
    assert!(error_of("{deletionPolicy: Keep}").is_some());
    assert!(error_of("{owner: {}}").is_some());
}

/// The health script for Argo CD uses only existing conditions, reasons and health states.
#[test]
fn the_health_script_uses_existing_values() {
    let page = read("docs/argocd-health.md");
    let (_, script) = blocks(&page).into_iter().find(|(language, _)| language == "yaml").unwrap();
    let values: BTreeSet<&str> =
        script.split('"').skip(1).step_by(2).filter(|value| !value.contains(' ')).collect();
    let conditions = ["Ready", "Stalled", "InSync"];
    let health = ["Healthy", "Progressing", "Degraded", "Suspended"];
    for value in &values {
        let is_known = conditions.contains(value)
            || health.contains(value)
            || ["True", "False"].contains(value)
            || value.parse::<Reason>().is_ok();
        assert!(is_known, "{value}");
    }
    assert!(conditions.iter().chain(&health).all(|value| values.contains(value)), "{values:?}");
    assert_eq!(conditions, [condition::READY, condition::STALLED, status::IN_SYNC]);
}
