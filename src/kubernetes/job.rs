//! The CronJobs, Jobs and pods of ScheduledTasks.

use std::fmt::Debug;

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::KubeClient;
use super::guard::{self, Guarded};
use super::timeout::in_time;
use super::write::{WriteError, failed};
use crate::api::TASK_LABEL;

/// The owner of the fields that the operator applies (server-side apply).
const FIELD_MANAGER: &str = "eventcenter";

/// Jobs are small, and a start lists all of them.
const LIST_PAGE_SIZE: u32 = 500;

impl KubeClient {
    /// Watches the objects of a kind that belong to ScheduledTasks, by their label. Removes metadata that the operator does
    /// not use.
    pub fn watch_of_tasks<K>(
        &self,
    ) -> impl Stream<Item = Result<Event<DeserializeGuard<K>>, watcher::Error>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let config = watcher::Config::default().labels(TASK_LABEL).page_size(LIST_PAGE_SIZE);
        watcher(Api::<Guarded<K>>::all(self.client.clone()), config)
            .map(|event| event.map(guard::unwrap))
            .default_backoff()
            .modify(|resource| resource.meta_mut().managed_fields = None)
    }

    /// Creates an object, or makes an existing one equal in the fields of `object` (server-side apply).
    ///
    /// # Errors
    /// The API server refuses the object or does not answer.
    pub async fn apply<K>(&self, object: &K) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + Clone
            + DeserializeOwned
            + Debug,
    {
        self.apply_with(object, &PatchParams::apply(FIELD_MANAGER).force()).await
    }

    /// Creates an object like [`Self::apply`], which can so remove a field later. Takes no field over if somebody else has
    /// created an object of the same name meanwhile.
    ///
    /// # Errors
    /// The API server refuses the object or does not answer, or another object exists.
    pub async fn apply_new<K>(&self, object: &K) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + Clone
            + DeserializeOwned
            + Debug,
    {
        self.apply_with(object, &PatchParams::apply(FIELD_MANAGER)).await
    }

    async fn apply_with<K>(&self, object: &K, parameters: &PatchParams) -> Result<K, WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let namespace = object.namespace().unwrap_or_default();
        let objects = Api::<K>::namespaced(self.client.clone(), &namespace);
        let _permit = self.writers.acquire().await;
        in_time(objects.patch(&object.name_any(), parameters, &Patch::Apply(object)))
            .await
            .map_err(rejected("applying an object"))
    }

    /// Creates an object. `None` if one of this name exists.
    ///
    /// # Errors
    /// The API server refuses the object or does not answer.
    pub async fn create_unless_exists<K>(&self, object: &K) -> Result<Option<K>, WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Serialize
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let namespace = object.namespace().unwrap_or_default();
        let objects = Api::<K>::namespaced(self.client.clone(), &namespace);
        let _permit = self.writers.acquire().await;
        match in_time(objects.create(&PostParams::default(), object)).await {
            Ok(created) => Ok(Some(created)),
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {
                Ok(None)
            }
            Err(error) => Err(rejected("creating an object")(error)),
        }
    }

    /// Deletes an object and, in the background, what it owns. An object that does not exist, or has another uid, is no error.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn delete_owned<K>(&self, object: &K) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let namespace = object.namespace().unwrap_or_default();
        let objects = Api::<K>::namespaced(self.client.clone(), &namespace);
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::background()
        };
        let _permit = self.writers.acquire().await;
        match in_time(objects.delete(&object.name_any(), &parameters)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(error) => Err(failed("deleting an object")(error)),
        }
    }

    /// Lets a suspended Job start.
    ///
    /// # Errors
    /// The Job no longer exists, or the API server does not answer.
    pub async fn release_job(&self, namespace: &str, name: &str) -> Result<(), WriteError> {
        let jobs = Api::<Job>::namespaced(self.client.clone(), namespace);
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        let _permit = self.writers.acquire().await;
        in_time(jobs.patch(name, &PatchParams::default(), &patch))
            .await
            .map(drop)
            .map_err(failed("starting a Job"))
    }

    /// Sets the last time that the controller of a CronJob considers: it makes up for no earlier one.
    ///
    /// # Errors
    /// The CronJob no longer exists, or the API server does not answer.
    pub async fn set_last_schedule_time(
        &self,
        cron_job: &CronJob,
        time: Timestamp,
    ) -> Result<(), WriteError> {
        let namespace = cron_job.namespace().unwrap_or_default();
        let cron_jobs = Api::<CronJob>::namespaced(self.client.clone(), &namespace);
        // A new CronJob of the same name must not get it.
        let patch = json!({"metadata": {"uid": cron_job.uid()}, "status": {"lastScheduleTime": Time(time)}});
        let _permit = self.writers.acquire().await;
        in_time(cron_jobs.patch_status(&cron_job.name_any(), &PatchParams::default(), &Patch::Merge(patch)))
            .await
            .map(drop)
            .map_err(failed("setting the last time of a CronJob"))
    }

    /// The pods of a Job.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn list_pods_of_job(&self, job: &impl Resource) -> Result<Vec<Pod>, WriteError> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &job.namespace().unwrap_or_default());
        let selector = format!("batch.kubernetes.io/controller-uid={}", job.uid().unwrap_or_default());
        let listed = in_time(pods.list(&ListParams::default().labels(&selector))).await;
        listed.map(|list| list.items).map_err(failed("listing the pods of a Job"))
    }

    /// The end of the log of a container.
    ///
    /// # Errors
    /// The pod or its node no longer exists, or the API server does not answer.
    pub async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        lines: i64,
    ) -> Result<String, WriteError> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let parameters = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(lines),
            ..LogParams::default()
        };
        in_time(pods.logs(pod, &parameters)).await.map_err(failed("reading the log of a pod"))
    }
}

/// Unlike [`failed`], keeps the message of an object that the API server refuses.
fn rejected(what: &'static str) -> impl FnOnce(kube::Error) -> WriteError {
    move |error| match &error {
        kube::Error::Api(status) if status.code == 422 => WriteError::Api { what, source: Box::new(error) },
        _ => failed(what)(error),
    }
}
