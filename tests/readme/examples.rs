//! The resources and the script that the pages show.

use std::collections::BTreeSet;

use eventcenter::api::{ChangeApproval, EventTopic, KafkaCluster, Tenant};
use eventcenter::domain::{condition, topic::status};
use eventcenter_sdk::Reason;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use crate::{blocks, pages, read};

/// What is wrong with a document that a page shows, if anything.
fn wrong_with(document: &Value) -> Option<String> {
    fn strictly<K: Serialize + DeserializeOwned>(document: &Value) -> Option<String> {
        match serde_yaml::from_value::<K>(document.clone()) {
            Err(error) => Some(error.to_string()),
            Ok(read) => unknown("", document, &serde_yaml::to_value(read).unwrap()),
        }
    }
    match (document["apiVersion"].as_str(), document["kind"].as_str()) {
        (Some("eventcenter.io/v1alpha1"), Some("EventTopic")) => strictly::<EventTopic>(document),
        (Some("eventcenter.io/v1alpha1"), Some("KafkaCluster")) => strictly::<KafkaCluster>(document),
        (Some("eventcenter.io/v1alpha1"), Some("Tenant")) => strictly::<Tenant>(document),
        (Some("eventcenter.io/v1alpha1"), Some("ChangeApproval")) => strictly::<ChangeApproval>(document),
        (Some(group), kind) if group.starts_with("eventcenter.io/") => Some(format!("there is no {kind:?}")),
        (Some(_), Some(_)) => None,
        _ => Some("apiVersion and kind are missing".into()),
    }
}

/// The first field that was written and is not among what was read.
fn unknown(path: &str, written: &Value, read: &Value) -> Option<String> {
    match (written, read) {
        (Value::Mapping(written), Value::Mapping(read)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}.{}", key.as_str().unwrap_or("?"));
            match read.get(key) {
                None => Some(format!("{path} is unknown")),
                Some(read) => unknown(&path, value, read),
            }
        }),
        (Value::Sequence(written), Value::Sequence(read)) => {
            written.iter().zip(read).find_map(|(written, read)| unknown(path, written, read))
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
                assert_eq!(wrong_with(&document), None, "{page}:\n{text}");
                // A block that names a file shows a document of that file, comments aside.
                let file = text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
                if file.starts_with("examples/") {
                    assert!(
                        documents(&read(file)).contains(&document),
                        "{page}: {file} says something else:\n{text}"
                    );
                }
            }
        }
    }
    assert!(shown > 2, "the README shows examples");
}

#[test]
fn a_wrong_example_is_seen() {
    let wrong = |spec: &str| {
        let text = format!(
            "{{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {{name: a}}, spec: {spec}}}"
        );
        wrong_with(&documents(&text)[0])
    };
    assert_eq!(wrong("{partitions: 3}"), None);
    assert_eq!(wrong("{partition: 3}"), Some(".spec.partition is unknown".into()));
    assert_eq!(wrong("{retention: {days: 3}}"), Some(".spec.retention.days is unknown".into()));
    assert!(wrong("{deletionPolicy: Keep}").is_some());
    assert!(wrong("{owner: {}}").is_some());
}

/// The health script for Argo CD compares with words that our conditions and Argo CD have.
#[test]
fn the_health_script_knows_our_words() {
    let page = read("docs/argocd-health.md");
    let (_, script) = blocks(&page).into_iter().find(|(language, _)| language == "yaml").unwrap();
    let words: BTreeSet<&str> =
        script.split('"').skip(1).step_by(2).filter(|word| !word.contains(' ')).collect();
    let conditions = ["Ready", "Stalled", "InSync"];
    let health = ["Healthy", "Progressing", "Degraded", "Suspended"];
    for word in &words {
        let known = conditions.contains(word)
            || health.contains(word)
            || ["True", "False"].contains(word)
            || word.parse::<Reason>().is_ok();
        assert!(known, "{word}");
    }
    assert!(conditions.iter().chain(&health).all(|word| words.contains(word)), "{words:?}");
    assert_eq!(conditions, [condition::READY, condition::STALLED, status::IN_SYNC]);
}
