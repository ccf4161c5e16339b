//! The stages that these tests share. The first test that needs one starts it; it runs until the process ends.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::console::Console;
use xtask::environment::{Cluster, Kafka, OperatorPlan, Plan, SINGLE_REPLICA, TempEnvironment};
use xtask::kubectl::{Kubectl, NAMESPACE, role_kubeconfig};
use xtask::operator::Operator;
use xtask::process;
use xtask::test_environment::TestEnvironment;

use crate::support::audit::AuditLogs;
use crate::support::operator::{options, program, sum};
use crate::support::{Broker, OperatorLogs, Stage, unique};

/// The name of the KafkaCluster without authentication, which is the default.
pub(crate) const MAIN: &str = "main";
/// The name of the KafkaCluster with SASL/SCRAM. The operator is the user `eventcenter`, with the ACLs that it needs.
pub(crate) const SECURE: &str = "secure";

struct Shared {
    stage: Stage,
    operator: Mutex<Operator>,
    environment: &'static TestEnvironment,
}

fn started() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| start().expect("the shared stage"))
}

/// The stage of most tests.
pub(crate) fn shared() -> Stage {
    started().stage.clone()
}

/// The same operator and API server, with the broker that has SASL/SCRAM and ACLs. Topics name the cluster [`SECURE`].
pub(crate) fn secure() -> Stage {
    static SECURE_STAGE: OnceLock<Stage> = OnceLock::new();
    let stage = SECURE_STAGE.get_or_init(|| {
        let shared = started();
        add_secure_cluster(shared.environment).expect("the cluster with SASL");
        let kafka = Arc::new(Broker::scram(&shared.environment.sasl_bootstrap, "admin"));
        Stage { kafka, clusters: vec![SECURE.into()], ..shared.stage.clone() }
    });
    stage.clone()
}

/// The environment of the shared stage.
pub(crate) fn environment() -> &'static TestEnvironment {
    started().environment
}

/// The operator of the shared stage.
pub(crate) fn operator() -> MutexGuard<'static, Operator> {
    started().operator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The sum of the samples of a metric of the shared operator that have these labels (`kind="EventTopic"`).
pub(crate) fn metric(name: &str, labels: &[&str]) -> f64 {
    let (status, text) = operator().get("/metrics").expect("the operator answers");
    assert_eq!(status, 200, "{text}");
    sum(&text, name, labels)
}

struct WithWebhook {
    stage: Stage,
    environment: Mutex<TempEnvironment>,
}

impl WithWebhook {
    fn environment(&self) -> MutexGuard<'_, TempEnvironment> {
        self.environment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn started_with_webhook() -> &'static WithWebhook {
    static STARTED: OnceLock<WithWebhook> = OnceLock::new();
    STARTED.get_or_init(|| start_with_webhook().expect("the stage with the webhook"))
}

/// An API server of its own, where the webhook is installed. Kafka is the same broker; the prefixes of the tenants differ.
pub(crate) fn with_webhook() -> Stage {
    started_with_webhook().stage.clone()
}

/// The sum of the samples of a metric of the operator on [`with_webhook`].
pub(crate) fn webhook_metric(name: &str, labels: &[&str]) -> f64 {
    let mut environment = started_with_webhook().environment();
    let answer = environment.operator().expect("the plan has an operator").get("/metrics");
    sum(&answer.expect("the operator answers").1, name, labels)
}

/// The audit logs of the operator on [`with_webhook`].
pub(crate) fn webhook_logs() -> AuditLogs {
    let mut environment = started_with_webhook().environment();
    AuditLogs::in_folder(environment.operator().expect("the plan has an operator").data())
}

/// Starts another webhook on the API server of [`with_webhook`], which does not call it, with only the rights of that role.
pub(crate) fn start_webhook_alone() -> anyhow::Result<Operator> {
    let folder = started_with_webhook().environment().folder().to_owned();
    let mut options = options(&role_kubeconfig(&folder, "webhook"));
    options.webhook = Some(xtask::port::free()?);
    options.arguments = ["--roles", "webhook"].map(String::from).into();
    Operator::start(&options, &folder.join("webhook-alone.log"))
}

/// The data folder of the operator on [`with_webhook`].
pub(crate) fn webhook_data() -> PathBuf {
    let mut environment = started_with_webhook().environment();
    environment.operator().expect("the plan has an operator").data().to_owned()
}

/// The kubeconfig of the operator's user on [`with_webhook`].
pub(crate) fn webhook_operator_kubeconfig() -> PathBuf {
    started_with_webhook().environment().operator_kubeconfig().to_owned()
}

/// The API server's own audit log on [`with_webhook`].
pub(crate) fn webhook_audit_log() -> PathBuf {
    let mut environment = started_with_webhook().environment();
    environment.control_plane().expect("the plan has a control plane").data_dir().join("audit.log")
}

fn start_with_webhook() -> anyhow::Result<WithWebhook> {
    let shared = TestEnvironment::get()?;
    let mut arguments = options(&shared.operator_kubeconfig).arguments;
    // A test counts the reviews of its namespace.
    arguments.extend(["--log", "info,eventcenter::webhook=debug"].map(String::from));
    // The topic is created by the test of the events; the others do not wait for it.
    arguments.extend(["--task-events", "eventcenter-events/jobs"].map(String::from));
    let plan = Plan {
        repository: shared.repository().to_owned(),
        kafka_libs: shared.kafka_libs.clone(),
        kubectl: shared.kubectl.clone(),
        cluster: Cluster::Own(shared.control_plane.clone()),
        kafka: Kafka::Existing(shared.bootstrap.clone()),
        sasl: false,
        operator: Some(OperatorPlan {
            program: program().to_owned(),
            arguments,
            webhook: true,
            api: false,
            runner: true,
        }),
    };
    let environment = TempEnvironment::start(&plan, &Console::stderr())?;
    let kubectl = environment.kubectl();
    apply(&kubectl, &main_cluster(&shared.bootstrap))?;
    wait_for_cluster(&kubectl, MAIN)?;
    wait_until_webhook_is_called(&kubectl)?;
    let stage = Stage {
        kubeconfig: environment.kubeconfig().to_owned(),
        kubectl: shared.kubectl.clone(),
        kafka: Arc::new(Broker::plaintext(&shared.bootstrap)),
        clusters: Vec::new(),
        logs: OperatorLogs::new(environment.folder().to_owned(), "operator"),
    };
    Ok(WithWebhook { stage, environment: Mutex::new(environment) })
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
    const LOG: &str = "operator-of-the-tests";
    let environment = TestEnvironment::get()?;
    let folder = environment.operator_kubeconfig.parent().expect("a file in a folder");
    let mut options = options(&environment.operator_kubeconfig);
    // An environment that is kept still has the Lease of the program that used it before.
    options.arguments.extend(["--lease".into(), format!("tests-{}", unique())]);
    options.arguments.extend(SINGLE_REPLICA.map(String::from));
    options.runner = true;
    let operator = Operator::start(&options, &folder.join(format!("{LOG}.log")))?;
    let bootstrap = &environment.bootstrap;
    apply(&environment.kubectl(), &main_cluster(bootstrap))?;
    wait_for_cluster(&environment.kubectl(), MAIN)?;
    let stage = Stage {
        kubeconfig: environment.kubeconfig.clone(),
        kubectl: environment.kubectl.clone(),
        kafka: Arc::new(Broker::plaintext(bootstrap)),
        clusters: Vec::new(),
        logs: OperatorLogs::new(folder.to_owned(), LOG),
    };
    Ok(Shared { stage, operator: Mutex::new(operator), environment })
}

/// Declares the broker with SASL/SCRAM, where the operator is the user `eventcenter`.
fn add_secure_cluster(environment: &TestEnvironment) -> anyhow::Result<()> {
    allow("eventcenter", &["--cluster"], &["Alter"])?;
    let topics = ["Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs", "Delete"];
    allow("eventcenter", &["--topic", "*"], &topics)?;
    apply(&environment.kubectl(), &credentials("kafka-secure", "eventcenter", password("eventcenter")))?;
    apply(
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

/// The password of one of the users of the broker with SASL/SCRAM.
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

/// Allows a user operations on a resource (`--topic NAME`) of the broker with SASL/SCRAM.
pub(crate) fn allow(user: &str, resource: &[&str], operations: &[&str]) -> anyhow::Result<()> {
    let environment = TestEnvironment::get()?;
    let mut tool = environment.libs().tool("org.apache.kafka.tools.AclCommand");
    tool.args(["--bootstrap-server", &environment.sasl_bootstrap, "--command-config"]);
    tool.arg(environment.sasl_clients.join("admin.properties"));
    tool.args(["--add", "--allow-principal", &format!("User:{user}")]).args(resource);
    tool.args(operations.iter().flat_map(|operation| ["--operation", operation]));
    process::run(tool).map(drop)
}

/// Applies an object with kubectl, because stages start outside of an async runtime.
fn apply(kubectl: &Kubectl, object: &Value) -> anyhow::Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(object.to_string().as_bytes())?;
    let mut command = kubectl.command();
    command.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(file.path());
    process::run(command).map(drop)
}

fn wait_for_cluster(kubectl: &Kubectl, name: &str) -> anyhow::Result<()> {
    let arguments = ["wait", "--for=condition=Ready", "--timeout=60s", "kafkacluster", name];
    kubectl.run(&arguments).map(drop)
}

/// An API server calls a webhook some moments after it was installed. Until then it accepts, as a dry run, a topic in a
/// namespace of no tenant.
fn wait_until_webhook_is_called(kubectl: &Kubectl) -> anyhow::Result<()> {
    const LIMIT: Duration = Duration::from_secs(60);
    let topic = json!({
        "apiVersion": "eventcenter.io/v1alpha1",
        "kind": "EventTopic",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"owner": {"team": "probe"}},
    });
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(topic.to_string().as_bytes())?;
    let begin = Instant::now();
    loop {
        let mut command = kubectl.command();
        command.args(["create", "--dry-run=server", "-f"]).arg(file.path());
        match process::run(command) {
            Err(error) if format!("{error:#}").contains("admission webhook") => return Ok(()),
            answer if begin.elapsed() > LIMIT => {
                anyhow::bail!("the API server does not call the webhook: {answer:?}")
            }
            // A call of kubectl takes a tenth of a second, so the loop does not sleep.
            _ => {}
        }
    }
}
