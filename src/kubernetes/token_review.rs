//! Who a bearer token stands for.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::core::ObjectMeta;

use super::write::failed;
use super::{KubeClient, UserInfo, WriteError, in_time};

/// A user whom the API server knows by a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedUser {
    /// The name.
    pub username: String,
    /// The uid, where the authenticator knows one.
    pub uid: Option<String>,
    /// The groups.
    pub groups: Vec<String>,
    /// What else the authenticator says. Reviews of access need it, and nobody else is told.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl AuthenticatedUser {
    /// The same for a review of access.
    #[must_use]
    pub fn somebody(&self) -> UserInfo<'_> {
        UserInfo {
            username: &self.username,
            uid: self.uid.as_deref(),
            groups: (&self.groups).into(),
            extra: &self.extra,
        }
    }
}

impl KubeClient {
    /// Asks whom a token stands for; nobody if the API server does not accept it.
    ///
    /// # Errors
    /// The API server does not answer, or does not let us ask. No error holds the token.
    pub async fn review_token(&self, token: &str) -> Result<Option<AuthenticatedUser>, WriteError> {
        let review = TokenReview {
            metadata: ObjectMeta::default(),
            spec: TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() },
            status: None,
        };
        let reviews = Api::<TokenReview>::all(self.client.clone());
        let answer = in_time(reviews.create(&PostParams::default(), &review)).await;
        let status = answer.map_err(failed("asking whom a token stands for"))?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).unwrap_or_default();
        // A user without a name would have the rights of nobody in particular.
        Ok(user.username.filter(|name| !name.is_empty()).map(|username| AuthenticatedUser {
            username,
            uid: user.uid.filter(|uid| !uid.is_empty()),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        }))
    }
}
