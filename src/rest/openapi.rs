//! The description of the API, made from what answers it.

use std::sync::LazyLock;

use eventcenter_sdk::rest::audit::ExportFormat;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::audit::{checkpoints, export, logs};
use super::{health, route};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "eventcenter",
        description = "The audit log of eventcenter: everything that was asked, approved and done, with proofs. \
                       Answers are `{code, message, data}`; failures have the HTTP status that fits and a `reason` that \
                       is the same word in Kubernetes, metrics and records.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        logs::list,
        logs::show,
        export::export,
        checkpoints::list,
        checkpoints::consistency,
        route::description,
        health::healthz,
        health::readyz,
        health::metrics,
    ),
    components(schemas(ExportFormat)),
    tags(
        (name = "audit", description = "The audit log. A caller reads the logs that Kubernetes' RBAC gives them: verb \
                                        `get` on `tenants/audit` of `eventcenter.io`, and `list` to export."),
        (name = "description", description = "This document"),
        (name = "health", description = "For probes and monitoring"),
    ),
    security(("bearer" = [])),
    modifiers(&Bearer),
)]
struct Described;

/// Tokens of Kubernetes.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let description = "A token that Kubernetes accepts, such as `kubectl create token NAME` makes";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The description as OpenAPI 3.1, a line an entry.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let text = Described::openapi().to_pretty_json().expect("a description is JSON");
        format!("{text}\n")
    });
    &TEXT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn read() -> Value {
        serde_json::from_str(document()).unwrap()
    }

    #[test]
    fn it_is_openapi_3_1_with_every_route() {
        let document = read();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        // The routes, as the router is given them.
        let source = include_str!("route.rs");
        let routes: BTreeSet<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once('"'))
            .map(|(path, _)| path)
            .collect();
        assert_eq!(paths.into_iter().collect::<BTreeSet<_>>(), routes);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = read();
        let mut references = Vec::new();
        walk(&document, &mut references);
        assert!(references.len() > 10);
        for reference in references {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }

    #[test]
    fn a_token_is_needed_for_all_that_is_about_logs() {
        let document = read();
        assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
        for (path, operations) in document["paths"].as_object().unwrap() {
            let open = operations["get"]["security"] == serde_json::json!([{}]);
            assert_eq!(open, !path.starts_with("/api/audit/"), "{path}");
        }
    }
}
