//! JSON Schemas: parsing, comparison with another one, and validation of events.

use eventcenter::api::{Compatibility, CompatibilityMode, CompatibilityPolicy};
use eventcenter::domain::schema::{Budget, Document, compare};
use serde_json::Value;

use crate::harness::Target;

/// What 64 compiled regular expressions and the steps of a comparison may take, whatever the size of a schema. The corpus has a
/// schema of 3 kB whose expressions take 48 MB.
const BOUNDED_BYTES: u64 = 64 * 1024 * 1024;

#[test]
fn schemas() {
    let target = Target::new("schema", 1_000, BOUNDED_BYTES);
    target.fuzz(
        |input| Document::parse(&String::from_utf8_lossy(input)),
        |_, document| match document {
            Ok(document) => {
                let again = Document::parse(document.canonical()).expect("the canonical form is a schema");
                assert_eq!((again.hash(), again.canonical()), (document.hash(), document.canonical()));
                assert_eq!(Document::from_value(document.value()).unwrap().hash(), document.hash());
            }
            Err(refusal) => assert!(refusal.to_string().len() < 16 * 1024, "{refusal}"),
        },
    );
}

/// An input is two schemas and an event, a line each.
#[test]
fn comparisons_of_schemas() {
    let target = Target { share: 2, ..Target::new("comparison", 2_000, BOUNDED_BYTES) };
    let full = |policy| Compatibility { mode: CompatibilityMode::FullTransitive, policy };
    target.fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            let mut lines = text.lines();
            let mut document = || Document::parse(lines.next()?).ok();
            let (old, new) = (document()?, document()?);
            let event: Option<Value> = serde_json::from_str(lines.next().unwrap_or_default()).ok();
            let policies = [CompatibilityPolicy::Strict, CompatibilityPolicy::Lenient];
            let found = policies.map(|policy| {
                compare(&new, std::slice::from_ref(&old), full(policy), &mut Budget::default())
            });
            let valid = event.map(|event| [old.validate(&event), new.validate(&event)]);
            Some((old, new, found, valid))
        },
        |_, parsed| {
            let Some((old, new, found, valid)) = parsed else { return };
            let itself = compare(&new, &[&new], full(CompatibilityPolicy::Strict), &mut Budget::default());
            assert_eq!(itself, Ok(Vec::new()), "a schema is compatible with itself");
            let is_compatible = found[0].as_ref().is_ok_and(Vec::is_empty);
            if let Some([Ok(with_old), Ok(with_new)]) = valid
                && is_compatible
            {
                let (old, new) = (old.canonical(), new.canonical());
                assert_eq!(with_old.is_empty(), with_new.is_empty(), "both accept the same: {old} {new}");
            }
        },
    );
}
