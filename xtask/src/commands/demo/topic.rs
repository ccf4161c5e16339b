//! The steps about topics: declared, changed, corrected after drift, protected from mistakes, approved.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    manifest,
    stage::{Demo, SOON},
};

pub(super) fn apply(demo: &Demo<'_>, manifests: &Path) -> Result<()> {
    demo.heading("A tenant, its Kafka cluster and a Git folder of topics are applied");
    demo.say("(examples/quickstart/, copied so that KafkaCluster names the port of this Kafka)\n");
    demo.run(&format!("kubectl apply --recursive -f {}", demo.display_path(manifests)))?;
    demo.run(
        "kubectl wait --for=condition=Ready ectenant,eckafka,etopic --all --all-namespaces --timeout=120s",
    )
}

pub(super) fn kubernetes_side(demo: &Demo<'_>) -> Result<()> {
    demo.heading("The resources in Kubernetes");
    demo.run("kubectl get ectenant,eckafka,etopic -A")
}

pub(super) fn kafka_side(demo: &Demo<'_>) -> Result<()> {
    demo.heading("The topics in Kafka, listed with Kafka's own tool");
    demo.run("kafka-topics --bootstrap-server $KAFKA_BOOTSTRAP --list")?;
    demo.run("kafka-topics --bootstrap-server $KAFKA_BOOTSTRAP --describe")
}

/// The topic that the demo changes.
pub(super) struct Topic {
    pub(super) namespace: String,
    pub(super) name: String,
    kafka_name: String,
    partitions: u64,
}

impl Topic {
    /// The topic with the most partitions among those that declare a retention time.
    pub(super) fn choose(demo: &Demo<'_>) -> Result<Self> {
        let topics: Value = serde_json::from_str(&demo.query("kubectl get etopic -A -o json")?)?;
        let items = topics.get("items").and_then(Value::as_array).context("kubectl listed no items")?;
        let text = |item: &Value, path: &str| item.pointer(path).and_then(Value::as_str).map(str::to_owned);
        items
            .iter()
            .filter(|item| item.pointer("/spec/retention/time").is_some())
            .filter_map(|item| {
                Some(Self {
                    namespace: text(item, "/metadata/namespace")?,
                    name: text(item, "/metadata/name")?,
                    kafka_name: text(item, "/status/topicName")?,
                    partitions: item.pointer("/spec/partitions").and_then(Value::as_u64).unwrap_or(1),
                })
            })
            .max_by_key(|topic| topic.partitions)
            .context("no EventTopic of the examples declares spec.retention.time")
    }

    fn config(&self) -> String {
        let tool = "kafka-configs --bootstrap-server $KAFKA_BOOTSTRAP --entity-type topics";
        format!("{tool} --entity-name {} --describe", self.kafka_name)
    }

    /// Writes its manifest with one value changed, and prints the difference.
    fn write_edited(
        &self,
        demo: &Demo<'_>,
        manifests: &Path,
        path: &[&str],
        value: &str,
        file: &str,
    ) -> Result<PathBuf> {
        let name = format!("name: {}", self.name);
        for original in manifest::files(manifests)? {
            let text = fs::read_to_string(&original)?;
            if let Some(edited) = manifest::edit(&text, &["kind: EventTopic", &name], path, value) {
                let changed = demo.folder.join(file);
                fs::write(&changed, edited)?;
                println!("$ diff {} {}", demo.display_path(&original), demo.display_path(&changed));
                // diff exits with 1, because the files differ.
                let diff = demo.shell(&format!(
                    "diff {} {}",
                    demo.display_path(&original),
                    demo.display_path(&changed)
                ));
                print!("{}", String::from_utf8_lossy(&xtask::process::output(diff)?.stdout));
                return Ok(changed);
            }
        }
        bail!("no manifest of the examples has {} for the EventTopic {}", path.join("."), self.name)
    }
}

pub(super) fn change(demo: &Demo<'_>, manifests: &Path, topic: &Topic) -> Result<()> {
    demo.heading("A change in Git: a retention time of 3 days");
    let changed =
        topic.write_edited(demo, manifests, &["spec", "retention", "time"], "3d", "retention.yaml")?;
    demo.run(&format!("kubectl apply -f {}", demo.display_path(&changed)))?;
    demo.wait_for("Waiting for Kafka's new configuration", &topic.config(), "retention.ms=259200000", SOON)?;
    demo.run(&topic.config())?;
    demo.complete("Declared topics were created in Kafka, and changed.");
    Ok(())
}

pub(super) fn drift(demo: &Demo<'_>, topic: &Topic) -> Result<()> {
    demo.heading("Drift: another tool sets the retention time in Kafka to one minute");
    demo.run(&format!(
        "kafka-configs --bootstrap-server $KAFKA_BOOTSTRAP --entity-type topics --entity-name {} --alter \
         --add-config retention.ms=60000",
        topic.kafka_name
    ))?;
    demo.wait_for("Waiting until the operator corrects it", &topic.config(), "retention.ms=259200000", SOON)?;
    demo.run(&topic.config())?;
    demo.run(&format!(
        "kubectl events -n {} --for eventtopic.eventcenter.io/{}",
        topic.namespace, topic.name
    ))?;
    demo.complete("A change that another tool made in Kafka was corrected and reported.");
    Ok(())
}

pub(super) fn mistake(demo: &Demo<'_>, manifests: &Path, topic: &Topic) -> Result<()> {
    demo.heading("A mistake: fewer partitions, which would delete events");
    let fewer = topic.partitions.saturating_sub(1).to_string();
    let changed = topic.write_edited(demo, manifests, &["spec", "partitions"], &fewer, "partitions.yaml")?;
    demo.run_refused(&format!("kubectl apply -f {}", demo.display_path(&changed)))?;
    demo.say("Refused before it was stored: nothing has changed, in Kubernetes or in Kafka.");
    demo.complete("A change that Kafka does not support was refused.");
    Ok(())
}

pub(super) fn broken_schema(demo: &Demo<'_>, manifests: &Path, topic: &Topic) -> Result<()> {
    if demo.variable("WEBHOOK_URL").is_empty() {
        // An existing cluster has no webhook: the operator would report the schema only in the status.
        return Ok(());
    }
    demo.heading("A mistake: a new schema requires a field that existing events lack");
    let required = ["spec", "eventTypes", "schema", "required"];
    let changed = topic.write_edited(demo, manifests, &required, "[orderId, total]", "schema.yaml")?;
    demo.run_refused(&format!("kubectl apply -f {}", demo.display_path(&changed)))?;
    demo.say("Refused by the webhook, which names the rule, the path in the schema and the remedy.");
    demo.complete("A schema that existing events do not fulfil was refused.");
    Ok(())
}

pub(super) fn approval(demo: &Demo<'_>, manifests: &Path, topic: &Topic) -> Result<()> {
    if demo.variable("WEBHOOK_URL").is_empty() {
        // Only the webhook can identify requesters and approvers.
        return Ok(());
    }
    let Topic { namespace, name, .. } = topic;
    demo.heading("An approval: another person must approve a change that deletes events");
    demo.run("kubectl apply -f examples/approvals/tenant.yaml")?;
    demo.run("kubectl wait --for=condition=Approved etopic --all -n shop --timeout=60s")?;
    let changed =
        topic.write_edited(demo, manifests, &["spec", "retention", "time"], "1d", "shorter.yaml")?;
    demo.run(&format!(
        "kubectl apply --as=ann --as-group=shop-developers -f {}",
        demo.display_path(&changed)
    ))?;
    let pending = format!("kubectl get etopic {name} -n {namespace} -o yaml");
    demo.wait_for(
        "Waiting until the operator reports the pending change",
        &pending,
        "AwaitingApproval",
        SOON,
    )?;
    demo.run(&format!("eventctl pending -n {namespace}"))?;
    // Like diff, the command exits with 1 because there is a difference.
    demo.run_refused(&format!("eventctl diff EventTopic {name} -n {namespace}"))?;
    demo.run(&topic.config())?;
    demo.heading("The requester cannot approve it; another approver can");
    let approve = format!("eventctl approve EventTopic {name} -n {namespace} --yes");
    demo.run_refused(&format!("{approve} --as=ann --as-group=shop-approvers"))?;
    demo.run(&format!("{approve} --as=ben --as-group=shop-approvers"))?;
    demo.wait_for("Waiting for Kafka's new configuration", &topic.config(), "retention.ms=86400000", SOON)?;
    demo.run(&topic.config())?;
    demo.complete("A change that deletes events waited for the approval of a second person.");
    Ok(())
}
