//! The connection to one Kafka cluster: its client, and the metrics and logs of its requests.

use std::sync::Arc;
use std::time::Duration;

use eventcenter_kafka_admin::{AdminClient, ClientEvent, ErrorCode, ItemResults, RequestError};
use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use tokio::time::Instant;

use super::error::Error;
use super::metrics::Metrics;
use super::settings::Settings;

/// The timeout of one request. A slow broker gets this much time; after it the operation is retried later.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// The client of one cluster, with the metrics of its requests.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: Arc<AdminClient>,
    pub(super) cluster: ClusterName,
    metrics: Metrics,
}

impl Connection {
    /// Creates the client. It sends nothing yet.
    ///
    /// # Errors
    /// The client refuses the settings.
    pub(super) fn new(cluster: &ClusterName, settings: &Settings, metrics: &Metrics) -> Result<Self, Error> {
        Self::with_properties(cluster, settings, &[], metrics)
    }

    /// Creates the client with further properties of librdkafka. It sends nothing yet.
    ///
    /// # Errors
    /// The client refuses the settings.
    pub(super) fn with_properties(
        cluster: &ClusterName,
        settings: &Settings,
        further: &[(String, String)],
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let name = cluster.clone();
        let mut properties = settings.properties();
        properties.extend_from_slice(further);
        let client = AdminClient::new(&properties, move |event| log_event(&name, event))?;
        Ok(Self { client: Arc::new(client), cluster: cluster.clone(), metrics: metrics.clone() })
    }

    /// Awaits a request and records its metrics; logs its failure.
    pub(super) async fn send<T>(
        &self,
        operation: &'static str,
        topics: usize,
        request: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let result = request.await.map_err(Error::from);
        let outcome = result.as_ref().map_or_else(|error| error.reason().as_str(), |_| "success");
        let seconds = start.elapsed().as_secs_f64();
        self.metrics.record_request(self.cluster.as_ref(), operation, outcome, topics, seconds);
        if let Err(error) = &result
            // The topics that declare access report a missing authorizer.
            && error.reason() != Reason::AuthorizerMissing
        {
            tracing::warn!(cluster = %self.cluster, operation, topics, %error, "Kafka request failed");
        }
        result
    }

    /// Like [`Connection::send`], for a request of several items. If the whole request fails, each item gets its error.
    pub(super) async fn send_batch<T>(
        &self,
        operation: &'static str,
        items: usize,
        request: impl Future<Output = Result<ItemResults<T>, RequestError>>,
    ) -> Vec<Result<T, Error>> {
        match self.send(operation, items, request).await {
            Ok(results) => results
                .into_iter()
                .map(|result| result.map_err(|source| Error::Broker { operation, source }))
                .collect(),
            Err(error) => std::iter::repeat_with(|| Err(error.clone())).take(items).collect(),
        }
    }
}

/// Logs what a client says about its connections.
pub(super) fn log_event(cluster: &ClusterName, event: ClientEvent) {
    match event {
        ClientEvent::Log { level, facility, message } if level <= 4 => {
            tracing::warn!(%cluster, facility, "{message}");
        }
        ClientEvent::Log { facility, message, .. } => tracing::debug!(%cluster, facility, "{message}"),
        // Repeated with every connection attempt while a broker is away; the requests that fail report the reason.
        ClientEvent::Error { code: ErrorCode::ALL_BROKERS_DOWN, message } => {
            tracing::debug!(%cluster, "{message}")
        }
        ClientEvent::Error { code, message } => tracing::warn!(%cluster, code = %code.name(), "{message}"),
        _ => {}
    }
}
