//! What all declarations together say, behind one lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain;

/// The world as watches keep it true and reconciles read it. The lock is held for one question at
/// a time and never over an await.
#[derive(Debug, Default)]
pub(super) struct World(Mutex<domain::World>);

impl World {
    /// The world as it is now.
    pub(super) fn now(&self) -> MutexGuard<'_, domain::World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
