//! `eventctl adopt`: writes EventTopics for existing Kafka topics.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use eventcenter_sdk::name::{ClusterName, TopicName};
use prometheus_client::registry::Registry;
use serde::Deserialize;

use super::output::Answer;
use crate::api::Tenant;
use crate::domain::Refusal;
use crate::domain::cluster::Unregistered;
use crate::domain::topic::adopt::{Placement, find_placement, render_manifest};
use crate::kafka::{Error, Kafka, Metrics, Settings};
use crate::kubernetes::KubeClient;

/// Write EventTopics for existing Kafka topics. Applying them changes nothing in Kafka.
///
/// The prefix of a topic's name determines its tenant, and the tenant its namespace. Tenants are read from the cluster of
/// the kubeconfig, or from a file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Names of Kafka topics.
    #[arg(value_name = "TOPIC", required_unless_present = "all")]
    topics: Vec<String>,

    /// All topics except Kafka's internal ones. Topics without a tenant are listed as comments.
    #[arg(long, conflicts_with = "topics")]
    all: bool,

    /// Addresses of bootstrap servers (`host:port`, separated by commas).
    #[arg(long, value_delimiter = ',', required = true)]
    bootstrap: Vec<String>,

    /// File with Kafka client properties: security.protocol, sasl.mechanism, sasl.username and sasl.password (or
    /// sasl.jaas.config), ssl.ca.location.
    #[arg(long, value_name = "FILE")]
    kafka_config: Option<PathBuf>,

    /// KafkaCluster for spec.cluster. Default: unset, which is the default cluster.
    #[arg(long)]
    cluster: Option<ClusterName>,

    /// Namespace of the EventTopics. Default: the namespace of the tenant.
    #[arg(long)]
    namespace: Option<String>,

    /// YAML file with Tenants. Default: the Tenants of the cluster.
    #[arg(long, value_name = "FILE")]
    tenants: Option<PathBuf>,
}

/// Writing the manifests failed.
#[derive(Debug, thiserror::Error)]
enum AdoptError {
    #[error("reading {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} has no Tenants")]
    Tenants { path: PathBuf, source: serde_yaml::Error },
    #[error("reading the Tenants of the cluster (or give a file: --tenants)")]
    Kubernetes(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Kafka(#[from] Error),
    #[error("Kafka has no topic {0}, or this user may not see it")]
    NoTopic(String),
    #[error("{0}")]
    NoTenant(String),
}

/// The manifests, one document each.
pub(super) fn answer(arguments: &Arguments) -> anyhow::Result<Answer> {
    // Fails if a provider is installed already, which is the same one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(manifests(arguments))?;
    Ok(Answer { yes: true, text })
}

async fn manifests(arguments: &Arguments) -> Result<String, AdoptError> {
    let tenants = read_tenants(arguments).await?;
    let kafka = connect(arguments)?;
    let topics = match arguments.all {
        true => Unregistered::registrable_names(kafka.list_topics().await?),
        false => arguments.topics.clone(),
    };
    let mut out = String::new();
    let mut used_names = BTreeSet::new();
    for (topic, observed) in topics.iter().zip(observe(&kafka, &topics).await?) {
        let Some(observed) = observed else { return Err(AdoptError::NoTopic(topic.clone())) };
        let cluster = arguments.cluster.as_ref().map(ClusterName::as_ref);
        let text = match find_home(topic, &tenants, arguments) {
            Ok(home) => render_manifest(topic, &observed, &home, cluster, &mut used_names),
            Err(refusal) if arguments.all => format!("# {}\n", refusal.message()),
            Err(refusal) => return Err(AdoptError::NoTenant(refusal.message())),
        };
        if !out.is_empty() && !text.starts_with("# ") {
            out.push_str("---\n");
        }
        out.push_str(&text);
    }
    Ok(out)
}

fn find_home(topic: &str, tenants: &[Tenant], arguments: &Arguments) -> Result<Placement, Refusal> {
    let found = find_placement(topic, tenants);
    match &arguments.namespace {
        None => found,
        Some(namespace) => {
            let prefix = found.map(|home| home.prefix).unwrap_or_default();
            Ok(Placement { namespace: namespace.clone(), prefix, alternatives: Vec::new() })
        }
    }
}

fn connect(arguments: &Arguments) -> Result<Kafka, AdoptError> {
    let text = arguments.kafka_config.as_deref().map_or_else(|| Ok(String::new()), read)?;
    let settings =
        Settings::from_properties(arguments.bootstrap.clone(), &text, |path| std::fs::read_to_string(path))?;
    let name = "adopt".parse().expect("a name");
    Ok(Kafka::connect(&name, &settings, &Metrics::register(&mut Registry::default()))?)
}

async fn observe(
    kafka: &Kafka,
    topics: &[String],
) -> Result<Vec<Option<crate::domain::topic::Observed>>, AdoptError> {
    let names = topics.iter().map(|topic| topic.parse::<TopicName>());
    let names: Result<Vec<TopicName>, _> = names.collect();
    let names = names.map_err(|error| AdoptError::NoTenant(error.to_string()))?;
    Ok(kafka.describe_topics(&names).await.into_iter().collect::<Result<_, Error>>()?)
}

/// Reads the Tenants of a file or of the cluster. With `--namespace` an unreachable cluster has none.
async fn read_tenants(arguments: &Arguments) -> Result<Vec<Tenant>, AdoptError> {
    if let Some(path) = &arguments.tenants {
        let text = read(path)?;
        let documents = serde_yaml::Deserializer::from_str(&text);
        let tenants = documents.map(Option::<Tenant>::deserialize);
        let tenants: Result<Vec<_>, _> = tenants.collect();
        let tenants = tenants.map_err(|source| AdoptError::Tenants { path: path.clone(), source })?;
        return Ok(tenants.into_iter().flatten().collect());
    }
    let listed = async {
        let cluster = KubeClient::connect("default", "eventctl").await?;
        let tenants = cluster.list::<Tenant>().await?.into_iter().filter_map(|tenant| tenant.0.ok());
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(tenants.collect())
    };
    match listed.await {
        Ok(tenants) => Ok(tenants),
        Err(_) if arguments.namespace.is_some() => Ok(Vec::new()),
        Err(error) => Err(AdoptError::Kubernetes(error)),
    }
}

fn read(path: &Path) -> Result<String, AdoptError> {
    std::fs::read_to_string(path).map_err(|source| AdoptError::Read { path: path.to_owned(), source })
}
