//! Registration of schemas.
//!
//! The schema of an event type is registered together with its topic, and later revisions are compared with it. The
//! last [`MAX_REVISIONS`] revisions of each event type are retained: `TRANSITIVE` modes compare with them, and older
//! events can be read with them. They outlive the removal of the event type from the topic, so that removing and adding
//! it again does not bypass the comparison.

use std::collections::HashSet;

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use super::event_type::{self, TypeId};
use super::refusal::Refusal;
use super::schema::{self, Budget, Document};
use crate::api::{Compatibility, CompatibilityMode, ConfigMapKey, EventTopic, EventType, RegisteredType};

/// Maximum number of stored revisions per event type.
pub const MAX_REVISIONS: usize = 10;

/// Maximum number of distinct regular expressions in all schemas of a topic. Compiling them is the most expensive part
/// of parsing.
const MAX_PATTERNS: usize = 128;

const EVENT_TYPES: &str = "spec.eventTypes";

/// Maximum number of violations in a message.
const MAX_REPORTED_VIOLATIONS: usize = 3;

/// An event type with its declared schema.
#[derive(Debug)]
pub struct DeclaredSchema {
    /// The event type.
    pub id: TypeId,
    /// Its schema.
    pub document: Document,
}

/// A registered revision. Its schema is parsed only for a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The event type.
    pub id: TypeId,
    /// Its number, counted from 1.
    pub number: i64,
    /// Name of the ControllerRevision that stores it.
    pub object_name: String,
    /// SHA-256 of the schema's canonical form, in hexadecimal.
    pub hash: String,
    schema: serde_json::Value,
}

/// A change of the stored revisions.
#[derive(Clone, Debug)]
pub enum Step {
    /// Store a revision.
    Register(Revision),
    /// Delete a revision beyond the maximum number.
    Delete {
        /// Name of the ControllerRevision.
        object_name: String,
    },
}

/// The result of comparing declared schemas with registered ones.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// Changes, in order.
    pub steps: Vec<Step>,
    /// One refusal per incompatible schema. The other schemas are registered nevertheless.
    pub refusals: Vec<Refusal>,
    /// The registered revisions of the declared types after the changes.
    pub registered: Vec<RegisteredType>,
}

/// Location of the schema of an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// There is no schema.
    None,
    /// In the EventTopic.
    Inline(&'a serde_json::Map<String, serde_json::Value>),
    /// In a ConfigMap of the same namespace.
    ConfigMap(&'a ConfigMapKey),
}

impl<'a> Source<'a> {
    /// The location of the schema of an event type.
    #[must_use]
    pub fn of(declared: &'a EventType) -> Self {
        match (&declared.schema, &declared.schema_from) {
            (Some(schema), _) => Self::Inline(schema),
            (None, Some(from)) => Self::ConfigMap(&from.config_map_key_ref),
            (None, None) => Self::None,
        }
    }
}

/// Parses the schemas of event types. Returns the valid ones and the refusals of the others. `text` returns the value of
/// a ConfigMap key. Event types with an invalid name are skipped; [`event_type::parse`] reports them.
pub fn parse_schemas<'a>(
    event_types: impl IntoIterator<Item = &'a EventType>,
    text: impl Fn(&ConfigMapKey) -> Option<String>,
) -> (Vec<DeclaredSchema>, Vec<(TypeId, Refusal)>) {
    let (mut declared, mut refused, mut patterns) = (Vec::new(), Vec::new(), 0);
    for event_type in event_types {
        let Ok(id) = event_type::parse(event_type) else { continue };
        let read = if patterns > MAX_PATTERNS {
            let detail = format!(
                "{id}: the schemas of one topic may have {MAX_PATTERNS} different regular expressions together: write \
                 fewer, or give the type a topic of its own"
            );
            Err(Refusal::at(Reason::SchemaInvalid, EVENT_TYPES, detail))
        } else {
            parse_document(&id, Source::of(event_type), &text)
        };
        match read {
            Ok(None) => {}
            Ok(Some(document)) => {
                patterns += document.pattern_count();
                declared.push(DeclaredSchema { id, document });
            }
            Err(refusal) => refused.push((id, refusal)),
        }
    }
    (declared, refused)
}

/// Parses the schema of one event type. The refusal is `SchemaNotFound` if the ConfigMap has none, and `SchemaInvalid` if
/// it is invalid.
fn parse_document(
    id: &TypeId,
    source: Source<'_>,
    text: impl FnOnce(&ConfigMapKey) -> Option<String>,
) -> Result<Option<Document>, Refusal> {
    let at_type =
        |refusal: Refusal| Refusal::at(refusal.reason, EVENT_TYPES, format!("{id}: {}", refusal.message()));
    match source {
        Source::None => Ok(None),
        Source::Inline(schema) => {
            Document::from_value(&serde_json::Value::Object(schema.clone())).map(Some).map_err(at_type)
        }
        Source::ConfigMap(from) => {
            let Some(text) = text(from) else {
                return Err(at_type(Refusal::new(
                    Reason::SchemaNotFound,
                    format!(
                        "schemaFrom: there is no key {} in a ConfigMap {} of this namespace with the label \
                         eventcenter.io/schema: \"true\": create it, or correct the reference",
                        from.key, from.name
                    ),
                )));
            };
            Document::parse(&text).map(Some).map_err(|refusal| {
                at_type(Refusal::new(
                    refusal.reason,
                    format!("key {} of ConfigMap {}: {}", from.key, from.name, refusal.message()),
                ))
            })
        }
    }
}

/// Whether the declared schemas are exactly those registered in the status. Then nothing has to be compared.
#[must_use]
pub fn is_registered(declared: &[DeclaredSchema], status: &[RegisteredType]) -> bool {
    declared.len() == status.len()
        && declared.iter().zip(status).all(|(declared, known)| is_same(known, declared))
}

/// Whether a schema is the newest registered revision of its type according to the status.
#[must_use]
pub fn is_newest(declared: &DeclaredSchema, status: &[RegisteredType]) -> bool {
    status.iter().any(|known| is_same(known, declared))
}

fn is_same(known: &RegisteredType, declared: &DeclaredSchema) -> bool {
    known.name == declared.id.name.as_str()
        && known.version == i64::from(declared.id.version)
        && known.schema_hash == declared.document.hash()
}

/// Compares the declared schemas with the registered revisions.
#[must_use]
pub fn plan_registration(
    topic: &EventTopic,
    declared: &[DeclaredSchema],
    revisions: &[Revision],
    compatibility: Compatibility,
) -> Registration {
    let mut registration = Registration::default();
    let mut budget = Budget::default();
    for DeclaredSchema { id, document } in declared {
        let history: Vec<&Revision> = revisions.iter().filter(|revision| revision.id == *id).collect();
        let newest = history.last();
        if let Some(same) = newest.filter(|newest| newest.hash == document.hash()) {
            registration.registered.push(registered(same));
            continue;
        }
        match check_compatibility(id, document, &history, compatibility, &mut budget) {
            Ok(()) => {
                let number = newest.map_or(1, |newest| newest.number + 1);
                let revision = Revision::new(id, number, object_name(topic, id, number), document);
                registration.registered.push(registered(&revision));
                registration.steps.push(Step::Register(revision));
                let surplus = (history.len() + 1).saturating_sub(MAX_REVISIONS);
                let old = history
                    .iter()
                    .take(surplus)
                    .map(|old| Step::Delete { object_name: old.object_name.clone() });
                registration.steps.extend(old);
            }
            Err(refusal) => {
                registration.refusals.push(refusal);
                registration.registered.extend(newest.map(|newest| registered(newest)));
            }
        }
    }
    registration
}

/// Checks a new revision against the registered ones.
fn check_compatibility(
    id: &TypeId,
    document: &Document,
    history: &[&Revision],
    compatibility: Compatibility,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    // The newest revision counts, and the deprecation of removed properties is checked in the last two.
    let enough = if is_transitive(compatibility.mode) { history.len() } else { 2 };
    let history = &history[history.len().saturating_sub(enough)..];
    let (numbers, documents): (Vec<i64>, Vec<Document>) = history
        .iter()
        .filter_map(|revision| Some((revision.number, Document::from_value(&revision.schema).ok()?)))
        .unzip();
    let violations = schema::compare(document, &documents, compatibility, budget).map_err(|refusal| {
        Refusal::at(refusal.reason, EVENT_TYPES, format!("{id}: {}", refusal.message()))
    })?;
    if violations.is_empty() {
        return Ok(());
    }
    let mut reported = HashSet::new();
    let lines: Vec<String> = violations
        .into_iter()
        .map(|mut violation| {
            // The stored number, because deleted revisions no longer count.
            let number = numbers.get(violation.revision.saturating_sub(1));
            violation.revision =
                number.and_then(|number| usize::try_from(*number).ok()).unwrap_or(violation.revision);
            violation.to_string()
        })
        .filter(|violation| reported.insert(violation.clone()))
        .collect();
    let more = match lines.len().saturating_sub(MAX_REPORTED_VIOLATIONS) {
        0 => String::new(),
        more => format!("; and {more} more, see eventctl schema check"),
    };
    Err(Refusal::at(
        Reason::SchemaIncompatible,
        EVENT_TYPES,
        format!(
            "the schema of {id} is not compatible with the registered revisions: {}{more}",
            lines[..lines.len().min(MAX_REPORTED_VIOLATIONS)].join("; ")
        ),
    ))
}

/// Whether a mode compares with all registered revisions.
#[must_use]
pub fn is_transitive(mode: CompatibilityMode) -> bool {
    use CompatibilityMode::{BackwardTransitive, ForwardTransitive, FullTransitive};
    matches!(mode, BackwardTransitive | ForwardTransitive | FullTransitive)
}

fn registered(revision: &Revision) -> RegisteredType {
    RegisteredType {
        name: revision.id.name.to_string(),
        version: i64::from(revision.id.version),
        revision: revision.number,
        schema_hash: revision.hash.clone(),
    }
}

/// Name of the ControllerRevision of a revision. It is deterministic, so that a retry after a crash finds the revision
/// that was already stored.
fn object_name(topic: &EventTopic, id: &TypeId, number: i64) -> String {
    // The uid avoids conflicts with revisions of a deleted topic with the same name.
    let uid = topic.uid().unwrap_or_default();
    let hash = Sha256::digest(format!("{uid}\n{}\n{}", id.name, id.version).as_bytes());
    let short: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // Names have at most 253 characters; the name of the topic is only for people.
    let name = topic.name_any();
    let name = name[..name.len().min(200)].trim_end_matches(['-', '.']);
    format!("{name}-{short}-{number}")
}

impl Revision {
    /// Parses a stored revision. `None` if its format is unknown.
    #[must_use]
    pub fn from_data(object_name: String, number: i64, data: &serde_json::Value) -> Option<Self> {
        let name = data.get("eventType")?.as_str()?.parse().ok()?;
        let version = u32::try_from(data.get("version")?.as_u64()?).ok()?;
        let hash = data.get("schemaHash")?.as_str()?.to_owned();
        Some(Self {
            id: TypeId { name, version },
            number,
            object_name,
            hash,
            schema: data.get("schema")?.clone(),
        })
    }

    /// A stand-in for the registered revision with this schema.
    #[must_use]
    pub fn for_schema(id: &TypeId, document: &Document) -> Self {
        Self::new(id, 1, String::new(), document)
    }

    /// A revision that is not stored yet.
    #[must_use]
    pub fn new(id: &TypeId, number: i64, object_name: String, document: &Document) -> Self {
        let (hash, schema) = (document.hash().to_owned(), document.value().clone());
        Self { id: id.clone(), number, object_name, hash, schema }
    }

    /// The stored form.
    #[must_use]
    pub fn to_data(&self) -> serde_json::Value {
        serde_json::json!({
            "eventType": self.id.name.as_str(),
            "version": self.id.version,
            "schemaHash": self.hash,
            "schema": self.schema,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::topic;
    use expect_test::{Expect, expect};
    use serde_json::json;

    fn declared(name: &str, schema: serde_json::Value) -> DeclaredSchema {
        let id = TypeId { name: name.parse().expect("a name"), version: 1 };
        DeclaredSchema { id, document: Document::from_value(&schema).expect("a schema") }
    }

    /// Registers declarations one after the other and prints the changes.
    fn check(steps: &[&[DeclaredSchema]], compatibility: Compatibility, expected: Expect) {
        let (mut revisions, mut lines): (Vec<Revision>, Vec<String>) = (Vec::new(), Vec::new());
        for declared in steps {
            let registration = plan_registration(&topic("{}"), declared, &revisions, compatibility);
            for step in registration.steps {
                match step {
                    Step::Register(revision) => {
                        lines.push(format!(
                            "register {} {} as {}",
                            revision.id, revision.number, revision.object_name
                        ));
                        let stored = Revision::from_data(
                            revision.object_name.clone(),
                            revision.number,
                            &revision.to_data(),
                        );
                        revisions.push(stored.expect("what was stored can be read"));
                    }
                    Step::Delete { object_name } => {
                        lines.push(format!("delete {object_name}"));
                        revisions.retain(|revision| revision.object_name != object_name);
                    }
                }
            }
            lines.extend(registration.refusals.iter().map(|refusal| format!("refused {refusal}")));
            let known = registration.registered.iter();
            let known: Vec<_> = known.map(|known| format!("{} {}", known.name, known.revision)).collect();
            lines.push(format!("registered: {}", known.join(", ")));
        }
        expected.assert_eq(&lines.join("\n"));
    }

    fn first() -> serde_json::Value {
        json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]})
    }

    fn broken() -> serde_json::Value {
        json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id", "note"]})
    }

    #[test]
    fn an_unchanged_schema_registers_nothing() {
        let order = || declared("Order.Created.v1", first());
        check(
            &[&[order()], &[order()]],
            Compatibility::default(),
            expect![[r#"
                register Order.Created.v1 1 as orders-27b919818a-1
                registered: Order.Created.v1 1
                registered: Order.Created.v1 1"#]],
        );
    }

    #[test]
    fn an_incompatible_schema_is_refused_and_others_are_registered() {
        check(
            &[
                &[declared("Order.Created.v1", first())],
                &[declared("Order.Created.v1", broken()), declared("Order.Paid.v1", broken())],
                &[declared("Order.Paid.v1", broken())],
                &[declared("Order.Created.v1", broken())],
            ],
            Compatibility::default(),
            expect![[r#"
                register Order.Created.v1 1 as orders-27b919818a-1
                registered: Order.Created.v1 1
                register Order.Paid.v1 1 as orders-07261ece2c-1
                refused SchemaIncompatible: spec.eventTypes: the schema of Order.Created.v1 is not compatible with the registered revisions: REQUIRED_PROPERTY_ADDED at /required: a property became required: nothing -> "note" (BACKWARD, revision 1); make it optional and let consumers do without it, or register the next major version beside this one
                registered: Order.Created.v1 1, Order.Paid.v1 1
                registered: Order.Paid.v1 1
                refused SchemaIncompatible: spec.eventTypes: the schema of Order.Created.v1 is not compatible with the registered revisions: REQUIRED_PROPERTY_ADDED at /required: a property became required: nothing -> "note" (BACKWARD, revision 1); make it optional and let consumers do without it, or register the next major version beside this one
                registered: Order.Created.v1 1"#]],
        );
    }

    #[test]
    fn the_oldest_revisions_are_deleted() {
        let revisions: Vec<[DeclaredSchema; 1]> = (1..=12)
            .map(|number| {
                [declared("Order.Created.v1", json!({"description": format!("revision {number}")}))]
            })
            .collect();
        let steps: Vec<&[DeclaredSchema]> = revisions.iter().map(<[DeclaredSchema; 1]>::as_slice).collect();
        check(
            &steps,
            Compatibility::default(),
            expect![[r#"
                register Order.Created.v1 1 as orders-27b919818a-1
                registered: Order.Created.v1 1
                register Order.Created.v1 2 as orders-27b919818a-2
                registered: Order.Created.v1 2
                register Order.Created.v1 3 as orders-27b919818a-3
                registered: Order.Created.v1 3
                register Order.Created.v1 4 as orders-27b919818a-4
                registered: Order.Created.v1 4
                register Order.Created.v1 5 as orders-27b919818a-5
                registered: Order.Created.v1 5
                register Order.Created.v1 6 as orders-27b919818a-6
                registered: Order.Created.v1 6
                register Order.Created.v1 7 as orders-27b919818a-7
                registered: Order.Created.v1 7
                register Order.Created.v1 8 as orders-27b919818a-8
                registered: Order.Created.v1 8
                register Order.Created.v1 9 as orders-27b919818a-9
                registered: Order.Created.v1 9
                register Order.Created.v1 10 as orders-27b919818a-10
                registered: Order.Created.v1 10
                register Order.Created.v1 11 as orders-27b919818a-11
                delete orders-27b919818a-1
                registered: Order.Created.v1 11
                register Order.Created.v1 12 as orders-27b919818a-12
                delete orders-27b919818a-2
                registered: Order.Created.v1 12"#]],
        );
    }

    #[test]
    fn the_status_lists_registered_schemas() {
        let order = [declared("Order.Created.v1", first())];
        let registration = plan_registration(&topic("{}"), &order, &[], Compatibility::default());
        assert!(is_registered(&order, &registration.registered));
        assert!(!is_registered(&[declared("Order.Created.v1", broken())], &registration.registered));
        assert!(!is_registered(&[], &registration.registered), "one that went is no longer lines");
    }

    #[test]
    fn object_names_are_valid_for_any_topic_name() {
        let id = TypeId { name: "Order.Created.v1".parse().expect("a name"), version: 1 };
        let long = topic(&format!("name: {}.{}", "a".repeat(199), "b".repeat(53)));
        let name = object_name(&long, &id, 1);
        assert!(name.len() <= 253 && !name.contains(".-"), "{name}");
    }

    #[test]
    fn the_regular_expressions_of_a_topic_are_limited() {
        let event_type = |number: usize| -> EventType {
            let patterns: serde_json::Map<_, _> =
                (0..60).map(|n| (format!("^p{n}x{number}"), json!({}))).collect();
            let schema = json!({"patternProperties": patterns});
            serde_json::from_value(json!({"name": format!("Order.Paid.v{number}"), "schema": schema}))
                .expect("a type")
        };
        let types: Vec<EventType> = (1..=5).map(event_type).collect();
        let (declared, refused) = parse_schemas(&types, |_| None);
        assert_eq!((declared.len(), refused.len()), (3, 2));
        expect!["SchemaInvalid: spec.eventTypes: Order.Paid.v4: the schemas of one topic may have 128 different regular expressions together: write fewer, or give the type a topic of its own"].assert_eq(&refused[0].1.to_string());
    }
}
