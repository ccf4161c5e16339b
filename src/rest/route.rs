//! The one list of paths: the router and the OpenAPI document are made from it.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::audit::{checkpoints, export, logs};
use super::response::ApiError;
use super::schedule::{backfill, nodes, request, runs, tasks};
use super::state::ApiState;
use super::{health, middleware, openapi};

fn paths() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(logs::list))
        .routes(routes!(export::export))
        .routes(routes!(logs::show))
        .routes(routes!(checkpoints::list))
        .routes(routes!(checkpoints::consistency))
        .routes(routes!(tasks::list, tasks::create))
        .routes(routes!(tasks::show, tasks::replace, tasks::patch, tasks::delete))
        .routes(routes!(request::trigger))
        .routes(routes!(backfill::backfill))
        .routes(routes!(runs::list))
        .routes(routes!(runs::show))
        .routes(routes!(runs::log))
        .routes(routes!(request::cancel))
        .routes(routes!(request::rerun))
        .routes(routes!(nodes::list))
        .routes(routes!(description))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

/// The router of the API.
pub(super) fn router(state: ApiState) -> Router {
    Router::from(paths())
        .fallback(async || ApiError::path_not_found())
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(state.clone(), middleware::handle))
        .with_state(state)
}

/// The OpenAPI 3.1 document of the API as indented JSON.
#[must_use]
pub fn document() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let text = paths().into_openapi().to_pretty_json().expect("an OpenAPI document is JSON");
        format!("{text}\n")
    });
    &TEXT
}

/// The OpenAPI 3.1 document of this API.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "description",
    responses((status = 200, description = "This document", body = Object, content_type = "application/json")),
    security(())
)]
async fn description() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read() -> Value {
        serde_json::from_str(document()).unwrap()
    }

    #[test]
    fn it_is_openapi_3_1_with_every_path() {
        let document = read();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "/api/audit/checkpoints",
            "/api/audit/logs",
            "/api/audit/logs/export",
            "/api/audit/logs/{id}",
            "/api/audit/proof/consistency",
            "/api/openapi.json",
            "/api/schedule/job-logs",
            "/api/schedule/job-logs/{run}",
            "/api/schedule/job-logs/{run}/cancel",
            "/api/schedule/job-logs/{run}/log",
            "/api/schedule/job-logs/{run}/rerun",
            "/api/schedule/nodes",
            "/api/schedule/tasks",
            "/api/schedule/tasks/{id}",
            "/api/schedule/tasks/{id}/backfill",
            "/api/schedule/tasks/{id}/trigger",
            "/healthz",
            "/metrics",
            "/readyz",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn every_reference_resolves() {
        fn walk<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    references.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| walk(value, references));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, references)),
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
    fn every_path_about_logs_and_tasks_needs_a_token() {
        let document = read();
        assert_eq!(document["security"], serde_json::json!([{"bearer": []}]));
        for (path, operations) in document["paths"].as_object().unwrap() {
            let needs_token = path.starts_with("/api/audit/") || path.starts_with("/api/schedule/");
            for operation in operations.as_object().unwrap().values() {
                let is_open = operation["security"] == serde_json::json!([{}]);
                assert_eq!(is_open, !needs_token, "{path}");
            }
        }
    }
}
