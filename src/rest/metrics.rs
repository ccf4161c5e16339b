//! The metrics of the API.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use eventcenter_sdk::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// The API's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<ResponseLabels, Counter>,
    duration: Family<RouteLabels, Histogram>,
    refused: Family<ReasonLabels, Counter>,
    exported_records: Counter,
}

impl Metrics {
    /// Creates the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            refused: Family::default(),
            exported_records: Counter::default(),
        };
        registry.register("rest_requests", "Requests by route, method and status", metrics.requests.clone());
        registry.register_with_unit(
            "rest_request_duration",
            "Time from the headers of a request to those of its response, without streaming the body",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register(
            "rest_refused",
            "Requests that were not authenticated, not authorized or exceeded the rate limit, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "rest_exported_records",
            "Records sent in exports",
            metrics.exported_records.clone(),
        );
        metrics
    }

    /// Counts a response. `route` is `None` if the path does not exist.
    pub(super) fn count_response(
        &self,
        route: Option<&str>,
        method: &Method,
        status: StatusCode,
        duration: Duration,
    ) {
        let (route, method) = (route.unwrap_or("other").to_owned(), method_label(method));
        let status = status.as_u16();
        let labels = RouteLabels { route: route.clone(), method };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        self.requests.get_or_create(&ResponseLabels { route, method, status }).inc();
    }

    pub(super) fn count_refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
    }

    pub(super) fn count_exported(&self, records: u64) {
        self.exported_records.inc_by(records);
    }
}

/// The method as a label. Callers can invent methods, so unknown ones share a label.
fn method_label(method: &Method) -> &'static str {
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
    fn callers_cannot_invent_labels() {
        let mut registry = Registry::with_prefix("eventcenter");
        let metrics = Metrics::register(&mut registry);
        let strange = Method::from_bytes(b"BREW").unwrap();
        metrics.count_response(None, &strange, StatusCode::METHOD_NOT_ALLOWED, Duration::from_millis(3));
        metrics.count_response(Some("/api/audit/logs/{id}"), &Method::GET, StatusCode::OK, Duration::ZERO);
        metrics.count_refused(Reason::Forbidden);
        metrics.count_exported(7);
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
