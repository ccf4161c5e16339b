//! Signed checkpoints of the audit logs, in a ConfigMap of the operator's namespace: out of reach of whoever has only the
//! database.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::seal_keys::{PUBLIC, SealRole};
use super::session::{Session, SessionError, failed as refused};
use super::write::{WriteError, failed};
use super::{EventRecord, KubeClient, in_time};

/// The ConfigMap: a log's name and its newest checkpoint, a line each.
const CHECKPOINTS: &str = "eventcenter-audit-checkpoints";

/// How much of it is used, in bytes of keys and values. Kubernetes takes 1 MiB of those.
const LARGEST: usize = (1 << 20) - (64 << 10);

/// What is published, as it was read.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The signed notes, by log.
    pub notes: BTreeMap<String, String>,
    /// The public halves of the keys that have signed or sign, as `eventcenter-seals` has them.
    pub keys: String,
    version: Option<String>,
    uid: Option<String>,
}

/// Notes that were not published, because the ConfigMap would be too large: logs that are not in it already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpublished(pub Vec<String>);

impl Published {
    /// Of these notes those that there is room for. One in the place of an older one comes before one that is new.
    fn fitting(
        &self,
        notes: &BTreeMap<String, String>,
        room: usize,
    ) -> (BTreeMap<String, String>, Unpublished) {
        let mut all = self.notes.clone();
        let mut size: usize = all.iter().map(|(log, note)| log.len() + note.len()).sum();
        let (known, new): (Vec<_>, Vec<_>) = notes.iter().partition(|(log, _)| all.contains_key(*log));
        let (mut fitting, mut left) = (BTreeMap::new(), Vec::new());
        for (log, note) in known.into_iter().chain(new) {
            let before = all.get(log).map_or(0, |before| log.len() + before.len());
            let after = size - before + log.len() + note.len();
            if after <= room {
                size = after;
                all.insert(log.clone(), note.clone());
                fitting.insert(log.clone(), note.clone());
            } else {
                left.push(log.clone());
            }
        }
        (fitting, Unpublished(left))
    }
}

impl KubeClient {
    /// The checkpoints that are published, and whose are believed.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_published_checkpoints(&self) -> Result<Published, WriteError> {
        let read = async |name| {
            let map = in_time(self.public_halves().get_opt(name)).await;
            map.map_err(failed("reading the checkpoints of the audit log"))
        };
        let keys = read(PUBLIC).await?.and_then(|map| map.data?.remove(SealRole::Audit.name()));
        let stored = read(CHECKPOINTS).await?;
        Ok(Published {
            keys: keys.unwrap_or_default(),
            version: stored.as_ref().and_then(ResourceExt::resource_version),
            uid: stored.as_ref().and_then(ResourceExt::uid),
            notes: stored.and_then(|map| map.data).unwrap_or_default(),
        })
    }

    /// Publishes checkpoints, all by one write, in the place of those that were read; others stay. Beyond the size that
    /// Kubernetes takes those of logs that are not there already are left out, and returned.
    ///
    /// # Errors
    /// Somebody else has written it meanwhile, or the API server does not answer.
    pub async fn publish_checkpoints(
        &self,
        before: &Published,
        notes: &BTreeMap<String, String>,
    ) -> Result<Unpublished, WriteError> {
        const WHAT: &str = "publishing the checkpoints of the audit log";
        let (notes, left) = before.fitting(notes, LARGEST);
        if notes.is_empty() {
            return Ok(left);
        }
        let maps = self.public_halves();
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
        written.map(|_| left).map_err(failed(WHAT))
    }

    /// Tells something about the published checkpoints, as an Event.
    pub fn publish_checkpoint_event(&self, published: &Published, note: EventRecord) {
        let metadata = ObjectMeta {
            name: Some(CHECKPOINTS.into()),
            namespace: Some(self.namespace().to_owned()),
            uid: published.uid.clone(),
            ..ObjectMeta::default()
        };
        self.publish_event(&ConfigMap { metadata, ..ConfigMap::default() }, note);
    }
}

impl Session {
    /// What is said of the audit logs outside of the database, in the operator's namespace: the published checkpoints by
    /// log, and the public halves of the keys that sign them.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn audit_witness(
        &self,
        namespace: &str,
    ) -> Result<(BTreeMap<String, String>, String), SessionError> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), namespace);
        let read = async |name| {
            let map = in_time(maps.get_opt(name)).await;
            let map = map.map_err(refused("reading the checkpoints of the audit log"))?;
            Ok::<_, SessionError>(map.and_then(|map| map.data).unwrap_or_default())
        };
        let keys = read(PUBLIC).await?.remove(SealRole::Audit.name()).unwrap_or_default();
        Ok((read(CHECKPOINTS).await?, keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_size_logs_that_are_there_already_go_on() {
        let notes = |of: &[(&str, &str)]| -> BTreeMap<String, String> {
            of.iter().map(|(log, note)| ((*log).to_owned(), (*note).to_owned())).collect()
        };
        let published = Published { notes: notes(&[("b", "1111"), ("c", "1111")]), ..Published::default() };
        let asked = notes(&[("a", "2222"), ("b", "22222"), ("d", "2")]);
        let (fits, left) = published.fitting(&asked, 14);
        assert_eq!(fits, notes(&[("b", "22222"), ("d", "2")]));
        assert_eq!(left, Unpublished(vec!["a".into()]), "its note would be over");
        let (fits, left) = published.fitting(&asked, 100);
        assert_eq!((fits, left), (asked, Unpublished::default()));
    }
}
