//! Objects of which an invalid one is an error of its own.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Deserializes a [`DeserializeGuard`] from its JSON text.
///
/// kube's own implementation first builds a tree of values and copies it, for the case that the object is invalid. That
/// takes several times the CPU and memory of a valid object, so only invalid ones take that path here.
#[derive(Clone, Debug)]
pub(super) struct Guarded<K>(pub(super) DeserializeGuard<K>);

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        match serde_json::from_str(text) {
            Ok(object) => Ok(Self(DeserializeGuard(Ok(object)))),
            Err(_) => serde_json::from_str(text).map(Self).map_err(D::Error::custom),
        }
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// The event with kube's guard.
pub(super) fn unwrap<K>(event: Event<Guarded<K>>) -> Event<DeserializeGuard<K>> {
    match event {
        Event::Apply(object) => Event::Apply(object.0),
        Event::Delete(object) => Event::Delete(object.0),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.0),
        Event::InitDone => Event::InitDone,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::WatchEvent;
    use kube::core::object::ObjectList;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::EventTopic;

    fn topic(spec: &Value) -> Value {
        json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic",
            "metadata": {"name": "orders", "namespace": "shop", "uid": "u"}, "spec": spec,
        })
    }

    /// The results of kube's guard for an object alone, in a list and in a watch event, and of this one for the same text.
    fn both(spec: &Value) -> [Vec<String>; 2] {
        fn show<K: Resource + std::fmt::Debug>(guard: &DeserializeGuard<K>) -> String {
            format!("{:?} {:?}", guard.meta(), guard.0)
        }
        let object = topic(spec);
        let list = json!({
            "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopicList", "metadata": {"resourceVersion": "7"},
            "items": [object, object],
        });
        // The order of the API server; json! sorts the keys.
        let event = format!(r#"{{"type":"ADDED","object":{object}}}"#);
        let (object, list) = (object.to_string(), list.to_string());
        let theirs: DeserializeGuard<EventTopic> = serde_json::from_str(&object).expect("an object");
        let ours: Guarded<EventTopic> = serde_json::from_str(&object).expect("an object");
        let their_list: ObjectList<DeserializeGuard<EventTopic>> =
            serde_json::from_str(&list).expect("a list");
        let our_list: ObjectList<Guarded<EventTopic>> = serde_json::from_str(&list).expect("a list");
        let their_event: WatchEvent<DeserializeGuard<EventTopic>> =
            serde_json::from_str(&event).expect("an event");
        let our_event: WatchEvent<Guarded<EventTopic>> = serde_json::from_str(&event).expect("an event");
        let (WatchEvent::Added(their_event), WatchEvent::Added(our_event)) = (their_event, our_event) else {
            panic!("another event")
        };
        let theirs = their_list.items.iter().chain([&theirs, &their_event]).map(show).collect();
        let ours = our_list.items.iter().chain([&ours, &our_event]).map(|guarded| show(&guarded.0)).collect();
        [theirs, ours]
    }

    #[test]
    fn valid_and_invalid_objects_are_those_of_kubes_guard() {
        let valid = json!({"partitions": 3, "config": {"retention.ms": "1"}, "eventTypes": [{"name": "a.b", "schema": "{}"}]});
        for spec in [valid, json!({}), json!({"partitions": "three"}), json!(null)] {
            let [theirs, ours] = both(&spec);
            assert_eq!(ours, theirs, "{spec}");
        }
    }

    #[test]
    fn a_value_that_is_no_object_is_an_error() {
        assert!(serde_json::from_str::<Guarded<EventTopic>>("7").is_err());
    }
}
