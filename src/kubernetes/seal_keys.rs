//! Keys for seals: private keys in one Secret for each role, public keys in one ConfigMap, all in the operator's
//! namespace.
//!
//! A role without a key creates one. To rotate a key, delete its Secret and restart the role: old seals stay valid
//! until the old public key is removed from the ConfigMap.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::watcher::watch_object;
use serde_json::json;

use super::KubeClient;
use super::certificate::log_watch_errors;
use super::timeout::in_time;
use super::write::{WriteError, failed};
use crate::domain::signature::{PublicKeys, SigningKey};

/// The ConfigMap with the public keys.
pub(super) const PUBLIC_KEYS: &str = "eventcenter-seals";

/// The key in the Secret's data that holds the private key's seed.
const SEED: &str = "seed";

/// The role that owns a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealRole {
    /// The webhook: seals requests and approvals.
    Webhook,
    /// The controllers: seal active specs.
    Controllers,
    /// The controllers: sign checkpoints of the audit log.
    Audit,
}

impl SealRole {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Controllers => "controllers",
            Self::Audit => "audit",
        }
    }

    /// The name of the Secret with the private key.
    #[must_use]
    pub fn secret(self) -> String {
        format!("eventcenter-seal-{}", self.name())
    }
}

/// A signing key, and whether it is new.
#[derive(Debug)]
pub struct SealKey {
    /// The private key.
    pub key: SigningKey,
    /// Whether it was just created, or its public key was not published yet.
    pub is_new: bool,
}

/// The public keys that verify seals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Verify requests and approvals.
    pub webhook: PublicKeys,
    /// Verify active specs.
    pub controllers: PublicKeys,
    /// The number of words in a role's list that are not valid keys.
    pub unreadable: Vec<(SealRole, usize)>,
}

impl TrustedKeys {
    fn read(data: &BTreeMap<String, String>) -> Self {
        let text = |role: SealRole| data.get(role.name()).map_or("", String::as_str);
        let unreadable = [SealRole::Webhook, SealRole::Controllers, SealRole::Audit]
            .map(|role| (role, PublicKeys::count_invalid(text(role))))
            .into_iter()
            .filter(|(_, count)| *count > 0);
        Self {
            webhook: PublicKeys::parse(text(SealRole::Webhook)),
            controllers: PublicKeys::parse(text(SealRole::Controllers)),
            unreadable: unreadable.collect(),
        }
    }

    /// A message for each role whose list contains invalid keys.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warning = |(role, count): &(SealRole, usize)| {
            format!(
                "{count} of the words in ConfigMap {PUBLIC_KEYS} under `{}` are not keys (64 hexadecimal digits each); what was signed \
                 with such a key does not count: correct or remove them",
                role.name()
            )
        };
        self.unreadable.iter().map(warning).collect()
    }
}

impl KubeClient {
    /// Returns the key of a role; creates it if it does not exist, and publishes its public key.
    ///
    /// # Errors
    /// The API server does not answer, or a conflict with another replica: then try again.
    pub async fn ensure_signing_key(&self, role: SealRole) -> Result<SealKey, WriteError> {
        let secret = role.secret();
        let stored = self.get_certificate_secret(&secret).await?;
        let known = stored
            .as_ref()
            .and_then(|keys| SigningKey::from_seed(&String::from_utf8(keys.data().remove(SEED)?).ok()?).ok());
        let (key, is_new) = match known {
            Some(key) => (key, false),
            None => {
                let mut seed = [0_u8; 32];
                aws_lc_rs::rand::fill(&mut seed).expect("the system has randomness");
                let seed: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
                let data = BTreeMap::from([(SEED.to_owned(), seed.clone().into_bytes())]);
                self.store_certificate_secret(&secret, stored.as_ref(), "Opaque", data).await?;
                tracing::info!(secret, "created a signing key");
                (SigningKey::from_seed(&seed).expect("it was generated as 32 bytes in hex"), true)
            }
        };
        let published = self.publish_public_key(role, &key.public_key()).await?;
        Ok(SealKey { key, is_new: is_new || published })
    }

    /// Publishes a public key. Returns whether it is new.
    async fn publish_public_key(&self, role: SealRole, public: &str) -> Result<bool, WriteError> {
        const WHAT: &str = "publishing a public key";
        let maps = self.public_key_maps();
        let stored = in_time(maps.get_opt(PUBLIC_KEYS)).await.map_err(failed(WHAT))?;
        let Some(stored) = stored else {
            let map = ConfigMap {
                metadata: ObjectMeta { name: Some(PUBLIC_KEYS.into()), ..ObjectMeta::default() },
                data: Some(BTreeMap::from([(role.name().to_owned(), append_key("", public))])),
                ..ConfigMap::default()
            };
            return in_time(maps.create(&PostParams::default(), &map))
                .await
                .map(|_| true)
                .map_err(failed(WHAT));
        };
        let known = stored.data.as_ref().and_then(|data| data.get(role.name())).cloned().unwrap_or_default();
        if known.split_whitespace().any(|key| key == public) {
            return Ok(false);
        }
        let patch = json!({
            "metadata": {"resourceVersion": stored.metadata.resource_version},
            "data": {role.name(): append_key(&known, public)},
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        in_time(maps.patch(PUBLIC_KEYS, &parameters, &patch)).await.map(|_| true).map_err(failed(WHAT))
    }

    /// Watches the public keys that verify seals.
    pub fn watch_trusted_keys(&self) -> impl Stream<Item = TrustedKeys> + Send + use<> {
        let mut complained = Vec::new();
        log_watch_errors("ConfigMap", watch_object(self.public_key_maps(), PUBLIC_KEYS)).map(move |found| {
            let seals = TrustedKeys::read(&found.and_then(|map| map.data).unwrap_or_default());
            let warnings = seals.warnings();
            let new = warnings.iter().filter(|warning| !complained.contains(*warning));
            new.for_each(|warning| tracing::warn!("{warning}"));
            complained = warnings;
            seals
        })
    }

    pub(super) fn public_key_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Appends a public key to a list. A list edited by hand may lack the last line break.
fn append_key(known: &str, public: &str) -> String {
    let between = if known.is_empty() || known.ends_with(char::is_whitespace) { "" } else { "\n" };
    format!("{known}{between}{public}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_keys_are_reported() {
        let key = SigningKey::from_seed(&"1".repeat(64)).expect("a key").public_key();
        for (data, expected) in [
            (vec![("webhook", key.clone()), ("audit", key.clone())], vec![]),
            (
                vec![("webhook", format!("{key} {key}{key}"))],
                vec!["1 of the words in ConfigMap eventcenter-seals under `webhook`"],
            ),
            (
                vec![
                    ("controllers", format!("{key}{key}\nnonsense")),
                    ("audit", "x".to_owned()),
                    ("other", "x".to_owned()),
                ],
                vec![
                    "2 of the words in ConfigMap eventcenter-seals under `controllers`",
                    "1 of the words in ConfigMap eventcenter-seals under `audit`",
                ],
            ),
        ] {
            let data = data.into_iter().map(|(whose, text)| (whose.to_owned(), text)).collect();
            let warnings = TrustedKeys::read(&data).warnings();
            assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
            let begins =
                warnings.iter().zip(&expected).all(|(warning, expected)| warning.starts_with(expected));
            assert!(begins, "{warnings:?}");
        }
    }

    #[test]
    fn appending_a_key_leaves_the_others_unchanged() {
        let public =
            |digit: char| SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key").public_key();
        let (one, two, ours) = (public('1'), public('2'), public('3'));
        for (known, expected) in [
            (String::new(), format!("{ours}\n")),
            ("\n".into(), format!("\n{ours}\n")),
            (one.clone(), format!("{one}\n{ours}\n")),
            (format!("{one}\n"), format!("{one}\n{ours}\n")),
            (format!("{one}\r\n"), format!("{one}\r\n{ours}\n")),
            (format!("{one} "), format!("{one} {ours}\n")),
            (format!("{one}\n{two}"), format!("{one}\n{two}\n{ours}\n")),
            ("nonsense".into(), format!("nonsense\n{ours}\n")),
        ] {
            let joined = append_key(&known, &ours);
            assert_eq!(joined, expected, "{known:?}");
            let mut keys = PublicKeys::parse(&known);
            keys.extend(&ours);
            assert_eq!(PublicKeys::parse(&joined), keys, "{known:?}");
        }
    }
}
