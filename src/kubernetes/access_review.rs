//! SubjectAccessReviews: what RBAC allows another user.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::core::{ClusterResourceScope, ObjectMeta};
use kube::{Api, Resource};

use super::timeout::in_time;
use super::write::failed;
use super::{KubeClient, WriteError};

/// A user as Kubernetes' authentication describes them.
#[derive(Clone, Debug)]
pub struct UserInfo<'a> {
    /// The name.
    pub username: &'a str,
    /// The uid, if the authenticator provides one.
    pub uid: Option<&'a str>,
    /// The groups.
    pub groups: Cow<'a, [String]>,
    /// Extra attributes of the authenticator.
    pub extra: &'a BTreeMap<String, Vec<String>>,
}

/// The group of all authenticated users.
const AUTHENTICATED: &str = "system:authenticated";

static NO_EXTRA: BTreeMap<String, Vec<String>> = BTreeMap::new();

impl<'a> UserInfo<'a> {
    /// A user in these groups and in `system:authenticated`.
    #[must_use]
    pub fn in_groups(username: &'a str, groups: &[String]) -> Self {
        let groups = [groups, &[AUTHENTICATED.to_owned()]].concat();
        Self { username, uid: None, groups: groups.into(), extra: &NO_EXTRA }
    }
}

impl KubeClient {
    /// Whether a user may use a verb on one resource of a kind.
    ///
    /// # Errors
    /// The API server does not answer, or forbids the review.
    pub async fn is_allowed<K>(
        &self,
        user: UserInfo<'_>,
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
        self.review_access(user, attributes).await
    }

    /// Whether a user may use a verb on a subresource of one cluster-scoped resource, or of all of the kind if `name`
    /// is `None`.
    ///
    /// # Errors
    /// As [`Self::is_allowed`].
    pub async fn is_allowed_subresource<K>(
        &self,
        user: UserInfo<'_>,
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
        self.review_access(user, attributes).await
    }

    /// Whether a user may use a verb on a subresource of a resource in a namespace.
    ///
    /// # Errors
    /// As [`Self::is_allowed`].
    pub async fn is_allowed_subresource_in<K>(
        &self,
        user: UserInfo<'_>,
        verb: &str,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<bool, WriteError>
    where
        K: Resource<DynamicType = ()>,
    {
        let attributes = ResourceAttributes {
            group: Some(K::group(&()).into_owned()),
            resource: Some(K::plural(&()).into_owned()),
            subresource: Some(subresource.to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        self.review_access(user, attributes).await
    }

    async fn review_access(
        &self,
        user: UserInfo<'_>,
        attributes: ResourceAttributes,
    ) -> Result<bool, WriteError> {
        let review = SubjectAccessReview {
            metadata: ObjectMeta::default(),
            spec: SubjectAccessReviewSpec {
                user: Some(user.username.to_owned()),
                uid: user.uid.map(ToOwned::to_owned),
                groups: Some(user.groups.into_owned()),
                extra: Some(user.extra.clone()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            status: None,
        };
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        let answer = in_time(reviews.create(&PostParams::default(), &review)).await;
        let answer = answer.map_err(failed("reviewing a user's access"))?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }
}
