//! Kubernetes as whoever runs a command: with their login and their rights, and nothing going on beside.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How somebody logs in to Kubernetes: as `kubectl` does with the flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The kubeconfig, instead of those that KUBECONFIG names and of `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it, instead of its current one.
    pub context: Option<String>,
    /// The user to act as.
    pub user: Option<String>,
    /// The groups to act in.
    pub groups: Vec<String>,
}

impl Login {
    /// What the kubeconfig says of the cluster and of whoever logs in.
    pub(super) async fn config(&self) -> Result<Config, SessionError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let unusable = |source| SessionError::Kubeconfig(Box::new(source));
        match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(unusable)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)
            }
            None => match Config::from_kubeconfig(&options).await {
                // In a pod, such as that of a pipeline, it is the pod's service account.
                Err(error) if self.context.is_none() => Config::incluster().map_err(|_| unusable(error)),
                found => found.map_err(unusable),
            },
        }
    }
}

/// A connection to the API server as one person.
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

/// What somebody asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No usable login.
    #[error("finding out how to reach Kubernetes (set KUBECONFIG, or give --kubeconfig and --context)")]
    Kubeconfig(#[source] Box<KubeconfigError>),
    /// The login cannot be used.
    #[error("making a client for Kubernetes")]
    Client(#[source] Box<kube::Error>),
    /// A webhook or a policy says no, in these words.
    #[error("{0}")]
    Refused(String),
    /// It was read before somebody else changed it.
    #[error("{what}: the resource has changed meanwhile: look at it again")]
    Conflict {
        /// What was to be done.
        what: &'static str,
    },
    /// The user has not the right to.
    #[error("{what}: {message}")]
    Forbidden {
        /// What was to be done.
        what: &'static str,
        /// The API server's words.
        message: String,
    },
    /// Anything else that the API server says.
    #[error("{what}: {message}")]
    Told {
        /// What was to be done.
        what: &'static str,
        /// The API server's words.
        message: String,
    },
    /// Nobody answers.
    #[error("{what}: the API server cannot be reached")]
    Away {
        /// What was to be done.
        what: &'static str,
        /// What the connection says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the API server answers cannot be understood.
    #[error("{what}")]
    Api {
        /// What was to be done.
        what: &'static str,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

/// What the API server puts before the words of a webhook.
const DENIED: &str = "denied the request: ";

pub(super) fn failed(what: &'static str) -> impl FnOnce(kube::Error) -> SessionError {
    move |error| match error {
        kube::Error::Api(status) => {
            let message = status.message.clone();
            match (message.split_once(DENIED), status.code, status.reason.as_str()) {
                (Some((_, own)), ..) => SessionError::Refused(own.to_owned()),
                (None, 409, "Conflict") => SessionError::Conflict { what },
                (None, 403, "Forbidden") => SessionError::Forbidden { what, message },
                _ => SessionError::Told { what, message },
            }
        }
        kube::Error::Service(source) => SessionError::Away { what, source },
        error => SessionError::Api { what, source: Box::new(error) },
    }
}

impl Session {
    /// Logs in. Nothing is sent yet.
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

    /// The namespace that is meant if none is named: that of the context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: u16, reason: &str, message: &str) -> String {
        let status = kube::core::Status::failure(message, reason).with_code(code);
        failed("approving a change")(kube::Error::Api(Box::new(status))).to_string()
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_whoever_refuses() {
        assert_eq!(
            told(
                403,
                "ApprovalNotAllowed",
                "admission webhook \"x\" denied the request: ApprovalNotAllowed: bob may not"
            ),
            "ApprovalNotAllowed: bob may not"
        );
        assert_eq!(
            told(403, "Forbidden", "changeapprovals is forbidden: User \"bob\" cannot create"),
            "approving a change: changeapprovals is forbidden: User \"bob\" cannot create"
        );
        assert_eq!(
            told(409, "Conflict", "the object has been modified"),
            "approving a change: the resource has changed meanwhile: look at it again"
        );
        assert_eq!(told(404, "NotFound", "no such thing"), "approving a change: no such thing");
    }
}
