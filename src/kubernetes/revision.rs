//! Registered revisions of schemas, and declarations that were approved, kept as ControllerRevisions beside the
//! resource they belong to. A label tells the two apart.
//!
//! A ControllerRevision is Kubernetes' own resource for a numbered, unchangeable piece of history: the
//! API server refuses any change of its data, and the garbage collector takes it away with its owner.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde_json::Value;

use super::{KubeClient, WriteError, in_time, write};
use crate::api::{APPROVED_LABEL, REVISION_LABEL};
use crate::domain::approval::SpecHash;

/// A piece of history as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRevision {
    /// The object's name.
    pub name: String,
    /// Its number.
    pub number: i64,
    /// Its content.
    pub data: Value,
}

impl KubeClient {
    /// The history of a resource, oldest first.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_schema_revisions<K>(&self, owner: &K) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(owner, ListParams::default()).await
    }

    /// The history of a resource as the API server has it in memory, oldest first. What was added a
    /// moment ago may be missing, and the answer comes at once: to be certain of the present, an API
    /// server waits up to a tenth of a second for news of a kind that seldom changes.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_recent_schema_revisions<K>(&self, owner: &K) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(owner, ListParams::default().match_any()).await
    }

    async fn list_revisions<K>(&self, owner: &K, how: ListParams) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let revisions = self.revisions_beside(owner);
        let of_owner = how.labels(&format!("{REVISION_LABEL}={}", owner.uid().unwrap_or_default()));
        let list = in_time(revisions.list(&of_owner))
            .await
            .map_err(write::failed("reading the schemas' history"))?;
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

    /// Adds to the history of a resource. That it is there already is no error.
    ///
    /// # Errors
    /// The resource is gone, or the API server does not answer.
    pub async fn create_schema_revision<K>(
        &self,
        owner: &K,
        revision: StoredRevision,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let object = labelled(owner, REVISION_LABEL, revision);
        match in_time(self.revisions_beside(owner).create(&PostParams::default(), &object)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(write::failed("registering a schema")(error)),
        }
    }

    /// Takes a piece of a resource's history away. That it is gone already is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_schema_revision<K>(&self, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.remove("removing an old schema", owner, name).await
    }

    async fn remove<K>(&self, what: &'static str, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        match in_time(self.revisions_beside(owner).delete(name, &DeleteParams::default())).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(write::failed(what)(error)),
        }
    }

    /// Keeps an approved declaration. One of the same name that says something else, or is another resource's, was
    /// not written for it, and is replaced.
    ///
    /// # Errors
    /// The resource is gone, or the API server does not answer.
    pub async fn store_approved_revision<K>(
        &self,
        owner: &K,
        revision: StoredRevision,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        const WHAT: &str = "keeping what is approved";
        let all = self.revisions_beside(owner);
        let object = labelled(owner, APPROVED_LABEL, revision);
        for _ in 0..2 {
            match in_time(all.create(&PostParams::default(), &object)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(write::failed(WHAT)(error)),
            }
            let name = object.metadata.name.as_deref().unwrap_or_default();
            let stored = in_time(all.get_opt(name)).await.map_err(write::failed(WHAT))?;
            let is_it = stored.as_ref().is_some_and(|stored| {
                stored.metadata.deletion_timestamp.is_none()
                    && stored.metadata.owner_references == object.metadata.owner_references
                    && SpecHash::of(&stored.data) == SpecHash::of(&object.data)
                    && stored.labels().get(APPROVED_LABEL) == object.labels().get(APPROVED_LABEL)
            });
            if is_it {
                return Ok(());
            }
            self.remove(WHAT, owner, name).await?;
        }
        Err(WriteError::Conflict { what: WHAT })
    }

    /// What a ControllerRevision beside a resource keeps, whoever has written it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn get_approved_revision<K>(&self, owner: &K, name: &str) -> Result<Option<Value>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let stored = in_time(self.revisions_beside(owner).get_opt(name)).await;
        let stored = stored.map_err(write::failed("reading what is approved"))?;
        Ok(stored.and_then(|stored| stored.data).map(|data| data.0))
    }

    /// The names of the approved declarations that are kept of a resource.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_approved_revisions<K>(&self, owner: &K) -> Result<Vec<String>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let of_owner =
            ListParams::default().labels(&format!("{APPROVED_LABEL}={}", owner.uid().unwrap_or_default()));
        let list = in_time(self.revisions_beside(owner).list_metadata(&of_owner)).await;
        let list = list.map_err(write::failed("reading what is approved"))?;
        Ok(list.items.into_iter().filter_map(|revision| revision.metadata.name).collect())
    }

    /// Takes away an approved declaration that is kept of a resource. That it is gone already is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_approved_revision<K>(&self, owner: &K, name: &str) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.remove("removing what was approved before", owner, name).await
    }

    fn revisions_beside(&self, owner: &impl Resource<DynamicType = ()>) -> Api<ControllerRevision> {
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
