//! The public keys that verify checkpoints.

use std::time::Duration;

use eventcenter_sdk::Reason;
use moka::sync::Cache;

use super::cache::expiring_cache;
use super::response::ApiError;
use crate::error_chain::ErrorChain;
use crate::kubernetes::KubeClient;

/// How long the published keys are cached.
const CACHE_TTL: Duration = Duration::from_secs(10);

/// Reads the public keys that the controllers publish.
#[derive(Debug)]
pub(super) struct CheckpointKeys {
    kube: KubeClient,
    cache: Cache<(), String>,
}

impl CheckpointKeys {
    pub(super) fn new(kube: KubeClient) -> Self {
        Self { kube, cache: expiring_cache(1, CACHE_TTL) }
    }

    /// The keys, one per line.
    pub(super) async fn get(&self) -> Result<String, ApiError> {
        if let Some(keys) = self.cache.get(&()) {
            return Ok(keys);
        }
        let published = self.kube.get_published_checkpoints().await.map_err(|error| {
            tracing::warn!(error = %ErrorChain(&error), "reading the keys of checkpoints");
            let text = "the keys of checkpoints are temporarily unavailable: try again later";
            ApiError::new(Reason::AuditUnavailable, text)
        })?;
        self.cache.insert((), published.keys.clone());
        Ok(published.keys)
    }
}
