//! TokenRequests: tokens of ServiceAccounts.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use super::timeout::in_time;
use super::write::failed;
use super::{KubeClient, WriteError};

/// The validity that is requested, in seconds. The API server may issue another one.
const EXPIRATION_SECONDS: i64 = 3600;

/// A token of a ServiceAccount.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceAccountToken {
    /// The token.
    pub token: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl fmt::Debug for ServiceAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl KubeClient {
    /// Requests a token of a ServiceAccount for an audience.
    ///
    /// # Errors
    /// There is no such ServiceAccount, or the API server does not answer. No error contains a token.
    pub async fn request_token(
        &self,
        namespace: &str,
        service_account: &str,
        audience: &str,
    ) -> Result<ServiceAccountToken, WriteError> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                expiration_seconds: Some(EXPIRATION_SECONDS),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        let answer =
            in_time(accounts.create_token_request(service_account, &PostParams::default(), &request)).await;
        let status = answer.and_then(|answer| {
            answer
                .status
                .ok_or_else(|| kube::Error::Service("the API server answered without a token".into()))
        });
        let status = status.map_err(failed("requesting a token of a ServiceAccount"))?;
        Ok(ServiceAccountToken { token: status.token, expires_at: status.expiration_timestamp.0 })
    }
}
