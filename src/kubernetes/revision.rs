//! Registered schema revisions and approved specs, stored as ControllerRevisions in the namespace of their resource. A
//! label tells the two apart.
//!
//! A ControllerRevision is Kubernetes' own immutable, numbered snapshot: the API server refuses changes of its data. The
//! garbage collector deletes an approved spec with its resource; a schema belongs to the Kafka topic and is deleted with that.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::timeout::in_time;
use super::{KubeClient, WriteError, write};
use crate::api::{APPROVED_LABEL, KAFKA_TOPIC_LABEL, REVISION_LABEL};
use crate::domain::approval::SpecHash;
use crate::domain::topic::SchemaHistory;

/// A schema revision that is deleted with its resource, as an older version stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRevision {
    /// The ControllerRevision's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid of the resource.
    pub uid: String,
}

/// A stored revision.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRevision {
    /// The ControllerRevision's namespace.
    pub namespace: String,
    /// The ControllerRevision's name.
    pub name: String,
    /// The revision number.
    pub number: i64,
    /// The content.
    pub data: Value,
}

impl KubeClient {
    /// The schema revisions of a Kafka topic, oldest first, and those of its resource that were stored by an older version.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_schema_revisions<K>(
        &self,
        resource: &K,
        history: &SchemaHistory,
    ) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(resource, history, &ListParams::default()).await
    }

    /// The same from the API server's watch cache. The newest may be missing, but the response is immediate: a consistent
    /// read of a kind that seldom changes can take a tenth of a second.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_cached_schema_revisions<K>(
        &self,
        resource: &K,
        history: &SchemaHistory,
    ) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        self.list_revisions(resource, history, &ListParams::default().match_any()).await
    }

    async fn list_revisions<K>(
        &self,
        resource: &K,
        history: &SchemaHistory,
        params: &ListParams,
    ) -> Result<Vec<StoredRevision>, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let (own, uid) = (resource.namespace().unwrap_or_default(), resource.uid().unwrap_or_default());
        // The admission policy protects revisions with the other label.
        let of_topic = format!("{KAFKA_TOPIC_LABEL}={},{REVISION_LABEL}", history.topic_label);
        let of_resource = format!("{REVISION_LABEL}={uid},!{KAFKA_TOPIC_LABEL}");
        let mut selections: Vec<(&String, &str)> =
            history.namespaces.iter().map(|namespace| (namespace, of_topic.as_str())).collect();
        selections.extend((!uid.is_empty()).then_some((&own, of_resource.as_str())));
        let lists = selections.into_iter().map(|(namespace, labels)| async move {
            let revisions = self.revisions_in(namespace);
            in_time(revisions.list(&params.clone().labels(labels))).await
        });
        let lists = try_join_all(lists).await.map_err(write::failed("listing schema revisions"))?;
        let mut all: Vec<_> = lists
            .into_iter()
            .flatten()
            .filter_map(|revision| {
                let data = revision.data?.0;
                let namespace = revision.metadata.namespace?;
                Some(StoredRevision {
                    namespace,
                    name: revision.metadata.name?,
                    number: revision.revision,
                    data,
                })
            })
            .collect();
        all.sort_by_key(|revision| revision.number);
        Ok(all)
    }

    /// Creates a schema revision, which outlives the resource; an existing one is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn create_schema_revision<K>(
        &self,
        resource: &K,
        history: &SchemaHistory,
        revision: StoredRevision,
    ) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let labels = [
            (REVISION_LABEL.to_owned(), resource.uid().unwrap_or_default()),
            (KAFKA_TOPIC_LABEL.to_owned(), history.topic_label.clone()),
        ];
        let revisions = self.revisions_in(&revision.namespace);
        let object = controller_revision(revision, labels.into(), None);
        match in_time(revisions.create(&PostParams::default(), &object)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(write::failed("registering a schema")(error)),
        }
    }

    /// Deletes a schema revision; a missing one is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_schema_revision(&self, namespace: &str, name: &str) -> Result<(), WriteError> {
        self.delete_revision("removing an old schema", namespace, name).await
    }

    /// The schema revisions that an older version stored, which are deleted with their resource: namespace, name and the uid of
    /// the resource.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_owned_schema_revisions(&self) -> Result<Vec<OwnedRevision>, WriteError> {
        let params = ListParams::default().labels(&format!("{REVISION_LABEL},!{KAFKA_TOPIC_LABEL}"));
        let all = Api::<ControllerRevision>::all(self.client.clone());
        let list = in_time(all.list_metadata(&params)).await;
        let list = list.map_err(write::failed("listing schema revisions"))?;
        let owned = list.items.into_iter().filter_map(|revision| {
            let uid = revision.labels().get(REVISION_LABEL)?.clone();
            Some(OwnedRevision { namespace: revision.namespace()?, name: revision.name_any(), uid })
        });
        Ok(owned.collect())
    }

    /// Makes a schema revision that an older version stored outlive its resource.
    ///
    /// # Errors
    /// The revision no longer exists, or the API server does not answer.
    pub async fn release_schema_revision(
        &self,
        revision: &OwnedRevision,
        history: &SchemaHistory,
    ) -> Result<(), WriteError> {
        let patch = json!({"metadata": {
            "labels": {KAFKA_TOPIC_LABEL: history.topic_label},
            "ownerReferences": null,
        }});
        let revisions = self.revisions_in(&revision.namespace);
        let (patch, parameters) = (Patch::Merge(patch), PatchParams::default());
        in_time(revisions.patch_metadata(&revision.name, &parameters, &patch))
            .await
            .map(drop)
            .map_err(write::failed("releasing a schema from its resource"))
    }

    async fn delete_revision(
        &self,
        what: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<(), WriteError> {
        match in_time(self.revisions_in(namespace).delete(name, &DeleteParams::default())).await {
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
        let reference = owner_reference(owner);
        let labels = BTreeMap::from([(APPROVED_LABEL.to_owned(), reference.uid.clone())]);
        let object = controller_revision(revision, labels, Some(reference));
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
            self.delete_revision(WHAT, &owner.namespace().unwrap_or_default(), name).await?;
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
        let namespace = owner.namespace().unwrap_or_default();
        self.delete_revision("removing an old approved spec", &namespace, name).await
    }

    fn revisions_of(&self, owner: &impl Resource<DynamicType = ()>) -> Api<ControllerRevision> {
        self.revisions_in(&owner.namespace().unwrap_or_default())
    }

    fn revisions_in(&self, namespace: &str) -> Api<ControllerRevision> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(false),
    }
}

fn controller_revision(
    revision: StoredRevision,
    labels: BTreeMap<String, String>,
    owner: Option<OwnerReference>,
) -> ControllerRevision {
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(revision.name),
            labels: Some(labels),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        revision: revision.number,
        data: Some(k8s_openapi::apimachinery::pkg::runtime::RawExtension(revision.data)),
    }
}
