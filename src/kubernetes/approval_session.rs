//! Listing, approving and withdrawing pending changes as a user.
//!
//! A governed resource stays the JSON of the API server, so that replacing it loses no field that this version does not
//! know.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DeserializeGuard, DynamicObject, NamespaceResourceScope, ObjectList};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::session::{Session, SessionError, failed};
use super::timeout::in_time;
use crate::api::ChangeApproval;

/// Page size of list requests.
const PAGE_SIZE: u32 = 500;

/// Field manager of every write of `eventctl`.
const FIELD_MANAGER: &str = "eventctl";

impl Session {
    /// The resources of a kind in a namespace, or in all namespaces; an invalid one as an error of its own.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn list_resources<K>(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<DeserializeGuard<K>>, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    {
        let resources = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        self.list_pages(&resources, format!("listing {}", K::plural(&()))).await
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
        self.list_pages(&decisions, "listing changeapprovals".to_owned()).await
    }

    async fn list_pages<K>(&self, api: &Api<K>, what: String) -> Result<Vec<K>, SessionError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let (mut all, mut params) = (Vec::new(), ListParams::default().limit(PAGE_SIZE));
        loop {
            let page: ObjectList<K> = in_time(api.list(&params)).await.map_err(failed(what.clone()))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// A resource as the API server has it; `None` if it does not exist.
    ///
    /// # Errors
    /// The API server does not answer, or does not allow it.
    pub async fn get_resource<K>(&self, namespace: &str, name: &str) -> Result<Option<Value>, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match in_time(self.dynamic::<K>(namespace).get(name)).await {
            Ok(resource) => Ok(Some(to_json(resource))),
            // A 404 without a name means that the kind itself is not installed.
            Err(kube::Error::Api(status))
                if status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == name) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(format!("reading the {}", K::kind(&())))(error)),
        }
    }

    /// Creates or replaces a resource as a dry run, and returns the result.
    ///
    /// # Errors
    /// The API server refuses it or does not answer.
    pub async fn dry_run<K>(&self, resource: &Value) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.into()) };
        self.put::<K>(resource, &params, format!("writing the {} (dry run)", K::kind(&()))).await
    }

    /// Replaces a resource if it is still the version that was read.
    ///
    /// # Errors
    /// The API server refuses it, reports a conflict, or does not answer.
    pub async fn replace_resource<K>(&self, resource: &Value) -> Result<(), SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let params = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.into()) };
        self.put::<K>(resource, &params, format!("replacing the {}", K::kind(&()))).await.map(drop)
    }

    /// Changes fields of a resource (RFC 7396).
    ///
    /// # Errors
    /// The API server refuses it, has no such resource, or does not answer.
    pub async fn merge_patch<K>(
        &self,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = in_time(self.dynamic::<K>(namespace).patch(name, &params, &Patch::Merge(patch))).await;
        patched.map(to_json).map_err(failed(format!("changing the {}", K::kind(&()))))
    }

    async fn put<K>(&self, resource: &Value, params: &PostParams, what: String) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let resource: DynamicObject = serde_json::from_value(resource.clone())
            .map_err(|error| failed(what.clone())(kube::Error::SerdeError(error)))?;
        let resources = self.dynamic::<K>(&resource.namespace().unwrap_or_default());
        let stored = match &resource.metadata.resource_version {
            Some(_) => in_time(resources.replace(&resource.name_any(), params, &resource)).await,
            None => in_time(resources.create(params, &resource)).await,
        };
        stored.map(to_json).map_err(failed(what))
    }

    fn dynamic<K>(&self, namespace: &str) -> Api<DynamicObject>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<K>(&()))
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
    /// The API server refuses it or does not answer.
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
