//! The catalog of all declarations, behind one lock.

use parking_lot::{Mutex, MutexGuard};

use crate::domain;

/// The catalog that watches maintain and reconciles read. The lock is held for one call, never across an await.
#[derive(Debug, Default)]
pub(super) struct Catalog(Mutex<domain::Catalog>);

impl Catalog {
    /// Locks the catalog.
    pub(super) fn lock(&self) -> MutexGuard<'_, domain::Catalog> {
        self.0.lock()
    }
}
