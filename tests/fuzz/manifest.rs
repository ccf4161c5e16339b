//! Manifests that `eventctl` reads, in YAML or JSON.

use std::thread;

use eventcenter::ctl::{parse_manifests, parse_yaml};
use eventcenter::domain::lint::{self, FieldPath};
use serde_json::Value;

use crate::harness::Target;

/// The stack of a main thread on Linux, where `eventctl` reads manifests. Without optimizations, 60 levels of nesting take more
/// than the 2 MiB of a test's thread.
const MAIN_STACK_BYTES: usize = 8 * 1024 * 1024;

fn on_main_stack(test: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let thread = thread::Builder::new().name(name).stack_size(MAIN_STACK_BYTES).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Aliases repeat what they name: the parsers bound how often.
const ALIASED_BYTES: u64 = 16 * 1024 * 1024;

#[test]
fn manifests_with_positions() {
    on_main_stack(|| {
        Target::new("manifest", 1_000, ALIASED_BYTES).fuzz(
            |input| parse_manifests(&String::from_utf8_lossy(input)),
            |input, manifests| match manifests {
                Ok(manifests) => {
                    for manifest in manifests {
                        assert!(manifest.object.is_object());
                        let root = manifest.position(&FieldPath::default());
                        assert!(root.line >= 1 && root.line <= input.len() as u64 + 1, "{root:?}");
                        for field in manifest.repeated_keys() {
                            assert!(manifest.position(&field) >= root, "{field}");
                        }
                    }
                }
                Err(error) => assert!(error.len() < 4_096, "{error}"),
            },
        );
    });
}

#[test]
fn values_in_yaml() {
    on_main_stack(|| {
        Target::new("manifest", 1_000, ALIASED_BYTES).fuzz(
            |input| parse_yaml(&String::from_utf8_lossy(input)),
            |_, value| {
                if let Ok(value) = value {
                    let json = serde_json::to_string(&value).unwrap();
                    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
                }
            },
        );
    });
}

#[test]
fn manifests_that_are_linted() {
    on_main_stack(|| {
        let target = Target { share: 8, ..Target::new("manifest", 2_000, ALIASED_BYTES) };
        target.fuzz(
            |input| {
                let manifests = parse_manifests(&String::from_utf8_lossy(input)).ok()?;
                let inputs: Vec<lint::Manifest<'_>> = manifests
                    .iter()
                    .map(|manifest| lint::Manifest { object: &manifest.object, repeated_keys: Vec::new() })
                    .collect();
                Some((inputs.len(), lint::lint(&inputs, &[])))
            },
            |_, linted| {
                let Some((count, reports)) = linted else { return };
                assert!(reports.len() <= count);
                for diagnostic in reports.iter().flat_map(|report| &report.diagnostics) {
                    assert!(!diagnostic.message.is_empty());
                }
            },
        );
    });
}
