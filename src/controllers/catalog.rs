//! What all declarations together say, behind one lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain;

/// The catalog as watches keep it true and reconciles read it. The lock is held for one question at
/// a time and never over an await.
#[derive(Debug, Default)]
pub(super) struct Catalog(Mutex<domain::Catalog>);

impl Catalog {
    /// The catalog as it is now.
    pub(super) fn lock(&self) -> MutexGuard<'_, domain::Catalog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
