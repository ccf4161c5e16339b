//! Which tenant owns a namespace.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::api::Tenant;
use crate::domain::tenant::Tenants;
use crate::kubernetes::KubeClient;
use crate::rest::cache::expiring_cache;
use crate::rest::response::ApiError;

/// How long the tenants are cached. A namespace that moves to another tenant is that of the old one for this long.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// The tenants, read from the API server.
#[derive(Debug)]
pub(super) struct Directory {
    kube: KubeClient,
    tenants: Cache<(), Arc<Tenants>>,
}

impl Directory {
    pub(super) fn new(kube: KubeClient) -> Self {
        Self { kube, tenants: expiring_cache(1, CACHE_TTL) }
    }

    /// The valid tenants.
    pub(super) async fn tenants(&self) -> Result<Arc<Tenants>, ApiError> {
        if let Some(tenants) = self.tenants.get(&()) {
            return Ok(tenants);
        }
        let listed = self.kube.list::<Tenant>().await.map_err(|error| ApiError::read_failed(&error))?;
        let valid: Vec<Tenant> = listed.into_iter().filter_map(|tenant| tenant.0.ok()).collect();
        let tenants = Arc::new(Tenants::of(&valid));
        self.tenants.insert((), Arc::clone(&tenants));
        Ok(tenants)
    }
}
