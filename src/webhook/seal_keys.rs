//! The key that this role signs with, and whose seals are believed.

use std::sync::OnceLock;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::sleep;

use super::record::SelfAudit;
use crate::domain::approval::SigningKey;
use crate::domain::audit::Action;
use crate::kubernetes::{KubeClient, SealKey, SealRole, TrustedKeys, WriteError};

/// How long to wait after another replica was faster, and after anything else.
const AT_ONCE: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_secs(1);

/// What seals are made and checked with; nothing at first.
#[derive(Debug)]
pub(super) struct SealKeys {
    key: OnceLock<SigningKey>,
    seals: watch::Sender<TrustedKeys>,
}

impl Default for SealKeys {
    fn default() -> Self {
        Self { key: OnceLock::new(), seals: watch::Sender::new(TrustedKeys::default()) }
    }
}

impl SealKeys {
    /// The key and whom to believe, or nothing as long as one of them has not been read.
    pub(super) fn now(&self) -> Option<(&SigningKey, TrustedKeys)> {
        let seals = self.seals.borrow().clone();
        self.key.get().filter(|_| !seals.webhook.is_empty()).map(|key| (key, seals))
    }

    /// The same for a request of which nothing is going to be stored. Its key is no secret and its public half is
    /// published nowhere: what a dry run has sealed is worth nothing to anybody who keeps it.
    pub(super) fn rehearsal(&self) -> Self {
        let rehearsal = Self::default();
        if let Some((_, mut seals)) = self.now() {
            let key = SigningKey::of_seed(&"0".repeat(64)).expect("a seed of 32 bytes");
            seals.webhook.extend(&key.public());
            rehearsal.seals.send_replace(seals);
            // It has just been made without one.
            drop(rehearsal.key.set(key));
        }
        rehearsal
    }

    /// Waits until seals can be made and checked.
    pub(super) async fn complete(&self) {
        // The sender lives as long as this. A key is there before its public half is.
        drop(self.seals.subscribe().wait_for(|seals| !seals.webhook.is_empty()).await);
    }

    /// Keeps it true for as long as it is polled.
    pub(super) async fn keep(&self, kubernetes: &KubeClient, own: &SelfAudit) {
        let key = obtain(kubernetes, own).await;
        // Nobody else sets it.
        drop(self.key.set(key));
        let mut seals = std::pin::pin!(kubernetes.watch_trusted_keys());
        let mut is_told = false;
        while let Some(seals) = seals.next().await {
            let is_empty = seals.webhook.is_empty();
            if is_empty && !is_told {
                tracing::warn!(
                    "there is no key in ConfigMap eventcenter-seals under `webhook`, so nothing can be sealed and reviews are \
                     refused: put the keys back, or restart the webhook, which adds its own"
                );
            }
            is_told = is_empty;
            self.seals.send_replace(seals);
        }
    }
}

/// The key. One that nobody knew before is recorded.
async fn obtain(kubernetes: &KubeClient, own: &SelfAudit) -> SigningKey {
    loop {
        match kubernetes.ensure_signing_key(SealRole::Webhook).await {
            Ok(SealKey { key, is_new: false }) => return key,
            Ok(SealKey { key, is_new: true }) => {
                let message = format!("a new key for signatures, with the public half {}", key.public());
                own.did(Action::MakeKey, &SealRole::Webhook.secret(), message).await;
                return key;
            }
            Err(WriteError::Conflict { .. }) => sleep(AT_ONCE).await,
            Err(error) => {
                tracing::warn!(%error, "the key for seals");
                sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GovernedKind;
    use crate::domain::approval::{PublicKeys, Statement};

    #[test]
    fn what_a_dry_run_seals_counts_in_dry_runs_only() {
        let seal_keys = SealKeys::default();
        assert!(seal_keys.rehearsal().now().is_none(), "not before the key is there");
        let key = SigningKey::of_seed(&"1".repeat(64)).expect("a key");
        let webhook = PublicKeys::read(&key.public());
        seal_keys.seals.send_replace(TrustedKeys { webhook, ..TrustedKeys::default() });
        drop(seal_keys.key.set(key));
        let (kind, at) = (GovernedKind::EventTopic, jiff::Timestamp::UNIX_EPOCH);
        let statement = Statement::Approved { kind, uid: "u", hash: "h", generation: 1, revision: None, at };
        let believed = |by: &SealKeys, seal: &str| {
            by.now().is_some_and(|(_, seals)| seals.webhook.verify(&statement, seal))
        };
        let rehearsal = seal_keys.rehearsal();
        let seal = rehearsal.now().expect("it is there").0.seal(&statement);
        assert!(believed(&rehearsal, &seal) && !believed(&seal_keys, &seal));
        let seal = seal_keys.now().expect("it is there").0.seal(&statement);
        assert!(believed(&rehearsal, &seal), "what is stored counts in a dry run as well");
    }
}
