//! The API server as the caller of a REST request: with the caller's own bearer token and never with the operator's rights, so
//! that RBAC, admission and the audit see the caller.

use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::Resource;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::request::Error as RequestError;
use kube::core::{NamespaceResourceScope, ObjectList, ObjectMeta, Request};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::KubeClient;
use super::heartbeat::Replica;
use super::session::{SessionError, failed};
use super::timeout::in_time;

/// Field manager of writes that the REST API makes for a caller.
const FIELD_MANAGER: &str = "eventcenter-api";

/// The API server as one caller.
#[derive(Clone)]
pub struct CallerSession {
    client: Client,
    authorization: HeaderValue,
}

impl std::fmt::Debug for CallerSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerSession").finish_non_exhaustive()
    }
}

/// An item of a list, whose kind only the list has.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Item {
    metadata: ObjectMeta,
    #[serde(flatten)]
    more: Value,
}

impl KubeClient {
    /// The API server as the caller with this token; `None` if the token is no bearer token. Sends no request yet.
    #[must_use]
    pub fn as_caller(&self, token: &str) -> Option<CallerSession> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(CallerSession { client: self.anonymous.clone(), authorization })
    }
}

impl CallerSession {
    /// A page of the resources of a kind, in a namespace or in all of them, by namespace and name; and the token of the next page.
    ///
    /// # Errors
    /// The API server refuses it or does not answer.
    pub async fn list<K>(
        &self,
        namespace: Option<&str>,
        limit: u32,
        continue_token: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>), SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let mut params = ListParams::default().limit(limit);
        if let Some(token) = continue_token {
            params = params.continue_token(token);
        }
        let request = Request::new(K::url_path(&(), namespace)).list(&params);
        let what = format!("listing {}", K::plural(&()));
        let page: ObjectList<Item> = self.send(what, request).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        Ok((
            page.items.into_iter().map(|item| serde_json::to_value(item).unwrap_or_default()).collect(),
            next,
        ))
    }

    /// A resource.
    ///
    /// # Errors
    /// The API server refuses it, has none of this name, or does not answer.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let request = requests::<K>(namespace).get(name, &kube::api::GetParams::default());
        self.send(format!("reading the {}", K::kind(&())), request).await
    }

    /// Creates a resource.
    ///
    /// # Errors
    /// The API server refuses it or does not answer.
    pub async fn create<K>(&self, namespace: &str, resource: &Value) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let request = strict(requests::<K>(namespace).create(&post_params(), to_bytes(resource)));
        self.send(format!("creating the {}", K::kind(&())), request).await
    }

    /// Replaces a resource if it is still the version in `resource`.
    ///
    /// # Errors
    /// The API server refuses it, reports a conflict, or does not answer.
    pub async fn replace<K>(
        &self,
        namespace: &str,
        name: &str,
        resource: &Value,
    ) -> Result<Value, SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let request = strict(requests::<K>(namespace).replace(name, &post_params(), to_bytes(resource)));
        self.send(format!("replacing the {}", K::kind(&())), request).await
    }

    /// Changes fields of a resource (RFC 7396).
    ///
    /// # Errors
    /// As [`Self::create`].
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
        let request = strict(requests::<K>(namespace).patch(name, &params, &Patch::Merge(patch)));
        self.send(format!("changing the {}", K::kind(&())), request).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn delete<K>(&self, namespace: &str, name: &str) -> Result<(), SessionError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let request = requests::<K>(namespace).delete(name, &DeleteParams::background());
        self.send::<IgnoredAny>(format!("deleting the {}", K::kind(&())), request).await.map(drop)
    }

    /// The replicas by their heartbeats in the operator's namespace. `leader_lease` is the name of the Lease of the leader.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn list_replicas(
        &self,
        namespace: &str,
        leader_lease: &str,
    ) -> Result<Vec<Replica>, SessionError> {
        let request = Request::new(Lease::url_path(&(), Some(namespace))).list(&ListParams::default());
        let leases: ObjectList<Lease> = self.send("listing leases".into(), request).await?;
        Ok(Replica::of_leases(&leases.items, leader_lease))
    }

    async fn send<T: DeserializeOwned>(
        &self,
        what: String,
        request: Result<axum::http::Request<Vec<u8>>, RequestError>,
    ) -> Result<T, SessionError> {
        let mut request = match request {
            Ok(request) => request,
            Err(error) => return Err(failed(what)(kube::Error::BuildRequest(error))),
        };
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        in_time(self.client.request(request)).await.map_err(failed(what))
    }
}

fn requests<K>(namespace: &str) -> Request
where
    K: Resource<DynamicType = ()>,
{
    Request::new(K::url_path(&(), Some(namespace)))
}

fn post_params() -> PostParams {
    PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.into()) }
}

/// Has the API server refuse unknown and repeated fields, as kubectl does. By default it drops them, and a misspelt field would
/// have no effect. kube's parameters of a creation cannot express it.
fn strict(
    request: Result<axum::http::Request<Vec<u8>>, RequestError>,
) -> Result<axum::http::Request<Vec<u8>>, RequestError> {
    let mut request = request?;
    let separator = if request.uri().query().is_some() { '&' } else { '?' };
    if let Ok(uri) = format!("{}{separator}fieldValidation=Strict", request.uri()).parse() {
        *request.uri_mut() = uri;
    }
    Ok(request)
}

fn to_bytes(resource: &Value) -> Vec<u8> {
    resource.to_string().into_bytes()
}
