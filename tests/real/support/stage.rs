//! Where a journey plays.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::console::Console;
use xtask::environment::{Cluster, Kafka, OperatorPlan, Plan, SINGLE_REPLICA, TempEnvironment};
use xtask::kubectl::{Kubectl, NAMESPACE};
use xtask::operator::{Operator, OperatorOptions};
use xtask::process;
use xtask::test_environment::TestEnvironment;

use super::audit::Logs;
use super::{Broker, unique};

/// An API server, Kafka, and the operator between them.
#[derive(Clone)]
pub(crate) struct Stage {
    /// The kubeconfig with all rights.
    pub(crate) kubeconfig: PathBuf,
    /// kubectl's program.
    pub(crate) kubectl: PathBuf,
    /// The broker that the stage's clusters are.
    pub(crate) kafka: Arc<Broker>,
    /// What tenants name in `spec.clusters`; empty leaves them the default cluster.
    pub(crate) clusters: Vec<String>,
    /// The operator's log.
    pub(crate) log: PathBuf,
}

/// The names of the KafkaClusters on the shared stage.
pub(crate) const MAIN: &str = "main";
/// The broker with logins, as the user `eventcenter` with the ACLs that the operator needs.
pub(crate) const SECURE: &str = "secure";

struct Shared {
    stage: Stage,
    operator: Mutex<Operator>,
    environment: &'static TestEnvironment,
}

impl Stage {
    /// The stage that all tests of behaviour share. Started by whoever is first, and there until the process ends.
    pub(crate) fn shared() -> Self {
        shared().stage.clone()
    }

    /// The same operator and API server, with the broker that has logins and ACLs. Topics name the cluster [`SECURE`].
    pub(crate) fn secure() -> Self {
        static SECURE_STAGE: OnceLock<Stage> = OnceLock::new();
        let stage = SECURE_STAGE.get_or_init(|| {
            let shared = shared();
            add_secure(shared.environment).expect("the cluster with logins");
            let kafka = Arc::new(Broker::scram(&shared.environment.sasl_bootstrap, "admin"));
            Self { kafka, clusters: vec![SECURE.into()], ..shared.stage.clone() }
        });
        stage.clone()
    }

    /// An API server of its own, shared by the tests of the webhook, where the operator is asked before anything is
    /// stored. Kafka is the same broker, and the names of tenants are unlike any other's.
    pub(crate) fn with_webhook() -> Self {
        guarded().stage.clone()
    }

    /// The sum of samples of a metric of the operator on [`Stage::with_webhook`].
    pub(crate) fn webhook_metric(name: &str, labels: &[&str]) -> f64 {
        let mut environment = guarded().environment.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = environment.operator().expect("it was asked for").get("/metrics");
        sum(&answer.expect("the operator answers").1, name, labels)
    }

    /// The audit logs of the operator on [`Stage::with_webhook`].
    pub(crate) fn webhook_logs() -> Logs {
        let mut environment = guarded().environment.lock().unwrap_or_else(PoisonError::into_inner);
        Logs::of(environment.operator().expect("it was asked for").data())
    }

    /// The API server's own audit log on [`Stage::with_webhook`].
    pub(crate) fn webhook_audit_log() -> PathBuf {
        let mut environment = guarded().environment.lock().unwrap_or_else(PoisonError::into_inner);
        environment.control_plane().expect("it is our own").data_dir().join("audit.log")
    }

    /// The environment that the shared stage is in.
    pub(crate) fn environment() -> &'static TestEnvironment {
        shared().environment
    }

    /// The shared stage's operator.
    pub(crate) fn operator() -> MutexGuard<'static, Operator> {
        shared().operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// kubectl with all rights.
    pub(crate) fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubectl, &self.kubeconfig)
    }

    /// The end of the operator's log, for whoever has waited in vain.
    pub(crate) fn log_tail(&self) -> String {
        format!("the end of the operator's log {}:\n{}", self.log.display(), process::tail(&self.log, 40))
    }

    /// The sum of the shared operator's samples of a metric that have these labels (`kind="EventTopic"`).
    pub(crate) fn metric(name: &str, labels: &[&str]) -> f64 {
        let (status, text) = Self::operator().get("/metrics").expect("the operator answers");
        assert_eq!(status, 200, "{text}");
        sum(&text, name, labels)
    }
}

/// The sum of the samples of a metric that have these labels.
pub(crate) fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with('{') || rest.starts_with(' '))
        .filter(|rest| labels.iter().all(|label| rest.contains(label)))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// An operator as the shared one is run: with its ServiceAccount's rights, and in a hurry.
pub(crate) fn operator_options(kubeconfig: &Path) -> OperatorOptions {
    let mut options = OperatorOptions::new(Path::new(env!("CARGO_BIN_EXE_eventcenter")), kubeconfig);
    let arguments = ["--resync-interval", "1s", "--heartbeat-interval", "1s", "--kafka-settle-time", "1s"];
    options.arguments = arguments.map(String::from).into();
    options
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| start().expect("the shared stage"))
}

struct Guarded {
    stage: Stage,
    environment: Mutex<TempEnvironment>,
}

fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| start_guarded().expect("the stage with the webhook"))
}

fn start_guarded() -> anyhow::Result<Guarded> {
    let shared = TestEnvironment::get()?;
    let program = Path::new(env!("CARGO_BIN_EXE_eventcenter"));
    let mut arguments = operator_options(&shared.operator_kubeconfig).arguments;
    arguments.extend(["--log", "info,eventcenter::webhook=debug"].map(String::from));
    let plan = Plan {
        repository: shared.repository().to_owned(),
        kafka_libs: shared.kafka_libs.clone(),
        kubectl: shared.kubectl.clone(),
        cluster: Cluster::Own(shared.control_plane.clone()),
        kafka: Kafka::Existing(shared.bootstrap.clone()),
        sasl: false,
        operator: Some(OperatorPlan { program: program.to_owned(), arguments, webhook: true, api: false }),
    };
    let environment = TempEnvironment::start(&plan, &Console::stderr())?;
    let kubectl = environment.kubectl();
    declare(&kubectl, &main_cluster(&shared.bootstrap))?;
    wait_for_cluster(&kubectl, MAIN)?;
    wait_until_asked(&kubectl)?;
    let stage = Stage {
        kubeconfig: environment.kubeconfig().to_owned(),
        kubectl: shared.kubectl.clone(),
        kafka: Arc::new(Broker::plaintext(&shared.bootstrap)),
        clusters: Vec::new(),
        log: environment.folder().join("operator.log"),
    };
    Ok(Guarded { stage, environment: Mutex::new(environment) })
}

fn main_cluster(bootstrap: &str) -> Value {
    json!({
        "apiVersion": "eventcenter.io/v1alpha1",
        "kind": "KafkaCluster",
        "metadata": {"name": MAIN},
        "spec": {"default": true, "bootstrapServers": [bootstrap]},
    })
}

fn start() -> anyhow::Result<Shared> {
    let environment = TestEnvironment::get()?;
    let folder = environment.operator_kubeconfig.parent().expect("a file in a folder");
    let log = folder.join("operator-of-the-journeys.log");
    let mut options = operator_options(&environment.operator_kubeconfig);
    // An environment that is kept still has the Lease of the program that used it before.
    options.arguments.extend(["--lease".into(), format!("journeys-{}", unique())]);
    options.arguments.extend(SINGLE_REPLICA.map(String::from));
    let operator = Operator::start(&options, &log)?;
    let bootstrap = &environment.bootstrap;
    declare(&environment.kubectl(), &main_cluster(bootstrap))?;
    wait_for_cluster(&environment.kubectl(), MAIN)?;
    let stage = Stage {
        kubeconfig: environment.kubeconfig.clone(),
        kubectl: environment.kubectl.clone(),
        kafka: Arc::new(Broker::plaintext(bootstrap)),
        clusters: Vec::new(),
        log,
    };
    Ok(Shared { stage, operator: Mutex::new(operator), environment })
}

/// Declares the broker with logins, where the operator is the user `eventcenter`.
fn add_secure(environment: &TestEnvironment) -> anyhow::Result<()> {
    allow("eventcenter", &["--cluster"], &["Alter"])?;
    let topics = ["Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs", "Delete"];
    allow("eventcenter", &["--topic", "*"], &topics)?;
    declare(&environment.kubectl(), &credentials("kafka-secure", "eventcenter", password("eventcenter")))?;
    declare(
        &environment.kubectl(),
        &json!({
            "apiVersion": "eventcenter.io/v1alpha1",
            "kind": "KafkaCluster",
            "metadata": {"name": SECURE},
            "spec": {
                "bootstrapServers": [environment.sasl_bootstrap],
                "sasl": {"secret": {"name": "kafka-secure"}},
            },
        }),
    )?;
    wait_for_cluster(&environment.kubectl(), SECURE)
}

/// The password of one of the users of the broker with logins.
pub(crate) fn password(user: &str) -> &'static str {
    let users = xtask::kafka::USERS;
    users.iter().find(|(name, _)| *name == user).expect("one of the users").1
}

/// A Secret in the operator's namespace with a user and a password.
pub(crate) fn credentials(name: &str, user: &str, password: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {"username": user, "password": password},
    })
}

/// Allows a user operations on a resource (`--topic NAME`) at the broker with logins.
pub(crate) fn allow(user: &str, resource: &[&str], operations: &[&str]) -> anyhow::Result<()> {
    let environment = TestEnvironment::get()?;
    let mut tool = environment.libs().tool("org.apache.kafka.tools.AclCommand");
    tool.args(["--bootstrap-server", &environment.sasl_bootstrap, "--command-config"]);
    tool.arg(environment.sasl_clients.join("admin.properties"));
    tool.args(["--add", "--allow-principal", &format!("User:{user}")]).args(resource);
    tool.args(operations.iter().flat_map(|operation| ["--operation", operation]));
    process::run(tool).map(drop)
}

/// No runtime is there yet, so it is kubectl that declares what all tests share.
fn declare(kubectl: &Kubectl, object: &Value) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(object.to_string().as_bytes())?;
    let mut command = kubectl.command();
    command.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(file.path());
    process::run(command).map(drop)
}

fn wait_for_cluster(kubectl: &Kubectl, name: &str) -> anyhow::Result<()> {
    let words = ["wait", "--for=condition=Ready", "--timeout=60s", "kafkacluster", name];
    kubectl.run(&words).map(drop)
}

/// An API server asks a webhook some moments after it was told of it. Until then it refuses nothing, such as this topic in a
/// namespace of no tenant; nothing is stored.
fn wait_until_asked(kubectl: &Kubectl) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    let topic = json!({
        "apiVersion": "eventcenter.io/v1alpha1",
        "kind": "EventTopic",
        "metadata": {"name": "asked", "namespace": "default"},
        "spec": {"owner": {"team": "nobody"}},
    });
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(topic.to_string().as_bytes())?;
    let begun = Instant::now();
    loop {
        let mut command = kubectl.command();
        command.args(["create", "--dry-run=server", "-f"]).arg(file.path());
        match process::run(command) {
            Err(error) if format!("{error:#}").contains("admission webhook") => return Ok(()),
            answer if begun.elapsed() > LIMIT => anyhow::bail!("the webhook is not asked: {answer:?}"),
            // A question takes a tenth of a second: there is nothing to wait for besides.
            _ => {}
        }
    }
}
