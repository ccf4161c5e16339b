//! What the API counts and shows.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    reason: &'static str,
}

/// The API's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<Answer, Counter>,
    duration: Family<Route, Histogram>,
    refused: Family<Why, Counter>,
    exported: Counter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            refused: Family::default(),
            exported: Counter::default(),
        };
        registry.register(
            "rest_requests",
            "Requests that were answered, by route, method and status",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "rest_request_duration",
            "Time from a request's headers to the answer's; what is streamed follows after that",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "rest_refused",
            "Requests of somebody who could not show who they are, asked for what they may not see, or asked too often, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "rest_exported_records",
            "Records that were sent in exports",
            metrics.exported.clone(),
        );
        metrics
    }

    /// A request was answered. The route is none of those that there are if the path is unknown.
    pub(super) fn answered(&self, route: Option<&str>, method: &Method, status: StatusCode, took: Duration) {
        let (route, method) = (route.unwrap_or("other").to_owned(), word(method));
        let status = status.as_u16();
        self.duration.get_or_create(&Route { route: route.clone(), method }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answer { route, method, status }).inc();
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Why { reason }).inc();
    }

    pub(super) fn exported(&self, records: u64) {
        self.exported.inc_by(records);
    }
}

/// Methods are for the caller to invent, and labels are not.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_ours() {
        let mut registry = Registry::with_prefix("eventcenter");
        let metrics = Metrics::register(&mut registry);
        let strange = Method::from_bytes(b"BREW").unwrap();
        metrics.answered(None, &strange, StatusCode::METHOD_NOT_ALLOWED, Duration::from_millis(3));
        metrics.answered(Some("/api/audit/logs/{id}"), &Method::GET, StatusCode::OK, Duration::ZERO);
        metrics.refused("Forbidden");
        metrics.exported(7);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"eventcenter_rest_requests_total{route="other",method="other",status="405"} 1"#,
            r#"eventcenter_rest_requests_total{route="/api/audit/logs/{id}",method="GET",status="200"} 1"#,
            r#"eventcenter_rest_request_duration_seconds_count{route="other",method="other"} 1"#,
            r#"eventcenter_rest_refused_total{reason="Forbidden"} 1"#,
            "eventcenter_rest_exported_records_total 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
