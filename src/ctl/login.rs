//! The flags that select the Kubernetes cluster and the user, named as those of `kubectl`.

use std::path::PathBuf;

use clap::Args;

use crate::kubernetes::{Login, Session, SessionError};

/// The cluster, the user and the namespace.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// Namespace. Default: the namespace of the context.
    #[arg(long, short, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// Path of the kubeconfig. Default: the files that KUBECONFIG lists, or ~/.kube/config.
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current context.
    #[arg(long, value_name = "NAME", help_heading = "Kubernetes")]
    context: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", value_name = "USER", help_heading = "Kubernetes")]
    user: Option<String>,
    /// Group to impersonate. May be repeated.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user", help_heading = "Kubernetes")]
    groups: Vec<String>,
}

impl LoginArgs {
    /// Opens a session. Sends no request yet.
    pub(super) async fn open(&self) -> Result<Session, SessionError> {
        Session::open(&self.login()).await
    }

    /// The login to Kubernetes.
    pub(super) fn login(&self) -> Login {
        let Self { kubeconfig, context, user, groups, namespace: _ } = self;
        Login {
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
            user: user.clone(),
            groups: groups.clone(),
        }
    }

    /// The user to impersonate.
    pub(super) fn impersonated_user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The namespace of the flag, or else of the session's context.
    pub(super) fn namespace_in(&self, session: &Session) -> String {
        self.namespace.clone().unwrap_or_else(|| session.namespace().to_owned())
    }
}

/// Runs a future that uses the network.
pub(super) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Fails if a provider is installed already, which is the same one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
