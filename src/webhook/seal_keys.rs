//! The signing key of the webhook, and the keys it trusts.

use std::sync::OnceLock;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::sleep;

use super::self_audit::SelfAudit;
use crate::domain::audit::Action;
use crate::domain::signature::SigningKey;
use crate::kubernetes::{KubeClient, SealKey, SealRole, TrustedKeys, WriteError};

/// The pause after another replica was faster, and after other errors.
const CONFLICT_RETRY: Duration = Duration::from_millis(100);
const ERROR_RETRY: Duration = Duration::from_secs(1);

/// The signing key and the trusted keys; empty at first.
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
    /// The signing key and the trusted keys; `None` until both have been read.
    pub(super) fn get(&self) -> Option<(&SigningKey, TrustedKeys)> {
        let seals = self.seals.borrow().clone();
        self.key.get().filter(|_| !seals.webhook.is_empty()).map(|key| (key, seals))
    }

    /// The keys for a dry run. Its signing key is not secret and its public key is published nowhere, so that a seal of a dry
    /// run is worthless.
    pub(super) fn for_dry_run(&self) -> Self {
        let dry_run = Self::default();
        if let Some((_, mut seals)) = self.get() {
            let key = SigningKey::from_seed(&"0".repeat(64)).expect("a seed of 32 bytes");
            seals.webhook.extend(&key.public_key());
            dry_run.seals.send_replace(seals);
            // It was created without a key.
            drop(dry_run.key.set(key));
        }
        dry_run
    }

    /// Waits until both have been read.
    pub(super) async fn wait_until_available(&self) {
        // The sender is owned by `self`, so it is never closed. The signing key is set before its public key is
        // published.
        drop(self.seals.subscribe().wait_for(|seals| !seals.webhook.is_empty()).await);
    }

    /// Maintains the keys until dropped.
    pub(super) async fn follow(&self, kubernetes: &KubeClient, own: &SelfAudit) {
        let key = ensure_key(kubernetes, own).await;
        // It is set only here.
        drop(self.key.set(key));
        let mut seals = std::pin::pin!(kubernetes.watch_trusted_keys());
        let mut is_reported = false;
        while let Some(seals) = seals.next().await {
            let is_empty = seals.webhook.is_empty();
            if is_empty && !is_reported {
                tracing::warn!(
                    "ConfigMap eventcenter-seals has no key under `webhook`, so nothing can be sealed and reviews are refused: restore the \
                     keys, or restart the webhook, which adds its own"
                );
            }
            is_reported = is_empty;
            self.seals.send_replace(seals);
        }
    }
}

/// Reads or creates the signing key. A new key is recorded.
async fn ensure_key(kubernetes: &KubeClient, own: &SelfAudit) -> SigningKey {
    loop {
        match kubernetes.ensure_signing_key(SealRole::Webhook).await {
            Ok(SealKey { key, is_new: false }) => return key,
            Ok(SealKey { key, is_new: true }) => {
                let message = format!("created a signing key with the public key {}", key.public_key());
                own.record_secret(Action::MakeKey, &SealRole::Webhook.secret(), message).await;
                return key;
            }
            Err(WriteError::Conflict { .. }) => sleep(CONFLICT_RETRY).await,
            Err(error) => {
                tracing::warn!(%error, "the signing key is not available; retrying");
                sleep(ERROR_RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{EventTopic, Kind};
    use crate::domain::approval::Statement;
    use crate::domain::signature::PublicKeys;

    #[test]
    fn a_seal_of_a_dry_run_is_trusted_only_in_dry_runs() {
        let seal_keys = SealKeys::default();
        assert!(seal_keys.for_dry_run().get().is_none(), "not before the key exists");
        let key = SigningKey::from_seed(&"1".repeat(64)).expect("a key");
        let webhook = PublicKeys::parse(&key.public_key());
        seal_keys.seals.send_replace(TrustedKeys { webhook, ..TrustedKeys::default() });
        drop(seal_keys.key.set(key));
        let (kind, at) = (Kind::of::<EventTopic>(), jiff::Timestamp::UNIX_EPOCH);
        let statement =
            Statement::Approved { kind: &kind, uid: "u", hash: "h", generation: 1, revision: None, at };
        let is_trusted = |by: &SealKeys, seal: &str| {
            by.get().is_some_and(|(_, seals)| seals.webhook.verify(&statement, seal))
        };
        let dry_run = seal_keys.for_dry_run();
        let seal = dry_run.get().expect("it exists").0.seal(&statement);
        assert!(is_trusted(&dry_run, &seal) && !is_trusted(&seal_keys, &seal));
        let seal = seal_keys.get().expect("it exists").0.seal(&statement);
        assert!(is_trusted(&dry_run, &seal), "a stored seal is also trusted in a dry run");
    }
}
