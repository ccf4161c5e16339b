//! An API server, Kafka, and the operators between them.

use std::path::PathBuf;
use std::sync::Arc;

use xtask::kubectl::Kubectl;
use xtask::{logs, process};

use super::Broker;

/// An API server, Kafka, and the operators between them.
#[derive(Clone)]
pub(crate) struct Stage {
    /// The kubeconfig of the administrator.
    pub(crate) kubeconfig: PathBuf,
    /// The program kubectl.
    pub(crate) kubectl: PathBuf,
    /// The broker of the stage's KafkaClusters.
    pub(crate) kafka: Arc<Broker>,
    /// `spec.clusters` of the tenants; empty for the default cluster.
    pub(crate) clusters: Vec<String>,
    /// The logs of its operators.
    pub(crate) logs: OperatorLogs,
}

impl Stage {
    /// kubectl as the administrator.
    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubectl, &self.kubeconfig)
    }
}

/// The log files of operators: those in a folder whose names begin with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct OperatorLogs {
    folder: PathBuf,
    prefix: &'static str,
}

impl OperatorLogs {
    /// The logs in the folder with the prefix.
    pub(crate) fn new(folder: PathBuf, prefix: &'static str) -> Self {
        Self { folder, prefix }
    }

    /// The files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = logs::find(&self.folder, self.prefix);
        files.retain(|file| file.parent() == Some(&self.folder));
        files
    }

    /// The text of all files.
    pub(crate) fn read(&self) -> String {
        self.files().iter().map(|file| std::fs::read_to_string(file).expect("a log")).collect()
    }

    /// The last lines of each file.
    pub(crate) fn tail(&self) -> String {
        let tails = self.files().into_iter().map(|file| {
            format!(
                "The last lines of the operator's log {}:\n{}\n",
                file.display(),
                process::tail(&file, 40)
            )
        });
        tails.collect()
    }
}
