//! Keys for seals: the private halves in Secrets of the operator's namespace, a role each, and the public
//! halves in one ConfigMap there.
//!
//! A role that has no key makes one. To change a key its Secret is deleted and the role restarted: what was
//! sealed before counts until the old public half is taken out of the ConfigMap.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::watcher::watch_object;
use serde_json::json;

use super::certificate::told;
use super::write::{WriteError, failed};
use super::{KubeClient, in_time};
use crate::domain::signature::{PublicKeys, SigningKey};

/// The ConfigMap with the public halves.
pub(super) const PUBLIC: &str = "eventcenter-seals";

/// The key in a Secret under which the private half stands.
const SEED: &str = "seed";

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealRole {
    /// The webhook's: who asked and who approved.
    Webhook,
    /// The controllers': what is in force.
    Controllers,
    /// The controllers' for the audit log: how far it goes, and what it said up to there.
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

    /// The name of the Secret that holds the private half.
    #[must_use]
    pub fn secret(self) -> String {
        format!("eventcenter-seal-{}", self.name())
    }
}

/// A key, and whether it is new.
#[derive(Debug)]
pub struct SealKey {
    /// The private half.
    pub key: SigningKey,
    /// Whether nobody knew it before: it was made just now, or its public half was not published yet.
    pub is_new: bool,
}

/// Whose seals are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Of who asked and who approved.
    pub webhook: PublicKeys,
    /// Of what is in force.
    pub controllers: PublicKeys,
    /// How many words stand among the keys of whom that are none.
    pub unreadable: Vec<(SealRole, usize)>,
}

impl TrustedKeys {
    fn read(data: &BTreeMap<String, String>) -> Self {
        let text = |sealer: SealRole| data.get(sealer.name()).map_or("", String::as_str);
        let unreadable = [SealRole::Webhook, SealRole::Controllers, SealRole::Audit]
            .map(|sealer| (sealer, PublicKeys::count_invalid(text(sealer))))
            .into_iter()
            .filter(|(_, count)| *count > 0);
        Self {
            webhook: PublicKeys::parse(text(SealRole::Webhook)),
            controllers: PublicKeys::parse(text(SealRole::Controllers)),
            unreadable: unreadable.collect(),
        }
    }

    /// What whoever has edited the public halves should know.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |(sealer, count): &(SealRole, usize)| {
            format!(
                "{count} of the words in ConfigMap {PUBLIC} under `{}` are no keys (64 hexadecimal digits each); what was signed \
                 with such a key does not count: correct or remove them",
                sealer.name()
            )
        };
        self.unreadable.iter().map(complaint).collect()
    }
}

impl KubeClient {
    /// The key of a role, made if there is none, its public half published.
    ///
    /// # Errors
    /// The API server does not answer, or another replica was faster: then it is worth another try.
    pub async fn ensure_signing_key(&self, sealer: SealRole) -> Result<SealKey, WriteError> {
        let secret = sealer.secret();
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
                tracing::info!(secret, "made a key for seals");
                (SigningKey::from_seed(&seed).expect("written as a key just now"), true)
            }
        };
        let published = self.publish_seal(sealer, &key.public_key()).await?;
        Ok(SealKey { key, is_new: is_new || published })
    }

    /// Publishes a public half. Returns whether it was not there before.
    async fn publish_seal(&self, sealer: SealRole, public: &str) -> Result<bool, WriteError> {
        const WHAT: &str = "publishing a key for seals";
        let maps = self.public_halves();
        let stored = in_time(maps.get_opt(PUBLIC)).await.map_err(failed(WHAT))?;
        let Some(stored) = stored else {
            let map = ConfigMap {
                metadata: ObjectMeta { name: Some(PUBLIC.into()), ..ObjectMeta::default() },
                data: Some(BTreeMap::from([(sealer.name().to_owned(), joined("", public))])),
                ..ConfigMap::default()
            };
            return in_time(maps.create(&PostParams::default(), &map))
                .await
                .map(|_| true)
                .map_err(failed(WHAT));
        };
        let known =
            stored.data.as_ref().and_then(|data| data.get(sealer.name())).cloned().unwrap_or_default();
        if known.split_whitespace().any(|key| key == public) {
            return Ok(false);
        }
        let patch = json!({
            "metadata": {"resourceVersion": stored.metadata.resource_version},
            "data": {sealer.name(): joined(&known, public)},
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        in_time(maps.patch(PUBLIC, &parameters, &patch)).await.map(|_| true).map_err(failed(WHAT))
    }

    /// Whose seals are believed, now and as it changes.
    pub fn watch_trusted_keys(&self) -> impl Stream<Item = TrustedKeys> + Send + use<> {
        let mut complained = Vec::new();
        told("ConfigMap", watch_object(self.public_halves(), PUBLIC)).map(move |found| {
            let seals = TrustedKeys::read(&found.and_then(|map| map.data).unwrap_or_default());
            let complaints = seals.complaints();
            let new = complaints.iter().filter(|complaint| !complained.contains(*complaint));
            new.for_each(|complaint| tracing::warn!("{complaint}"));
            complained = complaints;
            seals
        })
    }

    pub(super) fn public_halves(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Public halves with another one behind them. Whoever has edited those before may have left no end of a line.
fn joined(known: &str, public: &str) -> String {
    let between = if known.is_empty() || known.ends_with(char::is_whitespace) { "" } else { "\n" };
    format!("{known}{between}{public}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_no_keys_are_told() {
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
            let complaints = TrustedKeys::read(&data).complaints();
            assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
            let begins =
                complaints.iter().zip(&expected).all(|(complaint, expected)| complaint.starts_with(expected));
            assert!(begins, "{complaints:?}");
        }
    }

    #[test]
    fn a_key_that_is_added_leaves_those_before_it_as_they_were() {
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
            let joined = joined(&known, &ours);
            assert_eq!(joined, expected, "{known:?}");
            let mut keys = PublicKeys::parse(&known);
            keys.extend(&ours);
            assert_eq!(PublicKeys::parse(&joined), keys, "{known:?}");
        }
    }
}
