//! A control plane, a broker and operators that a test may break.
//!
//! At most [`MAX_SETS`] sets exist, and each serves one test after the other. Between the operators and the other parts are
//! [`Proxy`]s; the test itself connects around them.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use xtask::console::Console;
use xtask::controlplane::{ControlPlane, ControlPlaneOptions};
use xtask::environment::{Cluster, Plan, temporary_folder};
use xtask::kafka::{BrokerOptions, KafkaBroker, Profile};
use xtask::kubectl::Kubectl;
use xtask::operator::{Operator, data_folder, webhook_url};

use crate::proxy::{Mode, Protocol, Proxy};
use crate::support::operator::{options, program};
use crate::support::{Broker, OperatorLogs, Stage};

/// How many sets exist at once: each takes some 600 MiB of memory.
const MAX_SETS: usize = 3;

static PERMITS: Semaphore = Semaphore::const_new(MAX_SETS);
static IDLE: Mutex<Vec<Parts>> = Mutex::new(Vec::new());

/// The prefix of the names of the operators' logs.
const LOG_PREFIX: &str = "operator-";

/// One set. Fields are dropped in this order, so the processes end before their files are removed.
pub(crate) struct Parts {
    /// The proxy between the operators and the API server.
    pub(crate) api_proxy: Proxy,
    /// The proxy between the operators and Kafka.
    pub(crate) kafka_proxy: Proxy,
    /// The control plane.
    pub(crate) control_plane: ControlPlane,
    /// The broker.
    pub(crate) broker: KafkaBroker,
    api_server_port: u16,
    ports: BrokerPorts,
    plan: Plan,
    operator_kubeconfig: PathBuf,
    folder: TempDir,
}

#[derive(Clone, Copy)]
struct BrokerPorts {
    /// The listener behind the proxy.
    proxied: u16,
    /// The listener around the proxy.
    direct: u16,
    controller: u16,
}

/// A set that a test uses. Dropping it returns the set for the next test; a set of a failed test is discarded.
pub(crate) struct PartsLease {
    parts: Option<Parts>,
    _permit: SemaphorePermit<'static>,
}

impl Deref for PartsLease {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        self.parts.as_ref().expect("only drop takes it")
    }
}

impl DerefMut for PartsLease {
    fn deref_mut(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("only drop takes it")
    }
}

impl Drop for PartsLease {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(mut parts) = self.parts.take()
            && parts.repair().is_ok()
        {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(parts);
        }
    }
}

impl Parts {
    /// An idle set, in the state in which the previous test left it, or a new one.
    pub(crate) async fn lease() -> Result<PartsLease> {
        let permit = PERMITS.acquire().await.context("the semaphore is never closed")?;
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let parts = idle.map_or_else(Self::start, Ok)?;
        Ok(PartsLease { parts: Some(parts), _permit: permit })
    }

    fn start() -> Result<Self> {
        let plan = Plan::for_tests(&xtask::paths::repository()?, &Console::stderr())?;
        let Cluster::Own(program) = &plan.cluster else { anyhow::bail!("the plan has no control plane") };
        let folder = temporary_folder()?;
        let free = xtask::port::free;
        let ports = BrokerPorts { proxied: free()?, direct: free()?, controller: free()? };
        let kafka_proxy = Proxy::start(ports.proxied, Protocol::Kafka)?;
        let api_server_port = free()?;
        let api_proxy = Proxy::start(api_server_port, Protocol::Opaque)?;
        let (control_plane, broker) = std::thread::scope(|scope| {
            let broker = scope.spawn(|| start_broker(folder.path(), &plan, ports, kafka_proxy.port()));
            let options = ControlPlaneOptions { port: Some(api_server_port) };
            let control_plane = ControlPlane::start(&folder.path().join("controlplane"), program, &options);
            (control_plane, broker.join().expect("starting Kafka does not panic"))
        });
        let (control_plane, broker) = (control_plane?, broker?);
        let kubectl = Kubectl::new(&plan.kubectl, control_plane.kubeconfig());
        kubectl.install_crds(&plan.repository)?;
        let operator_kubeconfig = kubectl.prepare_operator(&plan.repository, folder.path())?;
        let proxied = std::fs::read_to_string(&operator_kubeconfig)?
            .replace(&format!(":{api_server_port}"), &format!(":{}", api_proxy.port()));
        std::fs::write(&operator_kubeconfig, proxied)?;
        Ok(Self {
            api_proxy,
            kafka_proxy,
            control_plane,
            broker,
            api_server_port,
            ports,
            plan,
            operator_kubeconfig,
            folder,
        })
    }

    /// Restarts the parts that a test stopped, and releases the data that it held.
    fn repair(&mut self) -> Result<()> {
        self.release_proxies();
        self.broker.resume()?;
        self.broker.start_again()?;
        self.control_plane.start_again()
    }

    /// Drops the connections of both proxies with everything they hold, and makes them forward again.
    pub(crate) fn release_proxies(&self) {
        for proxy in [&self.api_proxy, &self.kafka_proxy] {
            proxy.reset();
            proxy.set(Mode::Pass);
        }
    }

    /// Kills the broker and starts another one in its place, without its data.
    pub(crate) fn replace_broker(&mut self) -> Result<()> {
        self.broker.kill()?;
        self.broker = start_broker(self.folder.path(), &self.plan, self.ports, self.kafka_proxy.port())?;
        Ok(())
    }

    /// The stage of these parts: all its connections are around the proxies.
    pub(crate) fn stage(&self) -> Stage {
        Stage {
            kubeconfig: self.control_plane.kubeconfig().to_owned(),
            kubectl: self.plan.kubectl.clone(),
            kafka: Arc::new(Broker::plaintext(&format!("127.0.0.1:{}", self.ports.direct))),
            clusters: Vec::new(),
            logs: OperatorLogs::new(self.folder.path().to_owned(), LOG_PREFIX),
        }
    }

    /// `HOST:PORT` of Kafka for the operators.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.kafka_proxy.port())
    }

    /// Starts a replica of this name behind the proxies. Returns when it is ready.
    pub(crate) fn start_operator(&self, instance: &str, arguments: &[&str]) -> Result<Operator> {
        self.launch(&self.operator_kubeconfig, instance, arguments, true)
    }

    /// Starts a replica of this name behind the proxies, and does not wait until it is ready.
    pub(crate) fn launch_operator(&self, instance: &str, arguments: &[&str]) -> Result<Operator> {
        self.launch(&self.operator_kubeconfig, instance, arguments, false)
    }

    /// As [`Parts::start_operator`], with another proxy before the API server.
    pub(crate) fn start_operator_through(
        &self,
        proxy: &Proxy,
        instance: &str,
        arguments: &[&str],
    ) -> Result<Operator> {
        let proxied = std::fs::read_to_string(&self.operator_kubeconfig)?;
        let kubeconfig = self.folder.path().join(format!("{instance}.kubeconfig"));
        std::fs::write(
            &kubeconfig,
            proxied.replace(&format!(":{}", self.api_proxy.port()), &format!(":{}", proxy.port())),
        )?;
        self.launch(&kubeconfig, instance, arguments, true)
    }

    /// The port of the API server, behind the proxy.
    pub(crate) fn api_server_port(&self) -> u16 {
        self.api_server_port
    }

    /// Starts a replica of this name with the role webhook only, on a port. Returns when it is ready.
    pub(crate) fn start_webhook(&self, instance: &str, port: u16, arguments: &[&str]) -> Result<Operator> {
        self.start_operator(instance, &webhook_arguments(&format!("127.0.0.1:{port}"), arguments))
    }

    /// As [`Parts::start_webhook`], and does not wait until it is ready.
    pub(crate) fn launch_webhook(&self, instance: &str, port: u16, arguments: &[&str]) -> Result<Operator> {
        self.launch_operator(instance, &webhook_arguments(&format!("127.0.0.1:{port}"), arguments))
    }

    /// Installs the webhook configurations and policies, for a webhook on this port that may not run.
    pub(crate) fn install_webhook(&self, port: u16) -> Result<()> {
        self.kubectl().install_webhook(program(), &webhook_url(port), self.folder.path())
    }

    fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.plan.kubectl, self.control_plane.kubeconfig())
    }

    fn launch(
        &self,
        kubeconfig: &Path,
        instance: &str,
        arguments: &[impl AsRef<str>],
        wait: bool,
    ) -> Result<Operator> {
        let mut options = options(kubeconfig);
        let is_given = |flag: &str| arguments.iter().any(|argument| argument.as_ref() == flag);
        let defaults = std::mem::take(&mut options.arguments);
        let defaults = defaults.chunks(2).filter(|pair| !is_given(&pair[0]));
        options.arguments = defaults.flatten().cloned().collect();
        options.arguments.extend(["--instance", instance].map(String::from));
        if !is_given("--log") {
            options.arguments.extend(["--log", "info,eventcenter=debug"].map(String::from));
        }
        options.arguments.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        options.wait = wait;
        Operator::start(&options, &self.folder.path().join(format!("{LOG_PREFIX}{instance}.log")))
    }

    /// Starts a broker with SASL/SCRAM and ACLs beside the other one.
    pub(crate) fn start_sasl_broker(&self) -> Result<KafkaBroker> {
        let folder = self.folder.path().join("kafka-sasl");
        KafkaBroker::start(&folder, &self.plan.libs(), Profile::Scram, &BrokerOptions::default())
    }

    /// Removes the logs and data of earlier operators.
    pub(crate) fn clear_operators(&self) {
        for log in self.stage().logs.files() {
            drop(std::fs::remove_dir_all(data_folder(&log)));
            drop(std::fs::remove_file(log));
        }
    }
}

fn webhook_arguments<'a>(listen: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--roles", "webhook", "--webhook-listen", listen];
    if !arguments.contains(&"--webhook-drain") {
        all.extend(["--webhook-drain", "100ms"]);
    }
    all.extend(arguments);
    all
}

fn start_broker(folder: &Path, plan: &Plan, ports: BrokerPorts, advertised: u16) -> Result<KafkaBroker> {
    let BrokerPorts { proxied, direct, controller } = ports;
    let properties = [
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
        (
            "listeners",
            format!(
                "PLAINTEXT://127.0.0.1:{proxied},DIRECT://127.0.0.1:{direct},CONTROLLER://127.0.0.1:{controller}"
            ),
        ),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{advertised},DIRECT://127.0.0.1:{direct}")),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT".into(),
        ),
        // ACLs exist, and every user is a super user.
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer".into()),
        ("super.users", "User:ANONYMOUS".into()),
    ];
    let options = BrokerOptions {
        port: Some(proxied),
        advertised_port: Some(advertised),
        properties: properties.map(|(key, value)| (key.to_owned(), value)).to_vec(),
    };
    KafkaBroker::start(&folder.join("kafka"), &plan.libs(), Profile::Plaintext, &options)
}
