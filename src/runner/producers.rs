//! One producer for each KafkaCluster to which events are published.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::ClusterName;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::platform::Platform;
use crate::domain::Refusal;
use crate::kafka::{Error, Metrics, Producer, SecretKeys, SecretTexts, Settings};
use crate::kubernetes::{KubeClient, SecretError};

/// How long the settings of a producer are used without reading the Secrets again.
const SETTINGS_AGE: Duration = Duration::from_secs(10);
/// Delay before a request is repeated that the API server did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Why there is no producer for a cluster.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProducerError {
    /// There is no such KafkaCluster.
    #[error("{0}")]
    Refused(Refusal),
    /// A Secret of the cluster cannot be read. Its name is not for tenants.
    #[error("the credentials of KafkaCluster {cluster} cannot be read: ask the platform's administrator")]
    Secret { cluster: ClusterName, source: SecretError },
    /// The settings of the cluster are invalid.
    #[error("the settings of KafkaCluster {cluster} are invalid: ask the platform's administrator")]
    Settings { cluster: ClusterName, source: Error },
}

/// The producers.
pub(super) struct Producers {
    kubernetes: KubeClient,
    platform: Arc<Platform>,
    metrics: Metrics,
    all: Mutex<HashMap<ClusterName, Arc<Mutex<Option<Current>>>>>,
}

struct Current {
    producer: Arc<Producer>,
    settings: Settings,
    read: Instant,
}

impl Producers {
    pub(super) fn new(kubernetes: KubeClient, platform: Arc<Platform>, metrics: Metrics) -> Self {
        Self { kubernetes, platform, metrics, all: Mutex::default() }
    }

    /// The producer of a cluster, with its current settings. Waits while the API server does not answer and no producer exists.
    pub(super) async fn get(&self, name: &ClusterName) -> Result<Arc<Producer>, ProducerError> {
        let slot = {
            let mut all = self.all.lock().await;
            // The connections to removed clusters are closed.
            all.retain(|cluster, _| self.platform.cluster(cluster).is_some());
            Arc::clone(all.entry(name.clone()).or_default())
        };
        let mut current = slot.lock().await;
        if let Some(current) = &*current
            && current.read.elapsed() < SETTINGS_AGE
        {
            return Ok(Arc::clone(&current.producer));
        }
        loop {
            match (self.read_settings(name).await, &mut *current) {
                (Ok(settings), Some(before)) if before.settings == settings => {
                    before.read = Instant::now();
                    return Ok(Arc::clone(&before.producer));
                }
                (Ok(settings), _) => {
                    let producer = Producer::connect(name, &settings, &self.metrics);
                    let producer = producer
                        .map_err(|source| ProducerError::Settings { cluster: name.clone(), source })?;
                    let producer = Arc::new(producer);
                    *current =
                        Some(Current { producer: Arc::clone(&producer), settings, read: Instant::now() });
                    return Ok(producer);
                }
                (Err(ProducerError::Secret { source, .. }), before) if source.is_temporary() => {
                    if let Some(before) = before {
                        return Ok(Arc::clone(&before.producer));
                    }
                    sleep(RETRY_DELAY).await;
                }
                (Err(error), _) => return Err(error),
            }
        }
    }

    async fn read_settings(&self, name: &ClusterName) -> Result<Settings, ProducerError> {
        let cluster = self.platform.cluster(name).ok_or_else(|| {
            ProducerError::Refused(Refusal::new(
                Reason::ClusterNotFound,
                format!(
                    "there is no KafkaCluster {name}: name another cluster in the EventTopic, or create it"
                ),
            ))
        })?;
        let mut texts = SecretTexts::new();
        for SecretKeys { name: secret, keys } in Settings::secrets(&cluster) {
            let names: Vec<&str> = keys.iter().map(String::as_str).collect();
            let read = self.kubernetes.read_secret(self.kubernetes.namespace(), &secret, &names).await;
            let read = read.map_err(|source| ProducerError::Secret { cluster: name.clone(), source })?;
            texts.extend(keys.into_iter().zip(read).map(|(key, text)| ((secret.clone(), key), text)));
        }
        Ok(Settings::of(&cluster, &texts))
    }
}
