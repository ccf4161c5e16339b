//! Listing, approving and withdrawing pending changes as a user.
//!
//! An EventTopic stays the JSON of the API server, so that replacing it loses no field that this version does not know.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject, ObjectList};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::session::{Session, SessionError, failed};
use super::timeout::in_time;
use crate::api::{ChangeApproval, EventTopic};

/// Page size of list requests.
const PAGE_SIZE: u32 = 500;

/// Field manager of every write of `eventctl`.
const FIELD_MANAGER: &str = "eventctl";

impl Session {
    /// The EventTopics of a namespace, or of all namespaces; an invalid one as an error of its own.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn topics(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<DeserializeGuard<EventTopic>>, SessionError> {
        let topics = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.list_pages(&topics, "listing EventTopics").await
    }

    /// The ChangeApprovals of a namespace; an invalid one as an error of its own.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn decisions(
        &self,
        namespace: &str,
    ) -> Result<Vec<DeserializeGuard<ChangeApproval>>, SessionError> {
        let decisions = Api::namespaced(self.client.clone(), namespace);
        self.list_pages(&decisions, "listing ChangeApprovals").await
    }

    async fn list_pages<K>(&self, api: &Api<K>, what: &'static str) -> Result<Vec<K>, SessionError>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let (mut all, mut params) = (Vec::new(), ListParams::default().limit(PAGE_SIZE));
        loop {
            let page: ObjectList<K> = in_time(api.list(&params)).await.map_err(failed(what))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// An EventTopic as the API server has it; `None` if it does not exist.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn topic(&self, namespace: &str, name: &str) -> Result<Option<Value>, SessionError> {
        match in_time(self.dynamic_topics(namespace).get(name)).await {
            Ok(topic) => Ok(Some(to_json(topic))),
            // A 404 without a name means that the kind itself is not installed.
            Err(kube::Error::Api(status))
                if status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == name) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("reading the EventTopic")(error)),
        }
    }

    /// Creates or replaces an EventTopic as a dry run, and returns the result.
    ///
    /// # Errors
    /// The API server refuses it or does not answer.
    pub async fn try_topic(&self, topic: &Value) -> Result<Value, SessionError> {
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.into()) };
        self.put(topic, &params, "trying the EventTopic (dry run)").await
    }

    /// Replaces an EventTopic if it is still the version that was read.
    ///
    /// # Errors
    /// The API server refuses it, reports a conflict, or does not answer.
    pub async fn replace_topic(&self, topic: &Value) -> Result<(), SessionError> {
        let params = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.into()) };
        self.put(topic, &params, "replacing the EventTopic").await.map(drop)
    }

    async fn put(
        &self,
        topic: &Value,
        params: &PostParams,
        what: &'static str,
    ) -> Result<Value, SessionError> {
        let unreadable = |error| failed(what)(kube::Error::SerdeError(error));
        let topic: DynamicObject = serde_json::from_value(topic.clone()).map_err(unreadable)?;
        let topics = self.dynamic_topics(&topic.namespace().unwrap_or_default());
        let stored = match &topic.metadata.resource_version {
            Some(_) => in_time(topics.replace(&topic.name_any(), params, &topic)).await,
            None => in_time(topics.create(params, &topic)).await,
        };
        stored.map(to_json).map_err(failed(what))
    }

    fn dynamic_topics(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<EventTopic>(&()))
    }

    /// The spec in a ControllerRevision; `None` if it does not exist.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn get_approved_spec(
        &self,
        namespace: &str,
        revision: &str,
    ) -> Result<Option<Value>, SessionError> {
        let revisions = Api::<ControllerRevision>::namespaced(self.client.clone(), namespace);
        let stored = in_time(revisions.get_opt(revision)).await;
        let stored = stored.map_err(failed("reading the ControllerRevision of the active spec"))?;
        Ok(stored.and_then(|stored| stored.data).and_then(|data| data.0.get("spec").cloned()))
    }

    /// Creates a ChangeApproval.
    ///
    /// # Errors
    /// The API server refuses it, or the API server does not answer.
    pub async fn decide(
        &self,
        namespace: &str,
        decision: &ChangeApproval,
    ) -> Result<ChangeApproval, SessionError> {
        let decisions = Api::<ChangeApproval>::namespaced(self.client.clone(), namespace);
        let params = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.into()) };
        in_time(decisions.create(&params, decision)).await.map_err(failed("creating the ChangeApproval"))
    }
}

fn to_json(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
