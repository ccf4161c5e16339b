//! The Kubernetes API with the login and the rights of the user who runs a command.

use std::borrow::Cow;
use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::core::Status;
use kube::{Client, Config};

use crate::domain::approval::SPEC_HASH_CAUSE;

/// How to log in to Kubernetes: the flags of the same names of `kubectl`.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The kubeconfig, instead of those that KUBECONFIG names and of `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it, instead of its current one.
    pub context: Option<String>,
    /// The user to impersonate.
    pub user: Option<String>,
    /// The groups to impersonate.
    pub groups: Vec<String>,
}

impl Login {
    /// Reads the kubeconfig.
    pub(super) async fn config(&self) -> Result<Config, SessionError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let unusable = |source| SessionError::Kubeconfig(Box::new(source));
        match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(unusable)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)
            }
            None => match Config::from_kubeconfig(&options).await {
                // In a pod without a kubeconfig, use the pod's service account.
                Err(error) if self.context.is_none() => Config::incluster().map_err(|_| unusable(error)),
                config => config.map_err(unusable),
            },
        }
    }
}

/// A connection to the API server as one user.
#[derive(Clone)]
pub struct Session {
    pub(super) client: Client,
    namespace: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// The denial of a request by a webhook or a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason of the status, such as `AwaitingApproval`.
    pub reason: String,
    /// The message, without the API server's introduction.
    pub message: String,
    /// The hash of the spec that must be approved first, if the webhook reports one.
    pub spec_hash: Option<String>,
}

impl std::fmt::Display for Denial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// A request of a user failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No usable login.
    #[error("no configuration to reach Kubernetes: set KUBECONFIG, or give --kubeconfig and --context")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The login cannot be used.
    #[error("creating the Kubernetes client")]
    Client(#[source] Box<kube::Error>),
    /// A webhook or a policy denied it.
    #[error("{0}")]
    Denied(Denial),
    /// The resource has changed since it was read.
    #[error("{what}: the resource has changed meanwhile: read it again and retry")]
    Conflict {
        /// The request.
        what: Cow<'static, str>,
    },
    /// RBAC denies it.
    #[error("{what}: {message}")]
    Forbidden {
        /// The request.
        what: Cow<'static, str>,
        /// The API server's message.
        message: String,
    },
    /// Any other error status of the API server.
    #[error("{what}: {message}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The request.
        what: Cow<'static, str>,
        /// The API server's message.
        message: String,
    },
    /// The API server cannot be reached.
    #[error("{what}: the API server cannot be reached")]
    Unreachable {
        /// The request.
        what: Cow<'static, str>,
        /// The connection's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Any other error of the client, such as an invalid response.
    #[error("{what}")]
    Api {
        /// The request.
        what: Cow<'static, str>,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

/// The API server writes this before a webhook's own message.
const DENIED: &str = "denied the request: ";

pub(super) fn failed(what: impl Into<Cow<'static, str>>) -> impl FnOnce(kube::Error) -> SessionError {
    let what = what.into();
    move |error| match error {
        kube::Error::Api(status) => {
            let message = status.message.clone();
            match (message.split_once(DENIED), status.code, status.reason.as_str()) {
                (Some((_, own)), ..) => SessionError::Denied(denial(&status, own)),
                (None, 409, "Conflict") => SessionError::Conflict { what },
                (None, 403, "Forbidden") => SessionError::Forbidden { what, message },
                (None, code, _) => SessionError::Status { code, what, message },
            }
        }
        kube::Error::Service(source) => SessionError::Unreachable { what, source },
        error => SessionError::Api { what, source: Box::new(error) },
    }
}

fn denial(status: &Status, message: &str) -> Denial {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let spec_hash = causes.iter().find(|cause| cause.reason == SPEC_HASH_CAUSE);
    Denial {
        reason: status.reason.clone(),
        message: message.to_owned(),
        spec_hash: spec_hash.map(|cause| cause.message.clone()),
    }
}

impl Session {
    /// Creates the client; sends no request yet.
    ///
    /// # Errors
    /// No usable kubeconfig, or no such context in it.
    pub async fn open(login: &Login) -> Result<Self, SessionError> {
        let mut config = login.config().await?;
        if login.user.is_some() {
            config.auth_info.impersonate.clone_from(&login.user);
            config.auth_info.impersonate_groups = Some(login.groups.clone());
        }
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|source| SessionError::Client(Box::new(source)))?;
        Ok(Self { client, namespace })
    }

    /// The default namespace: that of the context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::{StatusCause, StatusDetails};

    #[test]
    fn a_denial_keeps_its_reason_and_the_hash_of_the_spec() {
        let cause = |reason: &str, message: &str| StatusCause {
            reason: reason.into(),
            message: message.into(),
            field: "spec".into(),
        };
        let mut status =
            Status::failure("admission webhook \"x\" denied the request: a sentence", "AwaitingApproval");
        status.details = Some(StatusDetails {
            name: "orders".into(),
            group: "eventcenter.io".into(),
            kind: "EventTopic".into(),
            uid: String::new(),
            causes: vec![cause("AwaitingApproval", "a sentence"), cause("SpecHash", "00aa")],
            retry_after_seconds: 0,
        });
        let error = failed("replacing")(kube::Error::Api(Box::new(status)));
        let expected = Denial {
            reason: "AwaitingApproval".into(),
            message: "a sentence".into(),
            spec_hash: Some("00aa".into()),
        };
        assert!(matches!(error, SessionError::Denied(denial) if denial == expected));
    }

    fn message(code: u16, reason: &str, message: &str) -> String {
        let status = kube::core::Status::failure(message, reason).with_code(code);
        failed("approving a change")(kube::Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn a_denial_shows_the_webhooks_own_message() {
        assert_eq!(
            message(
                403,
                "ApprovalNotAllowed",
                "admission webhook \"x\" denied the request: ApprovalNotAllowed: bob may not"
            ),
            "ApprovalNotAllowed: bob may not"
        );
        assert_eq!(
            message(403, "Forbidden", "changeapprovals is forbidden: User \"bob\" cannot create"),
            "approving a change: changeapprovals is forbidden: User \"bob\" cannot create"
        );
        assert_eq!(
            message(409, "Conflict", "the object has been modified"),
            "approving a change: the resource has changed meanwhile: read it again and retry"
        );
        assert_eq!(message(404, "NotFound", "no such thing"), "approving a change: no such thing");
    }
}
