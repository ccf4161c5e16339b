//! Which tasks and runs a caller may see and change. A caller learns nothing of namespaces and tenants for which they have no
//! right, not even whether they exist.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use eventcenter_sdk::Reason;
use eventcenter_sdk::name::TenantName;
use futures::{StreamExt, TryStreamExt};
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::directory::Directory;
use crate::api::ScheduledTask;
use crate::domain::audit::Target;
use crate::domain::task::{Run, TaskKey};
use crate::domain::tenant::Tenants;
use crate::kubernetes::KubeClient;
use crate::rest::access_log::AccessLog;
use crate::rest::authentication::{Caller, TokenHash};
use crate::rest::authorization::requested_tenant;
use crate::rest::cache::expiring_cache;
use crate::rest::response::ApiError;

/// How long a SubjectAccessReview is cached. A revoked permission remains effective for this long.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// Cached answers.
const MAX_CACHED: u64 = 10_000;

/// Concurrent SubjectAccessReviews.
const MAX_REVIEWS: usize = 32;

/// Concurrent SubjectAccessReviews of one request.
const MAX_REVIEWS_PER_REQUEST: usize = 8;

/// Namespaces for which permissions are reviewed one by one to find those that a caller may see.
const MAX_REVIEWED_NAMESPACES: usize = 500;

/// All namespaces, or all names, in a SubjectAccessReview.
const ALL: &str = "";

/// What a caller does, as a verb on ScheduledTasks or a subresource of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rest) enum Permission {
    /// List tasks.
    ListTasks,
    /// List runs.
    ListRuns,
    /// Read a run, its attempts and their logs.
    GetRun,
    /// Cancel a run.
    CancelRun,
    /// Run a task by hand, run it for a time range, or repeat a run.
    Trigger,
}

impl Permission {
    /// The verb, and the subresource of ScheduledTasks.
    fn rule(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::ListTasks => ("list", None),
            Self::ListRuns => ("list", Some("runs")),
            Self::GetRun => ("get", Some("runs")),
            Self::CancelRun => ("update", Some("runs")),
            Self::Trigger => ("create", Some("trigger")),
        }
    }

    /// The remedy of a caller who lacks the permission.
    fn remedy(self, place: &str) -> String {
        let (verb, subresource) = self.rule();
        let slash = if subresource.is_some() { "/" } else { "" };
        let subresource = subresource.unwrap_or_default();
        format!("ask for the right {verb} on scheduledtasks{slash}{subresource} of eventcenter.io {place}")
    }
}

/// The namespaces and tenants that a list is about.
#[derive(Clone, Debug)]
pub(super) struct ListScope {
    /// The tenants, sorted.
    pub(super) tenants: Vec<TenantName>,
    /// The namespaces, sorted; `None` for all of these tenants.
    pub(super) namespaces: Option<Vec<String>>,
    /// Which tenant owns a namespace.
    pub(super) directory: Arc<Tenants>,
    /// Whether the caller has the permission in all namespaces.
    is_unrestricted: bool,
}

impl ListScope {
    /// Whether the caller may see a run: a namespace may have belonged to another tenant, whose runs stay its own.
    pub(super) fn has(&self, run: &Run) -> bool {
        self.is_unrestricted || is_owner(&self.directory, &run.task)
    }
}

/// Whether the tenant of a run still owns its namespace.
fn is_owner(directory: &Tenants, task: &TaskKey) -> bool {
    directory.of_namespace(&task.namespace).is_ok_and(|owner| owner.name == task.tenant)
}

/// Authorizes callers for tasks and runs.
#[derive(Debug)]
pub(in crate::rest) struct TaskAuthorizer {
    kube: KubeClient,
    directory: Directory,
    access_log: AccessLog,
    decisions: Cache<(TokenHash, Permission, String, String), bool>,
    reviews: Semaphore,
}

impl TaskAuthorizer {
    pub(in crate::rest) fn new(kube: KubeClient, access_log: AccessLog) -> Self {
        Self {
            directory: Directory::new(kube.clone()),
            kube,
            access_log,
            decisions: expiring_cache(MAX_CACHED, CACHE_TTL),
            reviews: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// Which tenant owns a namespace.
    pub(super) async fn directory(&self) -> Result<Arc<Tenants>, ApiError> {
        self.directory.tenants().await
    }

    /// Refuses a caller who lacks a permission for a task, and records the refusal.
    pub(super) async fn require(
        &self,
        caller: &Caller,
        permission: Permission,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        if self.is_allowed(caller, permission, namespace, name).await? {
            return Ok(());
        }
        self.record_refusal(caller, Some((namespace, name))).await;
        let place = format!("in namespace {namespace}");
        Err(ApiError::new(Reason::Forbidden, permission.remedy(&place)))
    }

    /// Refuses a caller who lacks a permission for a run. To a caller who may not even read it, the run does not exist.
    pub(super) async fn require_for_run(
        &self,
        caller: &Caller,
        permission: Permission,
        task: &TaskKey,
    ) -> Result<(), ApiError> {
        if !self.may_read_run(caller, task).await? {
            self.record_refusal(caller, Some((&task.namespace, &task.name))).await;
            return Err(run_not_found());
        }
        match permission {
            Permission::GetRun => Ok(()),
            _ => self.require(caller, permission, &task.namespace, &task.name).await,
        }
    }

    async fn may_read_run(&self, caller: &Caller, task: &TaskKey) -> Result<bool, ApiError> {
        if !self.is_allowed(caller, Permission::GetRun, &task.namespace, &task.name).await? {
            return Ok(false);
        }
        let directory = self.directory().await?;
        Ok(is_owner(&directory, task) || self.is_allowed(caller, Permission::GetRun, ALL, ALL).await?)
    }

    /// The namespaces and tenants that a list is about.
    pub(super) async fn list_scope(
        &self,
        caller: &Caller,
        permission: Permission,
        headers: &HeaderMap,
        tenant: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<ListScope, ApiError> {
        let tenant = match requested_tenant(headers, tenant)? {
            Some((field, text)) => {
                let parsed = TenantName::parse(text);
                Some(parsed.map_err(|error| ApiError::invalid(format!("{field}: {error}")))?)
            }
            None => None,
        };
        let directory = self.directory().await?;
        let is_unrestricted = self.is_allowed(caller, permission, ALL, ALL).await?;
        if let Some(namespace) = namespace {
            if !is_unrestricted {
                self.require(caller, permission, namespace, ALL).await?;
            }
            let owner = directory.of_namespace(namespace).ok().map(|owner| owner.name.clone());
            let tenants = match (tenant, owner) {
                (Some(tenant), owner) if is_unrestricted || owner.as_ref() == Some(&tenant) => vec![tenant],
                (Some(_), _) => Vec::new(),
                (None, Some(owner)) => vec![owner],
                // Former owners of the namespace.
                (None, None) => directory.in_force().map(|tenant| tenant.name.clone()).collect(),
            };
            let namespaces = Some(vec![namespace.to_owned()]);
            return Ok(ListScope { tenants, namespaces, directory, is_unrestricted });
        }
        if is_unrestricted {
            let tenants = match tenant {
                Some(tenant) => vec![tenant],
                None => directory.in_force().map(|tenant| tenant.name.clone()).collect(),
            };
            return Ok(ListScope { tenants, namespaces: None, directory, is_unrestricted });
        }
        let namespaces = self.allowed_namespaces(caller, permission, &directory, tenant.as_ref()).await?;
        if namespaces.is_empty() {
            self.record_refusal(caller, None).await;
            let text = permission.remedy("in a namespace of the tenant");
            return Err(ApiError::new(Reason::Forbidden, text));
        }
        let owners = namespaces.iter().filter_map(|namespace| directory.of_namespace(namespace).ok());
        let tenants: BTreeSet<TenantName> = owners.map(|owner| owner.name.clone()).collect();
        let tenants = tenants.into_iter().collect();
        Ok(ListScope { tenants, namespaces: Some(namespaces), directory, is_unrestricted })
    }

    /// The namespaces of a tenant, or of all, in which a caller has a permission.
    async fn allowed_namespaces(
        &self,
        caller: &Caller,
        permission: Permission,
        directory: &Tenants,
        tenant: Option<&TenantName>,
    ) -> Result<Vec<String>, ApiError> {
        let mut candidates: Vec<String> = directory
            .in_force()
            .filter(|owner| tenant.is_none_or(|tenant| owner.name == *tenant))
            .flat_map(|owner| directory.namespaces_of(owner))
            .map(ToOwned::to_owned)
            .collect();
        if candidates.len() > MAX_REVIEWED_NAMESPACES {
            return Err(ApiError::invalid(
                "namespace: there are too many namespaces to find yours: name one, or your tenant",
            ));
        }
        candidates.sort_unstable();
        let reviews = futures::stream::iter(candidates).map(async |namespace| {
            let is_allowed = self.is_allowed(caller, permission, &namespace, ALL).await?;
            Ok::<_, ApiError>(is_allowed.then_some(namespace))
        });
        let allowed: Vec<Option<String>> = reviews.buffered(MAX_REVIEWS_PER_REQUEST).try_collect().await?;
        Ok(allowed.into_iter().flatten().collect())
    }

    async fn is_allowed(
        &self,
        caller: &Caller,
        permission: Permission,
        namespace: &str,
        name: &str,
    ) -> Result<bool, ApiError> {
        let key = (caller.token_hash, permission, namespace.to_owned(), name.to_owned());
        if let Some(decision) = self.decisions.get(&key) {
            return Ok(decision);
        }
        let _permit = self.reviews.acquire().await;
        let user = caller.user.user_info();
        let decision = match permission.rule() {
            (verb, None) => self.kube.is_allowed::<ScheduledTask>(user, verb, namespace, name).await,
            (verb, Some(subresource)) => {
                self.kube
                    .is_allowed_subresource_in::<ScheduledTask>(user, verb, subresource, namespace, name)
                    .await
            }
        };
        let decision = decision.map_err(|error| ApiError::authentication_unavailable(&error))?;
        self.decisions.insert(key, decision);
        Ok(decision)
    }

    async fn record_refusal(&self, caller: &Caller, task: Option<(&str, &str)>) {
        let target = task.map(|(namespace, name)| Target {
            kind: "ScheduledTask".into(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
            uid: None,
        });
        self.access_log.record_forbidden_task(&caller.origin, caller.actor(), target).await;
    }
}

/// The same text whether the run exists or not.
pub(super) fn run_not_found() -> ApiError {
    ApiError::new(
        Reason::NotFound,
        "there is no such run, its retention is over, or the right get on scheduledtasks/runs of eventcenter.io in its \
         namespace is missing",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_the_right() {
        assert_eq!(
            Permission::Trigger.remedy("in namespace shop"),
            "ask for the right create on scheduledtasks/trigger of eventcenter.io in namespace shop"
        );
        assert_eq!(
            Permission::ListTasks.remedy("in namespace shop"),
            "ask for the right list on scheduledtasks of eventcenter.io in namespace shop"
        );
    }
}
