//! Writes EventTopics, as tenants declare them, to the API server.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use eventcenter::api::EventTopic;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Client, Resource};
use serde::de::IgnoredAny;
use serde_json::json;

use crate::declaration::{self, Violation, topic};
use crate::load::{self, Load, Writer};
use crate::protocol::Report;

/// The action on each EventTopic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Create it.
    Create,
    /// Change one configuration key.
    Configure,
    /// Add an optional property to its schema.
    Evolve,
    /// Register its schema, as the operator would.
    Register,
    /// Remove a property from its schema, which must be refused.
    Break,
    /// Create it with a violation of the tenant's rules, which must be refused.
    Overreach,
    /// Delete it, even if it has a finalizer.
    Delete,
}

/// Applies the action to all EventTopics, without waiting for an operator.
pub(crate) async fn run(client: Client, load: &Load, action: Action) -> Result<Report> {
    open_connections(&client, load.writers).await?;
    match action {
        Action::Create => load.run(client, None, create).await,
        Action::Configure => load.run(client, None, configure).await,
        Action::Evolve => load.run(client, None, evolve).await,
        Action::Register => load.run(client, None, register).await,
        Action::Break => load.run(client, None, break_schema).await,
        Action::Overreach => load.run(client, None, violate).await,
        Action::Delete => load.run(client, None, delete).await,
    }
}

/// Opens a connection for each writer before the measurement.
async fn open_connections(client: &Client, writers: u32) -> Result<()> {
    let requests = (0..writers).map(|_| client.apiserver_version());
    try_join_all(requests).await.context("reaching Kubernetes")?;
    Ok(())
}

async fn create(writer: Writer, number: u32) -> Result<()> {
    let name = writer.load.name(number);
    let text = serde_json::to_vec(&topic(&name, number))?;
    let request = writer.request(number).create(&PostParams::default(), text)?;
    writer.client.request::<IgnoredAny>(request).await.with_context(|| format!("creating {name}"))?;
    Ok(())
}

async fn configure(writer: Writer, number: u32) -> Result<()> {
    let mut change = json!({});
    declaration::configure(&mut change);
    writer.patch(number, None, &Patch::Merge(change)).await
}

async fn evolve(writer: Writer, number: u32) -> Result<()> {
    let number = with_schema(number);
    let mut topic = topic(&writer.load.name(number), number);
    declaration::evolve(&mut topic);
    let change = json!({"spec": {"eventTypes": topic["spec"]["eventTypes"]}});
    writer.patch(number, None, &Patch::Merge(change)).await
}

/// The number of an EventTopic that has a schema, as three of four do.
fn with_schema(number: u32) -> u32 {
    number / 3 * 4 + number % 3 + 1
}

async fn register(writer: Writer, number: u32) -> Result<()> {
    let number = with_schema(number);
    let name = writer.load.name(number);
    let stored: EventTopic =
        writer.client.request(writer.request(number).get(&name, &GetParams::default())?).await?;
    let revision = declaration::revision(&stored).with_context(|| format!("{name} has no schema"))?;
    let folder = ControllerRevision::url_path(&(), stored.metadata.namespace.as_deref());
    let request = Request::new(folder).create(&PostParams::default(), serde_json::to_vec(&revision)?)?;
    writer.client.request::<IgnoredAny>(request).await.with_context(|| format!("registering {name}"))?;
    let status = json!({"status": {"eventTypes": declaration::registered(&stored)}});
    writer.patch(number, Some("status"), &Patch::Merge(status)).await
}

async fn break_schema(writer: Writer, number: u32) -> Result<()> {
    let number = with_schema(number);
    let name = writer.load.name(number);
    let mut topic = topic(&name, number);
    declaration::break_schema(&mut topic);
    let change = json!({"spec": {"eventTypes": topic["spec"]["eventTypes"]}});
    let request = writer.request(number).patch(&name, &PatchParams::default(), &Patch::Merge(change))?;
    match writer.client.request::<IgnoredAny>(request).await {
        Err(kube::Error::Api(status))
            if status.message.contains("denied the request: SchemaIncompatible") =>
        {
            Ok(())
        }
        Err(error) => Err(error)
            .with_context(|| format!("{name}: expected a refusal because of its incompatible schema")),
        Ok(_) => bail!("{name} was stored although its schema is incompatible"),
    }
}

async fn violate(writer: Writer, number: u32) -> Result<()> {
    let (name, violation) = (writer.load.name(number), Violation::of(number));
    let mut topic = topic(&name, number);
    violation.apply(&mut topic);
    let request = writer.request(number).create(&PostParams::default(), serde_json::to_vec(&topic)?)?;
    match writer.client.request::<IgnoredAny>(request).await {
        Err(kube::Error::Api(status)) if violation.is_refused_by(&status) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{name}: expected a refusal because {violation}")),
        Ok(_) => bail!("{name} was stored although {violation}"),
    }
}

async fn delete(writer: Writer, number: u32) -> Result<()> {
    // There is no operator that removes its finalizer.
    if topic(&writer.load.name(number), number)["spec"].get("deletionPolicy").is_some() {
        let without_finalizers = json!({"metadata": {"finalizers": null}});
        writer.patch(number, None, &Patch::Merge(without_finalizers)).await?;
    }
    load::delete(writer, number).await
}
