//! What Kubernetes' RBAC allows somebody else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::core::{ClusterResourceScope, ObjectMeta};
use kube::{Api, Resource};

use super::write::failed;
use super::{KubeClient, WriteError, in_time};

/// A user as the API server knows them.
#[derive(Clone, Debug)]
pub struct UserInfo<'a> {
    /// The name.
    pub username: &'a str,
    /// The uid, where the authenticator knows one.
    pub uid: Option<&'a str>,
    /// The groups.
    pub groups: Cow<'a, [String]>,
    /// What else the authenticator says.
    pub extra: &'a BTreeMap<String, Vec<String>>,
}

/// What everybody is in whom the API server knows.
const AUTHENTICATED: &str = "system:authenticated";

/// Nothing else is said.
static NO_EXTRA: BTreeMap<String, Vec<String>> = BTreeMap::new();

impl<'a> UserInfo<'a> {
    /// A name in these groups alone, and in that of all whom the API server knows.
    #[must_use]
    pub fn in_groups(username: &'a str, groups: &[String]) -> Self {
        let groups = [groups, &[AUTHENTICATED.to_owned()]].concat();
        Self { username, uid: None, groups: groups.into(), extra: &NO_EXTRA }
    }
}

impl KubeClient {
    /// Whether somebody is allowed a verb on one resource of a kind.
    ///
    /// # Errors
    /// The API server does not answer, or does not let us ask.
    pub async fn is_allowed<K>(
        &self,
        somebody: UserInfo<'_>,
        verb: &str,
        namespace: &str,
        name: &str,
    ) -> Result<bool, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let attributes = ResourceAttributes {
            group: Some(K::group(&()).into_owned()),
            resource: Some(K::plural(&()).into_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        self.review_access(somebody, attributes).await
    }

    /// Whether somebody is allowed a verb on a subresource of one resource of a kind without namespaces; without a name,
    /// of all of them.
    ///
    /// # Errors
    /// As [`Self::is_allowed`].
    pub async fn is_allowed_part<K>(
        &self,
        somebody: UserInfo<'_>,
        verb: &str,
        subresource: &str,
        name: Option<&str>,
    ) -> Result<bool, WriteError>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    {
        let attributes = ResourceAttributes {
            group: Some(K::group(&()).into_owned()),
            resource: Some(K::plural(&()).into_owned()),
            subresource: Some(subresource.to_owned()),
            name: name.map(ToOwned::to_owned),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        self.review_access(somebody, attributes).await
    }

    async fn review_access(
        &self,
        somebody: UserInfo<'_>,
        attributes: ResourceAttributes,
    ) -> Result<bool, WriteError> {
        let review = SubjectAccessReview {
            metadata: ObjectMeta::default(),
            spec: SubjectAccessReviewSpec {
                user: Some(somebody.username.to_owned()),
                uid: somebody.uid.map(ToOwned::to_owned),
                groups: Some(somebody.groups.into_owned()),
                extra: Some(somebody.extra.clone()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            status: None,
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let answer = in_time(reviews.create(&PostParams::default(), &review)).await;
        let answer = answer.map_err(failed("asking what somebody is allowed"))?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}
