//! Registered schema revisions and approved specs, stored as ControllerRevisions in the namespace of their owner. A
//! label tells the two apart.
//!
//! A ControllerRevision is Kubernetes' own immutable, numbered snapshot: the API server refuses changes of its data,
//! and the garbage collector deletes it with its owner.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

use super::timeout::in_time;
use super::{KubeClient, WriteError, write};
use crate::api::{APPROVED_LABEL, REVISION_LABEL};
use crate::domain::approval::SpecHash;

/// A stored revision.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRevision {
    /// The ControllerRevision's name.
    pub name: String,
    /// The revision number.
    pub number: i64,
    /// The content.
    pub data: Value,
}

impl KubeClient {
    /// The schema revisions of a resource, oldest first.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_schema_revisions<K>(&self, owner: &K) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(owner, ListParams::default()).await
    }

    /// The schema revisions of a resource from the API server's watch cache, oldest first. The newest may be missing,
    /// but the response is immediate: a consistent read of a kind that seldom changes can take a tenth of a second.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_cached_schema_revisions<K>(&self, owner: &K) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(owner, ListParams::default().match_any()).await
    }

    async fn list_revisions<K>(
        &self,
        owner: &K,
        params: ListParams,
    ) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let revisions = self.revisions_of(owner);
        let of_owner = params.labels(&format!("{REVISION_LABEL}={}", owner.uid().unwrap_or_default()));
        let list =
            in_time(revisions.list(&of_owner)).await.map_err(write::failed("listing schema revisions"))?;
        let mut all: Vec<_> = list
            .items
            .into_iter()
            .filter_map(|revision| {
                let data = revision.data?.0;
                Some(StoredRevision { name: revision.metadata.name?, number: revision.revision, data })
            })
            .collect();
        all.sort_by_key(|revision| revision.number);
        Ok(all)
    }

    /// Creates a schema revision; an existing one is no error.
    ///
    /// # Errors
    /// The owner no longer exists, or the API server does not answer.
    pub async fn create_schema_revision<K>(
        &self,
        owner: &K,
        revision: StoredRevision,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let object = labelled(owner, REVISION_LABEL, revision);
        match in_time(self.revisions_of(owner).create(&PostParams::default(), &object)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(write::failed("registering a schema")(error)),
        }
    }

    /// Deletes a schema revision; a missing one is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_schema_revision<K>(&self, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete_revision("removing an old schema", owner, name).await
    }

    async fn delete_revision<K>(&self, what: &'static str, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        match in_time(self.revisions_of(owner).delete(name, &DeleteParams::default())).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(write::failed(what)(error)),
        }
    }

    /// Stores an approved spec. Replaces a revision of the same name that has other content or another owner.
    ///
    /// # Errors
    /// The owner no longer exists, or the API server does not answer.
    pub async fn store_approved_revision<K>(
        &self,
        owner: &K,
        revision: StoredRevision,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        const WHAT: &str = "storing the approved spec";
        let all = self.revisions_of(owner);
        let object = labelled(owner, APPROVED_LABEL, revision);
        for _ in 0..2 {
            match in_time(all.create(&PostParams::default(), &object)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(write::failed(WHAT)(error)),
            }
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let stored = in_time(all.get_opt(name)).await.map_err(write::failed(WHAT))?;
            let is_same = stored.as_ref().is_some_and(|stored| {
                stored.metadata.deletion_timestamp.is_none()
                    && stored.metadata.owner_references == object.metadata.owner_references
                    && SpecHash::of(&stored.data) == SpecHash::of(&object.data)
                    && stored.labels().get(APPROVED_LABEL) == object.labels().get(APPROVED_LABEL)
            });
            if is_same {
                return Ok(());
            }
            self.delete_revision(WHAT, owner, name).await?;
        }
        Err(WriteError::Conflict { what: WHAT })
    }

    /// The content of a ControllerRevision. The caller must verify it: any writer could have created it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_approved_revision<K>(&self, owner: &K, name: &str) -> Result<Option<Value>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let stored = in_time(self.revisions_of(owner).get_opt(name)).await;
        let stored = stored.map_err(write::failed("reading the approved specs"))?;
        Ok(stored.and_then(|stored| stored.data).map(|data| data.0))
    }

    /// The names of a resource's approved specs.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_approved_revisions<K>(&self, owner: &K) -> Result<Vec<String>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let of_owner =
            ListParams::default().labels(&format!("{APPROVED_LABEL}={}", owner.uid().unwrap_or_default()));
        let list = in_time(self.revisions_of(owner).list_metadata(&of_owner)).await;
        let list = list.map_err(write::failed("reading the approved specs"))?;
        Ok(list.items.into_iter().filter_map(|revision| revision.metadata.name).collect())
    }

    /// Deletes an approved spec of a resource; a missing one is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_approved_revision<K>(&self, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.delete_revision("removing an old approved spec", owner, name).await
    }

    fn revisions_of(&self, owner: &impl Resource<DynamicType = ()>) -> Api<ControllerRevision> {
        Api::namespaced(self.client.clone(), &owner.namespace().unwrap_or_default())
    }
}

fn labelled<K>(owner: &K, label: &str, revision: StoredRevision) -> ControllerRevision
where
    K: Resource<DynamicType = ()>,
{
    let reference = OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    };
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(revision.name),
            labels: Some(BTreeMap::from([(label.to_owned(), reference.uid.clone())])),
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        revision: revision.number,
        data: Some(k8s_openapi::apimachinery::pkg::runtime::RawExtension(revision.data)),
    }
}
