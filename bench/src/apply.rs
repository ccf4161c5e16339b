//! EventTopics as tenants declare them, written by way of the API server.

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

use crate::declaration::{self, Overreach, topic};
use crate::load::{self, Load, Target, Writer};
use crate::protocol::Report;

/// What is done with each EventTopic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Create it.
    Create,
    /// Change one configuration key.
    Configure,
    /// Add a property to its schema that need not be there.
    Evolve,
    /// Register its schema, as its operator would.
    Register,
    /// Take a property out of its schema, and be refused.
    Break,
    /// Create it with something that its tenant may not have, and be refused.
    Overreach,
    /// Delete it, whoever holds it.
    Delete,
}

/// Does it to all of them. Nobody but the API server, and who it asks, has a part in it.
pub(crate) async fn run(client: Client, load: &Load, action: Action) -> Result<Report> {
    connect(&client, load.writers).await?;
    let target = Target::Gone;
    match action {
        Action::Create => load.run(client, target, true, create).await,
        Action::Configure => load.run(client, target, true, configure).await,
        Action::Evolve => load.run(client, target, true, evolve).await,
        Action::Register => load.run(client, target, true, register).await,
        Action::Break => load.run(client, target, true, break_schema).await,
        Action::Overreach => load.run(client, target, true, overreach).await,
        Action::Delete => load.run(client, target, true, delete).await,
    }
}

/// Makes a connection for each writer, so that none has to be made while time is taken.
async fn connect(client: &Client, writers: u32) -> Result<()> {
    let asked = (0..writers).map(|_| client.apiserver_version());
    try_join_all(asked).await.context("reaching Kubernetes")?;
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

/// Those that have a schema: three of each four.
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
        Err(error) => {
            Err(error).with_context(|| format!("{name} was to be refused because its schema breaks others"))
        }
        Ok(_) => bail!("{name} was stored although its schema breaks others"),
    }
}

async fn overreach(writer: Writer, number: u32) -> Result<()> {
    let (name, what) = (writer.load.name(number), Overreach::of(number));
    let mut topic = topic(&name, number);
    what.apply(&mut topic);
    let request = writer.request(number).create(&PostParams::default(), serde_json::to_vec(&topic)?)?;
    match writer.client.request::<IgnoredAny>(request).await {
        Err(kube::Error::Api(status)) if what.is_told_by(&status) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{name} was to be refused because {what}")),
        Ok(_) => bail!("{name} was stored although {what}"),
    }
}

async fn delete(writer: Writer, number: u32) -> Result<()> {
    // There is no operator that takes its finalizer off.
    if topic(&writer.load.name(number), number)["spec"].get("deletionPolicy").is_some() {
        let released = json!({"metadata": {"finalizers": null}});
        writer.patch(number, None, &Patch::Merge(released)).await?;
    }
    load::delete(writer, number).await
}
