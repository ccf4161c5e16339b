//! EventTopics as tenants declare them, with event types, schemas and access.

use std::fmt;

use eventcenter::api::{EventTopic, REVISION_LABEL, RegisteredType};
use eventcenter::domain::registration::{self, Revision};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::Resource;
use kube::core::{ObjectMeta, Status};
use serde_json::{Value, json};

/// A violation of a rule, which makes the webhook refuse an EventTopic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// The retention exceeds the tenant's quota.
    Retention,
    /// The name of an event type does not follow the tenant's convention.
    Naming,
    /// The Kafka topic does not have the tenant's prefix.
    Prefix,
    /// An event type is declared twice.
    Duplicate,
    /// A schema has an external reference.
    Schema,
}

impl Violation {
    const ALL: [Self; 5] = [Self::Retention, Self::Naming, Self::Prefix, Self::Duplicate, Self::Schema];

    /// The violation of an EventTopic; the violations alternate.
    pub(crate) fn of(number: u32) -> Self {
        let index = number % 5;
        let mut violations = Self::ALL.into_iter().zip(0..);
        violations.find(|(_, place)| *place == index).map_or(Self::Duplicate, |(violation, _)| violation)
    }

    /// Adds the violation to an EventTopic.
    pub(crate) fn apply(self, topic: &mut Value) {
        let spec = &mut topic["spec"];
        match self {
            Self::Retention => spec["retention"]["time"] = json!("90d"),
            Self::Naming => spec["eventTypes"] = json!([{"name": "order.created"}]),
            Self::Prefix => spec["topicName"] = json!("other.topic"),
            Self::Duplicate => {
                let types = spec["eventTypes"].as_array().cloned().unwrap_or_default();
                spec["eventTypes"] = json!([types.clone(), types].concat());
            }
            Self::Schema => {
                spec["eventTypes"][0]["schema"] = json!({"$ref": "https://example.com/order.json"})
            }
        }
    }

    /// The reason of the refusal.
    fn reason(self) -> &'static str {
        match self {
            Self::Retention => "TenantQuotaExceeded",
            Self::Naming | Self::Prefix | Self::Duplicate => "InvalidResource",
            Self::Schema => "SchemaInvalid",
        }
    }

    /// Whether the status is the webhook's refusal of this violation.
    pub(crate) fn is_refused_by(self, status: &Status) -> bool {
        status.message.contains(&format!("denied the request: {}", self.reason()))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "its retention exceeds the quota",
            Self::Naming => "its event type does not follow the naming convention",
            Self::Prefix => "its Kafka topic does not have the prefix",
            Self::Duplicate => "it declares an event type twice",
            Self::Schema => "its schema has an external reference",
        })
    }
}

/// An EventTopic. Three of four have a schema, one of four declares access, and one of four has the deletion policy Delete,
/// which requires a finalizer.
pub(crate) fn topic(name: &str, number: u32) -> Value {
    let event = |action: &str| format!("{}.{action}.v1", entity(name));
    let mut created = json!({"name": event("Created"), "description": "An order was placed and checked."});
    let cancelled = json!({"name": event("Cancelled"), "description": "An order will not be delivered."});
    let types = if number.is_multiple_of(4) {
        vec![created, cancelled]
    } else {
        created["schema"] = schema();
        vec![created]
    };
    let mut spec = json!({
        "partitions": 3,
        "retention": {"time": "7d"},
        "config": {"max.message.bytes": 262_144},
        "owner": {"team": "orders", "contact": "orders@example.com"},
        "description": "Orders of the shop, from the moment that they are placed until they have been delivered.",
        "eventTypes": types,
    });
    if number % 4 == 1 {
        spec["access"] = json!([
            {"principal": "User:shop", "operations": ["Write"]},
            {"principal": "User:billing", "operations": ["Read"]},
        ]);
    }
    if number % 4 == 2 {
        spec["deletionPolicy"] = json!("Delete");
    }
    json!({
        "apiVersion": EventTopic::api_version(&()),
        "kind": EventTopic::kind(&()),
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "shop"}},
        "spec": spec,
    })
}

/// The entity of a topic's event types, unique for each topic.
fn entity(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("Order{letters}")
}

/// Changes the value of one configuration key.
pub(crate) fn configure(topic: &mut Value) {
    topic["spec"]["config"]["max.message.bytes"] = json!(524_288);
}

/// Adds an optional property to each schema. Returns whether there is a schema.
pub(crate) fn evolve(topic: &mut Value) -> bool {
    let mut evolved = false;
    for declared in topic["spec"]["eventTypes"].as_array_mut().into_iter().flatten() {
        if let Some(properties) = declared.pointer_mut("/schema/properties") {
            properties["campaign"] =
                json!({"type": "string", "maxLength": 64, "description": "Which campaign led to it."});
            evolved = true;
        }
    }
    evolved
}

/// Removes a property from each schema, which makes it incompatible.
pub(crate) fn break_schema(topic: &mut Value) {
    for declared in topic["spec"]["eventTypes"].as_array_mut().into_iter().flatten() {
        if let Some(properties) = declared.pointer_mut("/schema/properties").and_then(Value::as_object_mut) {
            properties.remove("channel");
        }
    }
}

/// The first revision of an EventTopic's schema, as the operator would register it.
pub(crate) fn revision(topic: &EventTopic) -> Option<ControllerRevision> {
    let (declared, _) = registration::parse_schemas(&topic.spec.event_types, |_| None);
    let first = declared.first()?;
    let name = format!("{}-1", topic.metadata.name.as_deref()?);
    let revision = Revision::new(&first.id, 1, name.clone(), &first.document);
    let labels = [(REVISION_LABEL.to_owned(), topic.metadata.uid.clone()?)];
    Some(ControllerRevision {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels.into()), ..ObjectMeta::default() },
        revision: revision.number,
        data: Some(RawExtension(revision.to_data())),
    })
}

/// The event types in the status of an EventTopic whose schemas are registered, as the operator would write them.
pub(crate) fn registered(topic: &EventTopic) -> Vec<RegisteredType> {
    let (declared, _) = registration::parse_schemas(&topic.spec.event_types, |_| None);
    registration::plan_registration(topic, &declared, &[], topic.spec.compatibility.unwrap_or_default())
        .registered
}

/// A typical schema of an order: about 4 KiB, with definitions, formats, enumerations and nesting.
fn schema() -> Value {
    let text = |about: &str, max: u32| json!({"type": "string", "minLength": 1, "maxLength": max, "description": about});
    let choice =
        |about: &str, values: &[&str]| json!({"type": "string", "enum": values, "description": about});
    let number = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let part = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Order created",
        "type": "object",
        "required": ["orderId", "customer", "lines", "total", "placedAt"],
        "properties": {
            "orderId": {"type": "string", "format": "uuid", "description": "Identifies the order everywhere."},
            "number": text("The number that customers receive.", 32),
            "placedAt": {"type": "string", "format": "date-time", "description": "When the customer placed it."},
            "channel": choice("Where it was placed.", &["web", "app", "store", "phone", "partner"]),
            "locale": {"type": "string", "pattern": "^[a-z]{2}(-[A-Z]{2})?$"},
            "customer": part("customer"),
            "billing": part("address"),
            "delivery": part("address"),
            "lines": {"type": "array", "minItems": 1, "maxItems": 500, "items": part("line")},
            "vouchers": {"type": "array", "uniqueItems": true, "items": text("A code.", 40)},
            "total": part("money"),
            "shipping": part("money"),
            "payment": {
                "type": "object",
                "required": ["method"],
                "properties": {
                    "method": choice("How it is paid.", &["card", "transfer", "invoice", "wallet"]),
                    "reference": text("What the provider calls it.", 120),
                    "authorizedAt": {"type": "string", "format": "date-time"},
                    "amount": part("money"),
                },
            },
            "comment": {"type": ["string", "null"], "maxLength": 2_000},
            "attributes": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "$defs": {
            "money": {
                "type": "object",
                "required": ["amount", "currency"],
                "properties": {
                    "amount": {"type": "number", "minimum": 0, "description": "In units of the currency."},
                    "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217."},
                },
            },
            "address": {
                "type": "object",
                "required": ["name", "street", "postalCode", "city", "country"],
                "properties": {
                    "name": text("Who receives it.", 200),
                    "company": text("Where, if it is no home.", 200),
                    "street": text("With its number.", 200),
                    "postalCode": text("As it is written in that country.", 16),
                    "city": text("The town.", 100),
                    "region": text("State, province or canton.", 100),
                    "country": {"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166."},
                },
            },
            "customer": {
                "type": "object",
                "required": ["id"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "email": {"type": "string", "format": "email"},
                    "name": text("As it was given.", 200),
                    "level": choice("How much was ordered before.", &["new", "regular", "premium"]),
                    "since": {"type": "string", "format": "date"},
                },
            },
            "line": {
                "type": "object",
                "required": ["article", "quantity", "price"],
                "properties": {
                    "article": text("The article's number.", 64),
                    "title": text("What the customer read.", 300),
                    "quantity": number("How many pieces."),
                    "weightGrams": number("Of all pieces."),
                    "price": part("money"),
                    "taxRate": {"type": "number", "minimum": 0, "maximum": 1},
                    "gift": {"type": "boolean", "default": false},
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use eventcenter::api::Compatibility;
    use eventcenter::domain::schema::{Document, check};

    fn read(topic: &Value) -> EventTopic {
        serde_json::from_value(topic.clone()).expect("an EventTopic")
    }

    #[test]
    fn topics_have_the_documented_variety() {
        let topics: Vec<EventTopic> = (0..8).map(|number| read(&topic("t-00001", number))).collect();
        let count =
            |condition: fn(&EventTopic) -> bool| topics.iter().filter(|topic| condition(topic)).count();
        assert_eq!(count(|topic| topic.spec.event_types[0].schema.is_some()), 6);
        assert_eq!(count(|topic| !topic.spec.access.is_empty()), 2);
        assert_eq!(count(|topic| topic.spec.deletion_policy == eventcenter::api::DeletionPolicy::Delete), 2);
        let name = &topics[0].spec.event_types[0].name;
        assert_eq!(name, "Ordert00001.Created.v1");
        let length = schema().to_string().len();
        assert!((3_000..6_000).contains(&length), "{length}");
    }

    #[test]
    fn an_evolved_schema_is_compatible() {
        let (mut with, mut without) = (topic("t-00001", 1), topic("t-00000", 0));
        let read = |topic: &Value| {
            let schema = topic.pointer("/spec/eventTypes/0/schema").expect("there is a schema");
            Document::from_value(schema).expect("a valid schema")
        };
        let before = read(&with);
        assert!(evolve(&mut with) && !evolve(&mut without));
        let after = read(&with);
        assert_ne!(after.hash(), before.hash());
        assert_eq!(check(&after, &[before], Compatibility::default()).expect("within the bounds"), []);
        assert_eq!(without, topic("t-00000", 0));
    }

    #[test]
    fn a_violation_passes_the_validation_of_the_api_server() {
        for number in 0..4 {
            let mut topic = topic("t-00001", 1);
            Violation::of(number).apply(&mut topic);
            read(&topic);
        }
        assert_ne!(Violation::of(0), Violation::of(1));
        let status = |message: &str| Status { message: message.into(), ..Status::default() };
        let message =
            "admission webhook \"x\" denied the request: TenantQuotaExceeded: spec.retention.time: …";
        assert!(Violation::Retention.is_refused_by(&status(message)));
        assert!(!Violation::Prefix.is_refused_by(&status(message)));
        assert!(!Violation::Retention.is_refused_by(&status("failed calling webhook \"x\"")));
    }
}
