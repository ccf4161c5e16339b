//! Control plane, Kafka and operator together: started in parallel and stopped in order.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{
    artefacts::{Artefacts, KafkaLibs},
    console::Console,
    controlplane::{ControlPlane, ControlPlaneOptions},
    kafka::{BrokerOptions, KafkaBroker, Profile},
    kubectl::Kubectl,
    operator::{Operator, OperatorOptions, webhook_url},
    port, prerequisites,
    procfs::Identity,
};

/// The Kubernetes cluster of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cluster {
    /// A control plane that this program runs.
    Own(PathBuf),
    /// The cluster of this kubeconfig.
    Existing(PathBuf),
}

/// The Kafka cluster of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kafka {
    /// A broker of our own.
    Own,
    /// These bootstrap servers.
    Existing(String),
}

/// Arguments of an operator without a second replica and without a supervisor that restarts it: a long Lease, so that it
/// does not end when the machine is busy for some seconds.
pub const SINGLE_REPLICA: [&str; 2] = ["--lease-duration", "60s"];

/// The operator to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPlan {
    /// The program.
    pub program: PathBuf,
    /// Arguments after `eventcenter run`.
    pub arguments: Vec<String>,
    /// Whether it has the role of the webhook, and the API server calls it.
    pub webhook: bool,
    /// Whether it has the role of the REST API.
    pub api: bool,
    /// Whether it has the role that executes calls and events of tasks.
    pub runner: bool,
}

/// The parts of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The repository with the CRDs and the settings.
    pub repository: PathBuf,
    /// The folder of Kafka's jars.
    pub kafka_libs: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
    /// The Kubernetes cluster.
    pub cluster: Cluster,
    /// The Kafka cluster.
    pub kafka: Kafka,
    /// Whether there is a second broker, with SASL/SCRAM and ACLs.
    pub sasl: bool,
    /// The operator, if there is one.
    pub operator: Option<OperatorPlan>,
}

impl Plan {
    /// A control plane, both brokers and no operator. Makes the artefacts that are missing.
    pub fn for_tests(repository: &Path, console: &Console) -> Result<Self> {
        let artefacts = Artefacts::new(repository, console)?;
        prerequisites::ensure(&artefacts.tools(true)?, repository, console)?;
        Ok(Self {
            repository: repository.to_owned(),
            kafka_libs: artefacts.kafka_libs()?,
            // The control plane first: most of kubectl is compiled with it.
            cluster: Cluster::Own(artefacts.control_plane()?),
            kubectl: artefacts.kubectl()?,
            kafka: Kafka::Own,
            sasl: true,
            operator: None,
        })
    }

    /// Kafka's jars and commands.
    pub fn libs(&self) -> KafkaLibs {
        KafkaLibs::new(&self.kafka_libs, &self.repository)
    }
}

/// One process of the environment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Component {
    /// Its name, as in `cargo xtask logs NAME`.
    pub name: String,
    /// Identifies its process.
    pub identity: Identity,
    /// Its address.
    pub address: String,
    /// Its log.
    pub log: PathBuf,
}

/// A running environment. Dropping it stops it.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
    plan: Plan,
    kubeconfig: PathBuf,
    operator_kubeconfig: PathBuf,
    control_plane: Option<ControlPlane>,
    kafka: Option<KafkaBroker>,
    sasl: Option<KafkaBroker>,
    operator: Option<Operator>,
}

struct ClusterParts {
    control_plane: Option<ControlPlane>,
    kubeconfig: PathBuf,
    operator_kubeconfig: PathBuf,
}

impl Environment {
    /// Starts all parts of the plan, with logs and data in the folder. Returns when they are ready.
    pub fn start(folder: &Path, plan: &Plan, console: &Console) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let libs = plan.libs();
        let broker = |name: &str, profile, title: &str| {
            let start =
                |_: &_| KafkaBroker::start(&folder.join(name), &libs, profile, &BrokerOptions::default());
            console.run(title, start)
        };
        let (cluster, kafka, sasl) = thread::scope(|scope| {
            let kafka = (plan.kafka == Kafka::Own)
                .then(|| scope.spawn(|| broker("kafka", Profile::Plaintext, "Starting Kafka")));
            let sasl = plan.sasl.then(|| {
                scope.spawn(|| broker("kafka-sasl", Profile::Scram, "Starting Kafka with logins and ACLs"))
            });
            let cluster = start_cluster(&folder, plan, console);
            let join = |thread: Option<thread::ScopedJoinHandle<'_, Result<KafkaBroker>>>| {
                thread
                    .map(|thread| thread.join().map_err(|_| anyhow!("starting Kafka panicked"))?)
                    .transpose()
            };
            (cluster, join(kafka), join(sasl))
        });
        let ClusterParts { control_plane, kubeconfig, operator_kubeconfig } = cluster?;
        let mut environment = Self {
            folder,
            plan: plan.clone(),
            kubeconfig,
            operator_kubeconfig,
            control_plane,
            kafka: kafka?,
            sasl: sasl?,
            operator: None,
        };
        if let Some(operator) = &plan.operator {
            console.run("Starting the operator", |_| environment.start_operator(operator))?;
        }
        Ok(environment)
    }

    fn start_operator(&mut self, plan: &OperatorPlan) -> Result<()> {
        let mut options = OperatorOptions::new(&plan.program, &self.operator_kubeconfig);
        options.arguments = SINGLE_REPLICA.map(String::from).into();
        options.arguments.extend_from_slice(&plan.arguments);
        options.runner = plan.runner;
        let log = self.operator_log();
        if !plan.webhook && !plan.api {
            self.operator = Some(Operator::start(&options, &log)?);
            return Ok(());
        }
        let operator = port::retry_if_taken(|| {
            options.api = plan.api.then(port::free).transpose()?;
            if !plan.webhook {
                return Operator::start(&options, &log);
            }
            let webhook = port::free()?;
            // Before the operator, which is ready once the API server trusts its certificate.
            self.kubectl().install_webhook(&plan.program, &webhook_url(webhook), &self.folder)?;
            options.webhook = Some(webhook);
            Operator::start(&options, &log)
        });
        self.operator = Some(operator?);
        Ok(())
    }

    fn operator_log(&self) -> PathBuf {
        self.folder.join("operator.log")
    }

    /// The folder with logs and data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kubeconfig with all rights.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubeconfig of the operator's ServiceAccount.
    pub fn operator_kubeconfig(&self) -> &Path {
        &self.operator_kubeconfig
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.plan.kubectl, &self.kubeconfig)
    }

    /// `HOST:PORT` of Kafka.
    pub fn bootstrap(&self) -> String {
        match (&self.plan.kafka, &self.kafka) {
            (Kafka::Existing(bootstrap), _) => bootstrap.clone(),
            (Kafka::Own, Some(kafka)) => kafka.bootstrap(),
            (Kafka::Own, None) => String::new(),
        }
    }

    /// The control plane, unless the cluster is an existing one.
    pub fn control_plane(&mut self) -> Option<&mut ControlPlane> {
        self.control_plane.as_mut()
    }

    /// The broker without authentication, unless Kafka is an existing one.
    pub fn kafka(&mut self) -> Option<&mut KafkaBroker> {
        self.kafka.as_mut()
    }

    /// The broker with SASL/SCRAM, if there is one.
    pub fn sasl(&mut self) -> Option<&mut KafkaBroker> {
        self.sasl.as_mut()
    }

    /// The operator, if there is one.
    pub fn operator(&mut self) -> Option<&mut Operator> {
        self.operator.as_mut()
    }

    /// Environment variables with the addresses of all parts, for a shell or a test.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        let mut set = |key: &str, value: String| variables.push((key.to_owned(), value));
        let path = |path: &Path| path.display().to_string();
        set("KUBECONFIG", path(&self.kubeconfig));
        set("KUBECTL", path(&self.plan.kubectl));
        set("KAFKA_BOOTSTRAP", self.bootstrap());
        set("KAFKA_LIBS", path(&self.plan.kafka_libs));
        if let Some(sasl) = &self.sasl {
            set("KAFKA_SASL_BOOTSTRAP", sasl.bootstrap());
            set("KAFKA_SASL_CLIENTS", path(&self.folder.join("kafka-sasl")));
        }
        if let Some(operator) = &self.operator {
            set("METRICS_URL", operator.metrics_url());
            if let Some(url) = operator.webhook_url() {
                set("WEBHOOK_URL", url);
            }
            if let Some(url) = operator.api_url() {
                set("API_URL", url.clone());
                set("EVENTCTL_SERVER", url);
            }
        }
        set("OPERATOR_KUBECONFIG", path(&self.operator_kubeconfig));
        for component in self.components() {
            let name = component.name.to_uppercase().replace('-', "_");
            set(&format!("{name}_PID"), component.identity.pid.to_string());
        }
        variables
    }

    /// Its processes.
    pub fn components(&self) -> Vec<Component> {
        let mut all = Vec::new();
        let mut add = |name: &str, identity: Option<&Identity>, address: String, log: PathBuf| {
            if let Some(identity) = identity {
                all.push(Component { name: name.to_owned(), identity: identity.clone(), address, log });
            }
        };
        if let Some(control_plane) = &self.control_plane {
            add("controlplane", control_plane.identity(), String::new(), control_plane.log());
            for (name, child) in control_plane.children() {
                let address = if *name == "apiserver" { control_plane.server() } else { "" };
                let log = crate::logs::find(&control_plane.data_dir(), name).into_iter().next();
                add(name, Some(child), address.to_owned(), log.unwrap_or_else(|| control_plane.log()));
            }
        }
        for (name, broker) in [("kafka", &self.kafka), ("kafka-sasl", &self.sasl)] {
            if let Some(broker) = broker {
                add(name, broker.identity(), broker.bootstrap(), broker.log());
            }
        }
        if let Some(operator) = &self.operator {
            add("operator", Some(operator.identity()), operator.metrics_url(), operator.log().to_owned());
        }
        all
    }

    /// Reaps children that ended by themselves, so that they do not appear as running.
    pub fn collect(&mut self) -> Result<()> {
        if let Some(operator) = &mut self.operator {
            operator.exited()?;
        }
        for broker in [&mut self.kafka, &mut self.sasl].into_iter().flatten() {
            broker.has_died()?;
        }
        if let Some(control_plane) = &mut self.control_plane {
            control_plane.has_died()?;
        }
        Ok(())
    }

    /// Stops the operator, then Kafka, then the control plane. Continues after a failure and returns the first one.
    pub fn stop(&mut self) -> Result<()> {
        let mut results = Vec::new();
        if let Some(operator) = self.operator.take() {
            results.push(operator.stop().map(drop).context("the operator"));
        }
        for broker in [self.kafka.take(), self.sasl.take()].iter_mut().flatten() {
            results.push(broker.stop().context("Kafka"));
        }
        if let Some(mut control_plane) = self.control_plane.take() {
            results.push(control_plane.stop().context("the control plane"));
        }
        results.into_iter().collect()
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // A part that does not stop is killed by its own drop.
        let _ = self.stop();
    }
}

fn start_cluster(folder: &Path, plan: &Plan, console: &Console) -> Result<ClusterParts> {
    let (control_plane, kubeconfig) = match &plan.cluster {
        Cluster::Existing(kubeconfig) => (None, kubeconfig.clone()),
        Cluster::Own(program) => {
            let started = console.run("Starting the Kubernetes control plane", |_| {
                ControlPlane::start(&folder.join("controlplane"), program, &ControlPlaneOptions::default())
            })?;
            let kubeconfig = started.kubeconfig().to_owned();
            (Some(started), kubeconfig)
        }
    };
    let kubectl = Kubectl::new(&plan.kubectl, &kubeconfig);
    let operator_kubeconfig =
        console.run("Installing the resource definitions and the operator's rights", |_| {
            kubectl.install_crds(&plan.repository)?;
            kubectl.prepare_operator(&plan.repository, folder)
        })?;
    Ok(ClusterParts { control_plane, kubeconfig, operator_kubeconfig })
}

const TEMPORARY: &str = "eventcenter-env-";
const OWNER: &str = "owner.json";

/// A temporary folder that names its process. Removes the folders of processes that have ended.
pub fn temporary_folder() -> Result<TempDir> {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        let owner =
            fs::read(entry.path().join(OWNER)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if ours && owner.is_some_and(|owner: Identity| !owner.is_alive()) {
            // It may belong to another user, or another process may be removing it.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let folder = tempfile::Builder::new().prefix(TEMPORARY).tempdir()?;
    fs::write(folder.path().join(OWNER), serde_json::to_vec(&Identity::own()?)?)?;
    Ok(folder)
}

/// An environment in a temporary folder. Dropping it stops the one and removes the other.
#[derive(Debug)]
pub struct TempEnvironment {
    // Fields are dropped in this order: first the processes, then their files.
    environment: Environment,
    folder: TempDir,
}

impl TempEnvironment {
    /// Starts all parts of the plan.
    pub fn start(plan: &Plan, console: &Console) -> Result<Self> {
        let folder = temporary_folder()?;
        Ok(Self { environment: Environment::start(folder.path(), plan, console)?, folder })
    }

    /// Stops it and keeps the folder. Returns the folder.
    pub fn keep(mut self) -> Result<PathBuf> {
        let stopped = self.environment.stop();
        let Self { environment, folder } = self;
        drop(environment);
        let folder = folder.keep();
        // Without an owner, no later run removes it.
        fs::remove_file(folder.join(OWNER))?;
        stopped.map(|()| folder)
    }
}

impl std::ops::Deref for TempEnvironment {
    type Target = Environment;
    fn deref(&self) -> &Environment {
        &self.environment
    }
}

impl std::ops::DerefMut for TempEnvironment {
    fn deref_mut(&mut self) -> &mut Environment {
        &mut self.environment
    }
}
