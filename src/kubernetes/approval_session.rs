//! What a person does about changes that wait for approval: looks at them, decides, and takes them back.
//!
//! An EventTopic is passed on as the API server has it, so that putting it back loses no field that this version does
//! not know.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject, ObjectList};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::in_time;
use super::session::{Session, SessionError, failed};
use crate::api::{ChangeApproval, EventTopic};

/// How many resources are asked for at a time.
const PAGE: u32 = 500;

/// Who changes what `eventctl` changes, as Kubernetes notes it.
const MANAGER: &str = "eventctl";

impl Session {
    /// The EventTopics of a namespace, or of all. One that cannot be read is passed on as such.
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
        self.pages(&topics, "listing EventTopics").await
    }

    /// The decisions that were made in a namespace. One that cannot be read is passed on as such.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn decisions(
        &self,
        namespace: &str,
    ) -> Result<Vec<DeserializeGuard<ChangeApproval>>, SessionError> {
        let decisions = Api::namespaced(self.client.clone(), namespace);
        self.pages(&decisions, "listing ChangeApprovals").await
    }

    async fn pages<K>(&self, api: &Api<K>, what: &'static str) -> Result<Vec<K>, SessionError>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let (mut all, mut how) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            let page: ObjectList<K> = in_time(api.list(&how)).await.map_err(failed(what))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => how = how.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// An EventTopic as the API server has it, if it is there.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn topic(&self, namespace: &str, name: &str) -> Result<Option<Value>, SessionError> {
        match in_time(self.whole(namespace).get(name)).await {
            Ok(topic) => Ok(Some(plain(topic))),
            // That the whole kind is unknown is told by the API server without a name.
            Err(kube::Error::Api(status))
                if status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == name) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("reading the EventTopic")(error)),
        }
    }

    /// What the API server would make of an EventTopic, in place of the one that was read or new. Nothing is stored.
    ///
    /// # Errors
    /// It would be refused, or the API server does not answer.
    pub async fn try_topic(&self, topic: &Value) -> Result<Value, SessionError> {
        let how = PostParams { dry_run: true, field_manager: Some(MANAGER.into()) };
        self.put(topic, &how, "asking what the API server makes of the EventTopic").await
    }

    /// Puts an EventTopic in the place of the one that was read.
    ///
    /// # Errors
    /// It is refused, somebody else was faster, or the API server does not answer.
    pub async fn replace_topic(&self, topic: &Value) -> Result<(), SessionError> {
        let how = PostParams { dry_run: false, field_manager: Some(MANAGER.into()) };
        self.put(topic, &how, "putting the EventTopic back").await.map(drop)
    }

    async fn put(&self, topic: &Value, how: &PostParams, what: &'static str) -> Result<Value, SessionError> {
        let unreadable = |error| failed(what)(kube::Error::SerdeError(error));
        let topic: DynamicObject = serde_json::from_value(topic.clone()).map_err(unreadable)?;
        let topics = self.whole(&topic.namespace().unwrap_or_default());
        let answer = match &topic.metadata.resource_version {
            Some(_) => in_time(topics.replace(&topic.name_any(), how, &topic)).await,
            None => in_time(topics.create(how, &topic)).await,
        };
        answer.map(plain).map_err(failed(what))
    }

    fn whole(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<EventTopic>(&()))
    }

    /// The spec that a ControllerRevision keeps, if it is there.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn get_approved_spec(
        &self,
        namespace: &str,
        revision: &str,
    ) -> Result<Option<Value>, SessionError> {
        let revisions = Api::<ControllerRevision>::namespaced(self.client.clone(), namespace);
        let found = in_time(revisions.get_opt(revision)).await;
        let found = found.map_err(failed("reading the ControllerRevision of what is in force"))?;
        Ok(found.and_then(|found| found.data).and_then(|data| data.0.get("spec").cloned()))
    }

    /// Stores a decision.
    ///
    /// # Errors
    /// It is refused, or the API server does not answer.
    pub async fn decide(
        &self,
        namespace: &str,
        decision: &ChangeApproval,
    ) -> Result<ChangeApproval, SessionError> {
        let decisions = Api::<ChangeApproval>::namespaced(self.client.clone(), namespace);
        let how = PostParams { dry_run: false, field_manager: Some(MANAGER.into()) };
        in_time(decisions.create(&how, decision)).await.map_err(failed("making the ChangeApproval"))
    }
}

/// An object is JSON.
fn plain(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
