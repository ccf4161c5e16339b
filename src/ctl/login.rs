//! The flags by which a command finds its Kubernetes, as `kubectl` has them, and the resource that it is about.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::api::{Governance, Kind, KindInfo};
use crate::kubernetes::{Login, Session, SessionError};

/// Which Kubernetes, as whom, and where in it.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Namespace, instead of that of the context.
    #[arg(long, short, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// The kubeconfig, instead of those that KUBECONFIG names and of ~/.kube/config.
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig, instead of its current one.
    #[arg(long, value_name = "NAME", help_heading = "Kubernetes")]
    context: Option<String>,
    /// The user to act as, for whoever may impersonate.
    #[arg(long = "as", value_name = "USER", help_heading = "Kubernetes")]
    user: Option<String>,
    /// A group to act in; may be given several times.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user", help_heading = "Kubernetes")]
    groups: Vec<String>,
}

impl Flags {
    /// Logs in.
    pub(super) async fn open(&self) -> Result<Session, SessionError> {
        let Self { kubeconfig, context, user, groups, namespace: _ } = self;
        let login = Login {
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
            user: user.clone(),
            groups: groups.clone(),
        };
        Session::open(&login).await
    }

    /// The namespace that is meant.
    pub(super) fn place(&self, session: &Session) -> String {
        self.namespace.clone().unwrap_or_else(|| session.namespace().to_owned())
    }
}

/// Does what needs Kubernetes.
pub(super) fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Whoever was first has installed the same.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A resource as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

impl Named {
    /// Reads `KIND NAME` or `KIND/NAME`, with the kind as `kubectl` takes it.
    pub(super) fn read(words: &[String]) -> anyhow::Result<Self> {
        let (kind, name) = match words {
            [both] => both.split_once('/').unwrap_or((both, "")),
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => ("", ""),
        };
        if name.is_empty() || name.contains('/') {
            bail!("which resource? Write KIND NAME or KIND/NAME, such as EventTopic orders");
        }
        Ok(Self { kind: governed(kind)?, name: name.to_owned() })
    }

    /// The same, where the resource may be left out.
    pub(super) fn if_any(words: &[String]) -> anyhow::Result<Option<Self>> {
        (!words.is_empty()).then(|| Self::read(words)).transpose()
    }

    /// It, where it may not after all.
    pub(super) fn needed(named: Option<Self>) -> anyhow::Result<Self> {
        named.map_or_else(|| Self::read(&[]), Ok)
    }
}

/// A kind by any of its names: `EventTopic`, `eventtopics`, `etopic`, `eventtopics.eventcenter.io`.
fn governed(word: &str) -> anyhow::Result<Kind> {
    let info = KindInfo::find(word).filter(|kind| kind.governance == Governance::Governed);
    match info {
        Some(info) => Ok(info.kind()),
        None => {
            let governed: Vec<&str> = KindInfo::governed().map(|kind| kind.name).collect();
            bail!("{word} is no kind whose changes need approval: write {}", governed.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(String::from).collect();
        Named::read(&words).map(|named| named.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_resource_is_named_as_kubectl_takes_it() {
        for line in [
            "EventTopic orders",
            "eventtopic orders",
            "eventtopics orders",
            "etopic orders",
            "EventTopic/orders",
            "etopic/orders",
            "eventtopic.eventcenter.io/orders",
            "eventtopics.v1alpha1.eventcenter.io orders",
        ] {
            assert_eq!(read(line), Ok("EventTopic orders".into()), "{line}");
        }
    }

    #[test]
    fn what_names_no_resource_is_told() {
        for line in ["", "EventTopic", "EventTopic/", "EventTopic a/b", "etopic/a/b"] {
            assert!(read(line).is_err_and(|error| error.contains("KIND NAME")), "{line}");
        }
        assert_eq!(
            read("secret/orders"),
            Err("secret is no kind whose changes need approval: write EventTopic".into())
        );
    }
}
