//! Control planes, brokers and operators that a test may break.
//!
//! At most two sets of them exist, each handed from test to test: a test that wants one waits for it.
//! Between the operator and each of the others stands a [`Proxy`]; the test itself goes around it.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use eventcenter_kafka_admin::AdminClient;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use xtask::console::Console;
use xtask::controlplane::{ControlPlane, ControlPlaneOptions};
use xtask::environment::{Cluster, Plan, temporary_folder};
use xtask::kafka::{BrokerOptions, KafkaBroker, Profile};
use xtask::kubectl::{Kubectl, NAMESPACE};
use xtask::operator::{Operator, OperatorOptions, data_folder, webhook_url};

use super::proxy::{Mode, Protocol, Proxy};

/// How many exist at once: each takes some 600 MiB, and this many keep two processors busy.
const MOST: usize = 2;

static FREE: Semaphore = Semaphore::const_new(MOST);
static WAITING: Mutex<Vec<Own>> = Mutex::new(Vec::new());

/// One set. What runs dies before the files go: fields are dropped in this order.
pub(crate) struct Own {
    /// Between the operator and the API server.
    pub(crate) api: Proxy,
    /// Between the operator and Kafka.
    pub(crate) kafka: Proxy,
    /// The control plane.
    pub(crate) control_plane: ControlPlane,
    /// The broker.
    pub(crate) broker: KafkaBroker,
    api_port: u16,
    ports: BrokerPorts,
    plan: Plan,
    operator_kubeconfig: PathBuf,
    folder: TempDir,
}

#[derive(Clone, Copy)]
struct BrokerPorts {
    /// Behind the proxy.
    proxied: u16,
    /// Around the proxy.
    direct: u16,
    controller: u16,
}

/// A set on loan. It goes back in order when this is dropped; if the test failed it is thrown away.
pub(crate) struct Loan {
    own: Option<Own>,
    _permit: SemaphorePermit<'static>,
}

impl Deref for Loan {
    type Target = Own;

    fn deref(&self) -> &Own {
        self.own.as_ref().expect("it is there until this is dropped")
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Own {
        self.own.as_mut().expect("it is there until this is dropped")
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(mut own) = self.own.take()
            && own.mend().is_ok()
        {
            WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(own);
        }
    }
}

impl Own {
    /// The next one that is free, whatever the test before left in it.
    pub(crate) async fn borrow() -> Result<Loan> {
        let permit = FREE.acquire().await.context("nobody closes it")?;
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let own = waiting.map_or_else(Self::start, Ok)?;
        Ok(Loan { own: Some(own), _permit: permit })
    }

    fn start() -> Result<Self> {
        let plan = Plan::for_tests(&xtask::paths::repository()?, &Console::stderr())?;
        let Cluster::Own(program) = &plan.cluster else {
            anyhow::bail!("the cluster of the tests is our own")
        };
        let folder = temporary_folder()?;
        let free = xtask::port::free;
        let ports = BrokerPorts { proxied: free()?, direct: free()?, controller: free()? };
        let kafka = Proxy::start(ports.proxied, Protocol::Kafka)?;
        let server = free()?;
        let api = Proxy::start(server, Protocol::Opaque)?;
        let (control_plane, broker) = std::thread::scope(|scope| {
            let broker = scope.spawn(|| start_broker(folder.path(), &plan, ports, kafka.port()));
            let options = ControlPlaneOptions { port: Some(server) };
            let control_plane = ControlPlane::start(&folder.path().join("controlplane"), program, &options);
            (control_plane, broker.join().expect("starting Kafka does not panic"))
        });
        let (control_plane, broker) = (control_plane?, broker?);
        let kubectl = Kubectl::new(&plan.kubectl, control_plane.kubeconfig());
        kubectl.install_crds(&plan.repository)?;
        let operator_kubeconfig = kubectl.prepare_operator(&plan.repository, folder.path())?;
        let proxied = std::fs::read_to_string(&operator_kubeconfig)?
            .replace(&format!(":{server}"), &format!(":{}", api.port()));
        std::fs::write(&operator_kubeconfig, proxied)?;
        Ok(Self {
            api,
            kafka,
            control_plane,
            broker,
            api_port: server,
            ports,
            plan,
            operator_kubeconfig,
            folder,
        })
    }

    /// Everything runs and nothing is held, whatever a test did.
    fn mend(&mut self) -> Result<()> {
        for proxy in [&self.api, &self.kafka] {
            proxy.reset();
            proxy.set(Mode::Pass);
        }
        self.broker.resume()?;
        self.broker.start_again()?;
        self.control_plane.start_again()
    }

    /// Stops the broker and starts another one in its place that has lost everything.
    pub(crate) fn lose_kafka(&mut self) -> Result<()> {
        self.broker.kill()?;
        self.broker = start_broker(self.folder.path(), &self.plan, self.ports, self.kafka.port())?;
        Ok(())
    }

    /// A client for Kubernetes with all rights, around the proxy.
    pub(crate) async fn client(&self) -> Result<Client> {
        // Another test may have installed it before.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let kubeconfig = Kubeconfig::read_from(self.control_plane.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// A client for Kafka, around the proxy.
    pub(crate) fn admin(&self) -> Result<AdminClient> {
        let properties = [
            ("bootstrap.servers", format!("127.0.0.1:{}", self.ports.direct)),
            ("reconnect.backoff.max.ms", "500".into()),
        ];
        Ok(AdminClient::new(&properties.map(|(name, value)| (name.to_owned(), value)), |_| {})?)
    }

    /// Where the operator finds Kafka.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.kafka.port())
    }

    /// Starts a replica of that name behind the proxies; returns when it is ready.
    pub(crate) fn operator(&self, instance: &str, arguments: &[&str]) -> Result<Operator> {
        self.launch(instance, arguments, true)
    }

    /// As [`Own::operator`], with another proxy on its way to the API server.
    pub(crate) fn operator_through(
        &self,
        way: &Proxy,
        instance: &str,
        arguments: &[&str],
    ) -> Result<Operator> {
        let usual = std::fs::read_to_string(&self.operator_kubeconfig)?;
        let kubeconfig = self.folder.path().join(format!("{instance}.kubeconfig"));
        std::fs::write(
            &kubeconfig,
            usual.replace(&format!(":{}", self.api.port()), &format!(":{}", way.port())),
        )?;
        self.start_operator(&kubeconfig, instance, arguments, true)
    }

    /// The API server's own port.
    pub(crate) fn api_port(&self) -> u16 {
        self.api_port
    }

    /// Starts a replica of that name and may wait for it.
    pub(crate) fn launch(&self, instance: &str, arguments: &[&str], wait: bool) -> Result<Operator> {
        self.start_operator(&self.operator_kubeconfig, instance, arguments, wait)
    }

    /// Starts a replica of that name that does nothing but answer reviews on a port; may wait for it.
    pub(crate) fn webhook(
        &self,
        instance: &str,
        port: u16,
        arguments: &[&str],
        wait: bool,
    ) -> Result<Operator> {
        let listen = format!("127.0.0.1:{port}");
        let mut usual = vec!["--roles", "webhook", "--webhook-listen", &listen];
        if !arguments.contains(&"--webhook-drain") {
            usual.extend(["--webhook-drain", "100ms"]);
        }
        self.start_operator(&self.operator_kubeconfig, instance, &[&usual[..], arguments].concat(), wait)
    }

    /// Has the API server ask a webhook on this port, whether or not there is one.
    pub(crate) fn install_webhook(&self, port: u16) -> Result<()> {
        let program = Path::new(env!("CARGO_BIN_EXE_eventcenter"));
        self.kubectl().install_webhook(program, &webhook_url(port), self.folder.path())
    }

    /// The API server asks nobody any more, and keeps no policies.
    pub(crate) fn uninstall_webhook(&self) -> Result<()> {
        let kinds = "validatingwebhookconfigurations,mutatingwebhookconfigurations,\
                     validatingadmissionpolicies,validatingadmissionpolicybindings";
        self.kubectl().run(&["delete", kinds, "--all"])?;
        let secret = ["delete", "secret", "eventcenter-webhook", "-n", NAMESPACE, "--ignore-not-found"];
        self.kubectl().run(&secret).map(drop)
    }

    /// kubectl with all rights, around the proxy.
    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.plan.kubectl, self.control_plane.kubeconfig())
    }

    fn start_operator(
        &self,
        kubeconfig: &Path,
        instance: &str,
        arguments: &[&str],
        wait: bool,
    ) -> Result<Operator> {
        let program = Path::new(env!("CARGO_BIN_EXE_eventcenter"));
        let mut options = OperatorOptions::new(program, kubeconfig);
        let usual = ["--resync-interval", "1s", "--heartbeat-interval", "1s", "--kafka-settle-time", "1s"];
        options.arguments = usual.iter().map(ToString::to_string).collect();
        options.arguments.extend(["--instance", instance].map(String::from));
        if !arguments.contains(&"--log") {
            options.arguments.extend(["--log", "info,eventcenter=debug"].map(String::from));
        }
        options.arguments.extend(arguments.iter().map(ToString::to_string));
        options.wait = wait;
        Operator::start(&options, &self.folder.path().join(format!("operator-{instance}.log")))
    }

    /// The ends of all operators' logs.
    pub(crate) fn operators_said(&self) -> String {
        let mut logs = xtask::logs::find(self.folder.path(), "operator-");
        logs.retain(|log| log.parent() == Some(self.folder.path()));
        let said = logs.iter().map(|log| {
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            format!("--- {name}\n{}\n", xtask::process::tail(log, 40))
        });
        said.collect()
    }

    /// Forgets what earlier operators said and recorded.
    pub(crate) fn clear_logs(&self) {
        for log in xtask::logs::find(self.folder.path(), "operator-") {
            drop(std::fs::remove_dir_all(data_folder(&log)));
            drop(std::fs::remove_file(log));
        }
    }
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
        // There are ACLs, and everybody may do everything.
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
