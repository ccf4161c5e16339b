//! Events.

use std::sync::Arc;

use eventcenter_sdk::{Envelope, EnvelopeError, EventId, KafkaRecord, Reason};
use tokio::time::{Instant, timeout_at};

use super::platform::Platform;
use super::producers::{ProducerError, Producers};
use crate::api::EventTarget;
use crate::domain::Refusal;
use crate::domain::task::permission::check_destination;
use crate::domain::task::work::Destination;
use crate::domain::task::{AttemptEnd, AttemptResult, Run, Work, event};
use crate::domain::tenant::TenantFacts;
use crate::kafka::{Error, ProducerRecord};

/// Publishes events.
pub(super) struct Publisher {
    pub(super) producers: Producers,
    pub(super) platform: Arc<Platform>,
}

impl Publisher {
    /// Publishes the event of a run.
    pub(super) async fn publish(
        &self,
        run: &Run,
        work: &Work,
        attempt: u32,
        target: &EventTarget,
        tenant: &TenantFacts,
        deadline: Instant,
    ) -> AttemptResult {
        let Some(destination) = &work.destination else {
            return AttemptResult::invalid_work("an event without a Kafka topic");
        };
        if let Err(refusal) = check_destination(tenant, &self.platform.clusters(), destination) {
            return AttemptResult::refused(&refusal);
        }
        let (key, envelope) = match envelope(run, work, attempt, target) {
            Ok(rendered) => rendered,
            Err(error) => {
                let refusal = Refusal::at(Reason::InvalidResource, "spec.target.event", error.to_string());
                return AttemptResult::refused(&refusal);
            }
        };
        let KafkaRecord { headers, value } = envelope.into();
        let Destination { cluster, topic } = destination;
        let published = async {
            let producer = self.producers.get(cluster).await.map_err(|error| match &error {
                ProducerError::Refused(refusal) => AttemptResult::refused(refusal),
                ProducerError::Secret { source, .. } => {
                    tracing::warn!(%cluster, error = %source, "an event was not published");
                    AttemptResult::failed(error.to_string())
                }
                ProducerError::Settings { source, .. } => {
                    tracing::warn!(%cluster, error = %source, "an event was not published");
                    AttemptResult::failed(error.to_string())
                }
            })?;
            let record = ProducerRecord { topic: topic.clone(), key, headers, value };
            producer.publish(&record).await.map_err(|error| {
                tracing::info!(%cluster, %topic, run = %run.id, %error, "an event was not published");
                kafka_failure(destination, &error)
            })
        };
        match timeout_at(deadline, published).await {
            Ok(Ok(())) => AttemptResult::with_message(
                AttemptEnd::Succeeded,
                format!("published to the Kafka topic {topic}"),
            ),
            Ok(Err(result)) => result,
            Err(_) => AttemptResult::with_message(
                AttemptEnd::TimedOut,
                format!(
                    "the timeout passed before Kafka had confirmed the event in the topic {topic}; it may be stored nevertheless"
                ),
            ),
        }
    }
}

/// Tenants read the reason, and the message if it is about their topic; addresses and users are the administrator's.
fn kafka_failure(destination: &Destination, error: &Error) -> AttemptResult {
    let Destination { cluster, topic } = destination;
    let detail = match error.reason() {
        Reason::KafkaError | Reason::NotAuthorized => format!(": {error}"),
        _ => String::new(),
    };
    AttemptResult::failed(format!(
        "{}: the event was not published to the topic {topic} of KafkaCluster {cluster}{detail}",
        error.reason()
    ))
}

/// The key and the event of a run. Its id is that of the run in every attempt, so that consumers recognize a repetition.
fn envelope(
    run: &Run,
    work: &Work,
    attempt: u32,
    target: &EventTarget,
) -> Result<(String, Envelope), EnvelopeError> {
    let (key, data) = event::render(target, &work.values(run, attempt));
    let id = EventId::parse(&run.id.to_string())?;
    let source = format!("eventcenter/tasks/{}/{}", run.task.namespace, run.task.name);
    let envelope = Envelope::new(id, target.event_type.clone(), source, run.scheduled_at, data)?
        .with_tenant(run.task.tenant.clone())
        .with_correlation(EventId::parse(&run.chain.to_string())?);
    Ok((key, envelope))
}
