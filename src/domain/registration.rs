//! Which schemas are registered, and whether new ones fit to them.
//!
//! A schema is registered when its topic is: from then on it is what new revisions are compared with.
//! The last [`KEPT`] revisions of each event type are kept, which is what `TRANSITIVE` compares with
//! and what older events can be read with. They outlive the removal of the type from the topic, so
//! that taking it out and putting it back is no way around the comparison.

use std::collections::HashSet;

use eventcenter_sdk::Reason;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use super::event_type::{self, TypeId};
use super::refusal::Refusal;
use super::schema::{self, Budget, Document};
use crate::api::{Compatibility, CompatibilityMode, ConfigMapKey, EventTopic, EventType, RegisteredType};

/// How many revisions of an event type's schema are kept.
pub const KEPT: usize = 10;

/// How many different regular expressions all schemas of a topic may have together. Each of them is
/// bounded, and to compile one is what costs most.
const PATTERNS: usize = 128;

const EVENT_TYPES: &str = "spec.eventTypes";

/// How many violations are told at once.
const TOLD: usize = 3;

/// An event type and the schema that is declared for it.
#[derive(Debug)]
pub struct Declaration {
    /// The type.
    pub id: TypeId,
    /// Its schema.
    pub document: Document,
}

/// A revision that is registered. Its schema is read only if something has to be compared with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The type.
    pub id: TypeId,
    /// Its number, counted from 1.
    pub number: i64,
    /// What it is stored as.
    pub object: String,
    /// SHA-256 of its schema's canonical form, in hexadecimal.
    pub hash: String,
    schema: serde_json::Value,
}

/// Something to do to what is registered.
#[derive(Clone, Debug)]
pub enum Step {
    /// Register a revision.
    Register(Revision),
    /// Forget one: there are newer ones enough.
    Forget {
        /// What it is stored as.
        object: String,
    },
}

/// What is to be done, what is refused, and what is registered then.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// In this order.
    pub steps: Vec<Step>,
    /// One for each event type whose schema does not fit. The others are registered all the same.
    pub refusals: Vec<Refusal>,
    /// What is registered after the steps, of the types that are declared.
    pub registered: Vec<RegisteredType>,
}

/// Where the schema of an event type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// There is none.
    None,
    /// Beside the type.
    Inline(&'a serde_json::Map<String, serde_json::Value>),
    /// In a ConfigMap of the same namespace.
    ConfigMap(&'a ConfigMapKey),
}

/// Says where the schema of an event type is.
#[must_use]
pub fn source(declared: &EventType) -> Source<'_> {
    match (&declared.schema, &declared.schema_from) {
        (Some(schema), _) => Source::Inline(schema),
        (None, Some(from)) => Source::ConfigMap(&from.config_map_key_ref),
        (None, None) => Source::None,
    }
}

/// The schemas of event types: those that are usable, and what is wrong with the others. `text`
/// answers what a key of a ConfigMap holds. A type whose name breaks a rule is passed over: other rules
/// tell of it.
pub fn read<'a>(
    event_types: impl IntoIterator<Item = &'a EventType>,
    text: impl Fn(&ConfigMapKey) -> Option<String>,
) -> (Vec<Declaration>, Vec<(TypeId, Refusal)>) {
    let (mut declared, mut refused, mut patterns) = (Vec::new(), Vec::new(), 0);
    for event_type in event_types {
        let Ok(id) = event_type::read(event_type) else { continue };
        let read = if patterns > PATTERNS {
            let detail = format!(
                "{id}: the schemas of one topic may have {PATTERNS} different regular expressions together: write \
                 fewer, or give the type a topic of its own"
            );
            Err(Refusal::at(Reason::SchemaInvalid, EVENT_TYPES, detail))
        } else {
            document(&id, source(event_type), &text)
        };
        match read {
            Ok(None) => {}
            Ok(Some(document)) => {
                patterns += document.pattern_count();
                declared.push(Declaration { id, document });
            }
            Err(refusal) => refused.push((id, refusal)),
        }
    }
    (declared, refused)
}

/// Reads the schema of an event type: `SchemaNotFound` where the ConfigMap has none, `SchemaInvalid`
/// where it is not usable.
fn document(
    id: &TypeId,
    source: Source<'_>,
    text: impl FnOnce(&ConfigMapKey) -> Option<String>,
) -> Result<Option<Document>, Refusal> {
    let about =
        |refusal: Refusal| Refusal::at(refusal.reason, EVENT_TYPES, format!("{id}: {}", refusal.message()));
    match source {
        Source::None => Ok(None),
        Source::Inline(schema) => {
            Document::from_value(&serde_json::Value::Object(schema.clone())).map(Some).map_err(about)
        }
        Source::ConfigMap(from) => {
            let Some(text) = text(from) else {
                return Err(about(Refusal::new(
                    Reason::SchemaNotFound,
                    format!(
                        "schemaFrom: there is no key {} in a ConfigMap {} of this namespace with the label \
                         eventcenter.io/schema: \"true\": make it, or correct the reference",
                        from.key, from.name
                    ),
                )));
            };
            Document::parse(&text).map(Some).map_err(|refusal| {
                about(Refusal::new(
                    refusal.reason,
                    format!("key {} of ConfigMap {}: {}", from.key, from.name, refusal.message()),
                ))
            })
        }
    }
}

/// Whether all declared schemas are the ones that the status says are registered: then nothing has
/// to be read or compared.
#[must_use]
pub fn is_registered(declared: &[Declaration], status: &[RegisteredType]) -> bool {
    declared.len() == status.len() && declared.iter().zip(status).all(|(declared, known)| is(known, declared))
}

/// Whether a schema is the newest that is registered of its type, by what the status says.
#[must_use]
pub fn is_newest(declared: &Declaration, status: &[RegisteredType]) -> bool {
    status.iter().any(|known| is(known, declared))
}

fn is(known: &RegisteredType, declared: &Declaration) -> bool {
    known.name == declared.id.name.as_str()
        && known.version == i64::from(declared.id.version)
        && known.schema_hash == declared.document.hash()
}

/// Compares what is declared with what is registered.
#[must_use]
pub fn register(
    topic: &EventTopic,
    declared: &[Declaration],
    revisions: &[Revision],
    compatibility: Compatibility,
) -> Registration {
    let mut registration = Registration::default();
    let mut budget = Budget::default();
    for Declaration { id, document } in declared {
        let history: Vec<&Revision> = revisions.iter().filter(|revision| revision.id == *id).collect();
        let newest = history.last();
        if let Some(same) = newest.filter(|newest| newest.hash == document.hash()) {
            registration.registered.push(registered(same));
            continue;
        }
        match fits(id, document, &history, compatibility, &mut budget) {
            Ok(()) => {
                let number = newest.map_or(1, |newest| newest.number + 1);
                let revision = Revision::new(id, number, object(topic, id, number), document);
                registration.registered.push(registered(&revision));
                registration.steps.push(Step::Register(revision));
                let surplus = (history.len() + 1).saturating_sub(KEPT);
                let old = history.iter().take(surplus).map(|old| Step::Forget { object: old.object.clone() });
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

/// Whether a new revision fits to those that are registered.
fn fits(
    id: &TypeId,
    document: &Document,
    history: &[&Revision],
    compatibility: Compatibility,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    // The newest counts, and whether something was deprecated for long enough is seen from the last two.
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
    let mut seen = HashSet::new();
    let told: Vec<String> = violations
        .into_iter()
        .map(|mut violation| {
            // By its number: what is forgotten no longer counts.
            let number = numbers.get(violation.revision.saturating_sub(1));
            violation.revision =
                number.and_then(|number| usize::try_from(*number).ok()).unwrap_or(violation.revision);
            violation.to_string()
        })
        .filter(|violation| seen.insert(violation.clone()))
        .collect();
    let more = match told.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more, see eventctl schema check"),
    };
    Err(Refusal::at(
        Reason::SchemaIncompatible,
        EVENT_TYPES,
        format!(
            "the schema of {id} is not compatible with the registered revisions: {}{more}",
            told[..told.len().min(TOLD)].join("; ")
        ),
    ))
}

/// Whether a mode looks at all registered revisions.
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

/// What a revision is stored as: the same name however often it is registered, so that a second
/// time, after a kill, finds the first.
fn object(topic: &EventTopic, id: &TypeId, number: i64) -> String {
    // The uid keeps it apart from what another topic of the same name has left behind.
    let uid = topic.uid().unwrap_or_default();
    let hash = Sha256::digest(format!("{uid}\n{}\n{}", id.name, id.version).as_bytes());
    let short: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    // A name ends at 253 characters, and the topic's is there for people only.
    let name = topic.name_any();
    let name = name[..name.len().min(200)].trim_end_matches(['-', '.']);
    format!("{name}-{short}-{number}")
}

impl Revision {
    /// Reads a revision as it is stored. None if it is not one: somebody else's, or of a later version.
    #[must_use]
    pub fn read(object: String, number: i64, data: &serde_json::Value) -> Option<Self> {
        let name = data.get("eventType")?.as_str()?.parse().ok()?;
        let version = u32::try_from(data.get("version")?.as_u64()?).ok()?;
        let hash = data.get("schemaHash")?.as_str()?.to_owned();
        Some(Self { id: TypeId { name, version }, number, object, hash, schema: data.get("schema")?.clone() })
    }

    /// One that stands for whatever is registered with this schema.
    #[must_use]
    pub fn of(id: &TypeId, document: &Document) -> Self {
        Self::new(id, 1, String::new(), document)
    }

    /// A revision that is not stored yet.
    #[must_use]
    pub fn new(id: &TypeId, number: i64, object: String, document: &Document) -> Self {
        let (hash, schema) = (document.hash().to_owned(), document.value().clone());
        Self { id: id.clone(), number, object, hash, schema }
    }

    /// What is stored of it.
    #[must_use]
    pub fn data(&self) -> serde_json::Value {
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

    fn declared(name: &str, schema: serde_json::Value) -> Declaration {
        let id = TypeId { name: name.parse().expect("a name"), version: 1 };
        Declaration { id, document: Document::from_value(&schema).expect("a schema") }
    }

    /// Registers one declaration after the other, and prints what was done each time.
    fn check(steps: &[&[Declaration]], compatibility: Compatibility, expected: Expect) {
        let (mut revisions, mut lines): (Vec<Revision>, Vec<String>) = (Vec::new(), Vec::new());
        for declared in steps {
            let registration = register(&topic("{}"), declared, &revisions, compatibility);
            for step in registration.steps {
                match step {
                    Step::Register(revision) => {
                        lines.push(format!(
                            "register {} {} as {}",
                            revision.id, revision.number, revision.object
                        ));
                        let stored =
                            Revision::read(revision.object.clone(), revision.number, &revision.data());
                        revisions.push(stored.expect("what was stored can be read"));
                    }
                    Step::Forget { object } => {
                        lines.push(format!("forget {object}"));
                        revisions.retain(|revision| revision.object != object);
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
    fn the_same_again_registers_nothing() {
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
    fn one_that_does_not_fit_is_refused_and_others_are_registered() {
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
    fn the_oldest_are_forgotten() {
        let revisions: Vec<[Declaration; 1]> = (1..=12)
            .map(|number| {
                [declared("Order.Created.v1", json!({"description": format!("revision {number}")}))]
            })
            .collect();
        let steps: Vec<&[Declaration]> = revisions.iter().map(<[Declaration; 1]>::as_slice).collect();
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
                forget orders-27b919818a-1
                registered: Order.Created.v1 11
                register Order.Created.v1 12 as orders-27b919818a-12
                forget orders-27b919818a-2
                registered: Order.Created.v1 12"#]],
        );
    }

    #[test]
    fn what_is_registered_is_told_by_the_status() {
        let order = [declared("Order.Created.v1", first())];
        let registration = register(&topic("{}"), &order, &[], Compatibility::default());
        assert!(is_registered(&order, &registration.registered));
        assert!(!is_registered(&[declared("Order.Created.v1", broken())], &registration.registered));
        assert!(!is_registered(&[], &registration.registered), "one that went is no longer told");
    }

    #[test]
    fn names_are_legal_however_long_the_topics_is() {
        let id = TypeId { name: "Order.Created.v1".parse().expect("a name"), version: 1 };
        let long = topic(&format!("name: {}.{}", "a".repeat(199), "b".repeat(53)));
        let name = object(&long, &id, 1);
        assert!(name.len() <= 253 && !name.contains(".-"), "{name}");
    }

    #[test]
    fn many_schemas_cost_no_more_than_one_may() {
        let event_type = |number: usize| -> EventType {
            let patterns: serde_json::Map<_, _> =
                (0..60).map(|n| (format!("^p{n}x{number}"), json!({}))).collect();
            let schema = json!({"patternProperties": patterns});
            serde_json::from_value(json!({"name": format!("Order.Paid.v{number}"), "schema": schema}))
                .expect("a type")
        };
        let types: Vec<EventType> = (1..=5).map(event_type).collect();
        let (declared, refused) = read(&types, |_| None);
        assert_eq!((declared.len(), refused.len()), (3, 2));
        expect!["SchemaInvalid: spec.eventTypes: Order.Paid.v4: the schemas of one topic may have 128 different regular expressions together: write fewer, or give the type a topic of its own"].assert_eq(&refused[0].1.to_string());
    }
}
