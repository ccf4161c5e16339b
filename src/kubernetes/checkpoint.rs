//! Signed checkpoints of the audit logs, in a ConfigMap of the operator's namespace: write access to the database does
//! not reach them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::seal_keys::{PUBLIC_KEYS, SealRole};
use super::session::{Session, SessionError, failed as refused};
use super::timeout::in_time;
use super::write::{WriteError, failed};
use super::{EventRecord, KubeClient};

/// The ConfigMap that maps each log's name to its newest checkpoint.
const CHECKPOINTS: &str = "eventcenter-audit-checkpoints";

/// Upper bound of its keys and values; Kubernetes accepts 1 MiB.
const MAX_CONFIG_MAP_BYTES: usize = (1 << 20) - (64 << 10);

/// The published checkpoints as they were read.
#[derive(Clone, Debug, Default)]
pub struct PublishedCheckpoints {
    /// The signed notes, by log.
    pub notes: BTreeMap<String, String>,
    /// The public keys of all signers, as `eventcenter-seals` has them.
    pub keys: String,
    version: Option<String>,
    uid: Option<String>,
}

/// Logs whose checkpoints were not published because the ConfigMap is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnpublishedLogs(pub Vec<String>);

impl PublishedCheckpoints {
    /// The notes that fit. A note that replaces an older one comes before that of a new log.
    fn select_fitting(
        &self,
        notes: &BTreeMap<String, String>,
        room: usize,
    ) -> (BTreeMap<String, String>, UnpublishedLogs) {
        let mut all = self.notes.clone();
        let mut size: usize = all.iter().map(|(log, note)| log.len() + note.len()).sum();
        let (known, new): (Vec<_>, Vec<_>) = notes.iter().partition(|(log, _)| all.contains_key(*log));
        let (mut fitting, mut unpublished) = (BTreeMap::new(), Vec::new());
        for (log, note) in known.into_iter().chain(new) {
            let before = all.get(log).map_or(0, |before| log.len() + before.len());
            let after = size - before + log.len() + note.len();
            if after <= room {
                size = after;
                all.insert(log.clone(), note.clone());
                fitting.insert(log.clone(), note.clone());
            } else {
                unpublished.push(log.clone());
            }
        }
        (fitting, UnpublishedLogs(unpublished))
    }
}

impl KubeClient {
    /// The published checkpoints, and the keys that verify them.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_published_checkpoints(&self) -> Result<PublishedCheckpoints, WriteError> {
        let read = async |name| {
            let map = in_time(self.public_key_maps().get_opt(name)).await;
            map.map_err(failed("reading the checkpoints of the audit log"))
        };
        let keys = read(PUBLIC_KEYS).await?.and_then(|map| map.data?.remove(SealRole::Audit.name()));
        let stored = read(CHECKPOINTS).await?;
        Ok(PublishedCheckpoints {
            keys: keys.unwrap_or_default(),
            version: stored.as_ref().and_then(ResourceExt::resource_version),
            uid: stored.as_ref().and_then(ResourceExt::uid),
            notes: stored.and_then(|map| map.data).unwrap_or_default(),
        })
    }

    /// Publishes checkpoints with one write; those of other logs stay. Returns the logs that did not fit into the
    /// ConfigMap: those that it did not have before.
    ///
    /// # Errors
    /// The ConfigMap has changed meanwhile, or the API server does not answer.
    pub async fn publish_checkpoints(
        &self,
        before: &PublishedCheckpoints,
        notes: &BTreeMap<String, String>,
    ) -> Result<UnpublishedLogs, WriteError> {
        const WHAT: &str = "publishing the checkpoints of the audit log";
        let (notes, unpublished) = before.select_fitting(notes, MAX_CONFIG_MAP_BYTES);
        if notes.is_empty() {
            return Ok(unpublished);
        }
        let maps = self.public_key_maps();
        let written = match &before.version {
            None => {
                let metadata = ObjectMeta { name: Some(CHECKPOINTS.into()), ..ObjectMeta::default() };
                let map = ConfigMap { metadata, data: Some(notes), ..ConfigMap::default() };
                in_time(maps.create(&PostParams::default(), &map)).await
            }
            Some(version) => {
                let patch = json!({"metadata": {"resourceVersion": version}, "data": notes});
                let patch = Patch::Merge(patch);
                in_time(maps.patch(CHECKPOINTS, &PatchParams::default(), &patch)).await
            }
        };
        written.map(|_| unpublished).map_err(failed(WHAT))
    }

    /// Publishes an Event about the ConfigMap of the checkpoints.
    pub fn publish_checkpoint_event(&self, published: &PublishedCheckpoints, event: EventRecord) {
        let metadata = ObjectMeta {
            name: Some(CHECKPOINTS.into()),
            namespace: Some(self.namespace().to_owned()),
            uid: published.uid.clone(),
            ..ObjectMeta::default()
        };
        self.publish_event(&ConfigMap { metadata, ..ConfigMap::default() }, event);
    }
}

impl Session {
    /// The checkpoints by log that the operator in `namespace` has published, and the public keys that verify them.
    ///
    /// # Errors
    /// The API server does not answer, or denies access.
    pub async fn get_published_checkpoints(
        &self,
        namespace: &str,
    ) -> Result<(BTreeMap<String, String>, String), SessionError> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let read = async |name| {
            let map = in_time(maps.get_opt(name)).await;
            let map = map.map_err(refused("reading the checkpoints of the audit log"))?;
            Ok::<_, SessionError>(map.and_then(|map| map.data).unwrap_or_default())
        };
        let keys = read(PUBLIC_KEYS).await?.remove(SealRole::Audit.name()).unwrap_or_default();
        Ok((read(CHECKPOINTS).await?, keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_config_map_still_updates_its_logs() {
        let notes = |of: &[(&str, &str)]| -> BTreeMap<String, String> {
            of.iter().map(|(log, note)| ((*log).to_owned(), (*note).to_owned())).collect()
        };
        let published = PublishedCheckpoints {
            notes: notes(&[("b", "1111"), ("c", "1111")]),
            ..PublishedCheckpoints::default()
        };
        let asked = notes(&[("a", "2222"), ("b", "22222"), ("d", "2")]);
        let (fits, unpublished) = published.select_fitting(&asked, 14);
        assert_eq!(fits, notes(&[("b", "22222"), ("d", "2")]));
        assert_eq!(unpublished, UnpublishedLogs(vec!["a".into()]), "its note exceeds the bound");
        let (fits, unpublished) = published.select_fitting(&asked, 100);
        assert_eq!((fits, unpublished), (asked, UnpublishedLogs::default()));
    }
}
