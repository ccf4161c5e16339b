//! The environment that tests against the real parts share.
//!
//! `cargo xtask test` starts one and passes its addresses in environment variables; a test program that runs alone starts
//! its own. A `KUBECONFIG` without [`MARK`] is never used: it may name a real cluster.

use std::{
    env,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use anyhow::{Context, Result};

use crate::{
    artefacts::KafkaLibs,
    console::Console,
    environment::{Plan, TempEnvironment},
    kubectl::{Kubectl, role_kubeconfig},
    paths,
};

/// The variable with which `cargo xtask test` marks the other variables as those of its environment.
pub const MARK: &str = "EVENTCENTER_TEST_ENVIRONMENT";

/// The addresses and programs of the environment.
#[derive(Debug, Clone)]
pub struct TestEnvironment {
    /// The kubeconfig of the administrator.
    pub kubeconfig: PathBuf,
    /// The kubeconfig of the operator's ServiceAccount (the same as the other one without `dev/operator-rbac.yaml`).
    pub operator_kubeconfig: PathBuf,
    /// The program kubectl.
    pub kubectl: PathBuf,
    /// `HOST:PORT` of the broker without authentication.
    pub bootstrap: String,
    /// `HOST:PORT` of the broker with SASL/SCRAM and ACLs; its users are [`crate::kafka::USERS`].
    pub sasl_bootstrap: String,
    /// The folder with `USER.properties` for Kafka's tools on that broker.
    pub sasl_clients: PathBuf,
    /// The folder of Kafka's jars, for a test that starts a broker.
    pub kafka_libs: PathBuf,
    /// The control plane's program, for a test that starts a control plane.
    pub control_plane: PathBuf,
    repository: PathBuf,
}

impl TestEnvironment {
    /// The shared environment. It runs until the process ends.
    pub fn get() -> Result<&'static Self> {
        static SHARED: OnceLock<TestEnvironment> = OnceLock::new();
        static STARTING: Mutex<()> = Mutex::new(());
        // If another test panicked while it started the environment, this one tries again.
        let _one = STARTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(shared) = SHARED.get() {
            return Ok(shared);
        }
        let shared = if env::var_os(MARK).is_some() { Self::from_variables()? } else { Self::start()? };
        Ok(SHARED.get_or_init(|| shared))
    }

    fn from_variables() -> Result<Self> {
        let text = |name: &str| env::var(name).with_context(|| format!("{MARK} is set but {name} is not"));
        let path = |name: &str| text(name).map(PathBuf::from);
        Ok(Self {
            kubeconfig: path("KUBECONFIG")?,
            operator_kubeconfig: path("OPERATOR_KUBECONFIG")?,
            kubectl: path("KUBECTL")?,
            bootstrap: text("KAFKA_BOOTSTRAP")?,
            sasl_bootstrap: text("KAFKA_SASL_BOOTSTRAP")?,
            sasl_clients: path("KAFKA_SASL_CLIENTS")?,
            kafka_libs: path("KAFKA_LIBS")?,
            control_plane: path("CONTROLPLANE_BIN")?,
            repository: paths::repository()?,
        })
    }

    fn start() -> Result<Self> {
        static OWN: OnceLock<Mutex<TempEnvironment>> = OnceLock::new();
        let repository = paths::repository()?;
        let console = Console::stderr();
        let plan = Plan::for_tests(&repository, &console)?;
        let mut started = TempEnvironment::start(&plan, &console)?;
        let sasl_bootstrap = started.sasl().context("the plan has a broker with SASL")?.bootstrap();
        let crate::environment::Cluster::Own(control_plane) = plan.cluster else {
            anyhow::bail!("the plan has no control plane");
        };
        let shared = Self {
            kubeconfig: started.kubeconfig().to_owned(),
            operator_kubeconfig: started.operator_kubeconfig().to_owned(),
            kubectl: plan.kubectl,
            bootstrap: started.bootstrap(),
            sasl_bootstrap,
            sasl_clients: started.folder().join("kafka-sasl"),
            kafka_libs: plan.kafka_libs,
            control_plane,
            repository,
        };
        // Never dropped: the kernel ends the processes with this one, and the next run removes the folder.
        OWN.get_or_init(|| Mutex::new(started));
        Ok(shared)
    }

    /// Kafka's jars with the repository's settings.
    pub fn libs(&self) -> KafkaLibs {
        KafkaLibs::new(&self.kafka_libs, &self.repository)
    }

    /// The kubeconfig of the ServiceAccount of a role, such as `runner`.
    pub fn role_kubeconfig(&self, role: &str) -> PathBuf {
        role_kubeconfig(self.operator_kubeconfig.parent().unwrap_or(Path::new("")), role)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubectl, &self.kubeconfig)
    }

    /// The repository.
    pub fn repository(&self) -> &Path {
        &self.repository
    }
}
