//! Signed checkpoints that a log is compared with.

use super::finding::Finding;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys};

/// Checkpoints with a valid signature.
#[derive(Clone, Debug, Default)]
pub struct TrustedCheckpoints {
    /// Each checkpoint with its source for messages, such as `checkpoint 120 of the ConfigMap`.
    pub checkpoints: Vec<(Checkpoint, String)>,
}

impl TrustedCheckpoints {
    /// Verifies the signatures of notes, each preceded by its source. Returns the trusted checkpoints, and a finding for each
    /// other note.
    #[must_use]
    pub fn verify(
        notes: impl IntoIterator<Item = (String, String)>,
        origin: &str,
        keys: &TrustedKeys,
    ) -> (Self, Vec<Finding>) {
        let (mut trusted, mut untrusted) = (Self::default(), Vec::new());
        for (source, note) in notes {
            match Checkpoint::verify(&note, origin, keys) {
                Ok(checkpoint) => trusted.checkpoints.push((checkpoint, source)),
                Err(error) => {
                    untrusted.push(Finding::UntrustedCheckpoint { source, problem: error.to_string() });
                }
            }
        }
        (trusted, untrusted)
    }
}
