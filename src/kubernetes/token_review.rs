//! TokenReviews: which user a bearer token authenticates.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;

use super::timeout::in_time;
use super::write::failed;
use super::{KubeClient, UserInfo, WriteError};

/// A user that the API server authenticated by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedUser {
    /// The name.
    pub username: String,
    /// The uid, if the authenticator provides one.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// Extra attributes of the authenticator, used for access reviews only.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl AuthenticatedUser {
    /// The user for a SubjectAccessReview.
    #[must_use]
    pub fn user_info(&self) -> UserInfo<'_> {
        UserInfo {
            username: &self.username,
            uid: self.uid.as_deref(),
            groups: (&self.groups).into(),
            extra: &self.extra,
        }
    }
}

impl KubeClient {
    /// The user that a token authenticates; `None` if the API server rejects it.
    ///
    /// # Errors
    /// The API server does not answer, or forbids the review. No error contains the token.
    pub async fn review_token(&self, token: &str) -> Result<Option<AuthenticatedUser>, WriteError> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() },
            status: None,
        };
        let reviews = Api::<TokenReview>::all(self.client.clone());
        let answer = in_time(reviews.create(&PostParams::default(), &review)).await;
        let status = answer.map_err(failed("reviewing a token"))?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).unwrap_or_default();
        // A user without a name cannot be reviewed for access.
        Ok(user.username.filter(|name| !name.is_empty()).map(|username| AuthenticatedUser {
            username,
            uid: user.uid.filter(|uid| !uid.is_empty()),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }
}
