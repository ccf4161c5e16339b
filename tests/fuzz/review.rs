//! AdmissionReviews: the body of a request to the webhook, and the objects in it.

use eventcenter::api::{ChangeApproval, EventTopic, KafkaCluster, Tenant};
use eventcenter::webhook::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::harness::Target;

/// An object that is written and read again is the same.
fn check_object<K: DeserializeOwned + Serialize>(request: &Request<'_>) {
    for object in [request.object::<K>(), request.old_object::<K>()].into_iter().flatten().flatten() {
        let written = serde_json::to_value(&object).unwrap();
        let again: K = serde_json::from_value(written.clone()).expect("it was written by us");
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
    }
}

#[test]
fn admission_reviews() {
    // Objects are parsed into a tree for the audit record.
    Target::new("review", 200, 64 * 1024).fuzz(
        |input| {
            let request = Request::parse(input).ok()?;
            Some((request.to_string(), request.size(), request.before(), request.after()))
        },
        |input, parsed| {
            let Some((_, size, before, after)) = parsed else { return };
            assert!(size <= input.len());
            for object in [before, after].into_iter().flatten() {
                assert_eq!(object.get("status"), None);
                assert_eq!(object.pointer("/metadata/managedFields"), None::<&Value>);
            }
            let request = Request::parse(input).expect("it was parsed before");
            check_object::<EventTopic>(&request);
            check_object::<Tenant>(&request);
            check_object::<KafkaCluster>(&request);
            check_object::<ChangeApproval>(&request);
            check_object::<ConfigMap>(&request);
        },
    );
}

/// Parsing an object into its type needs memory for that type only.
#[test]
fn objects_of_reviews() {
    Target::new("review", 200, 64 * 1024).fuzz(
        |input| {
            let request = Request::parse(input).ok()?;
            request.object::<EventTopic>()?.ok()
        },
        |_, _| {},
    );
}
