//! The argument of the commands that take a stored resource or a manifest that is not applied yet.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::super::file;
use super::super::resource_arg::{ResourceArg, kind_names};
use crate::api::{GROUP, Kind, KindInfo};

/// A resource that is stored, or a manifest.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// The resource: KIND NAME or KIND/NAME.
    #[arg(value_name = "KIND NAME", num_args = 1..=2, required_unless_present = "filename")]
    resource: Vec<String>,
    /// File with a manifest that is not applied yet; - for standard input.
    #[arg(long, short, value_name = "FILE")]
    filename: Option<PathBuf>,
}

/// What a command is about.
#[derive(Debug)]
pub(super) enum Target {
    /// A stored resource.
    Stored(ResourceArg),
    /// A manifest that is not applied yet.
    Manifest(Manifest),
}

/// A manifest of a governed kind.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Kind and name.
    pub(super) resource: ResourceArg,
    /// The namespace that it names.
    pub(super) namespace: Option<String>,
    /// The manifest.
    pub(super) json: Value,
}

impl TargetArgs {
    /// Parses the resource and reads the file. `namespace` is the namespace that a flag names.
    pub(super) fn read(&self, namespace: Option<&str>) -> anyhow::Result<Target> {
        let resource = match self.resource.as_slice() {
            [] => None,
            words => Some(ResourceArg::parse(words)?),
        };
        match (&self.filename, resource) {
            (Some(path), resource) => {
                let text = file::text(path).with_context(|| format!("reading {}", file::name(path)))?;
                let manifest =
                    select(&text, resource.as_ref(), namespace).with_context(|| file::name(path))?;
                Ok(Target::Manifest(manifest))
            }
            (None, Some(resource)) => Ok(Target::Stored(resource)),
            (None, None) => Ok(Target::Stored(ResourceArg::parse(&[])?)),
        }
    }
}

impl Target {
    /// The kind of the resource.
    pub(super) fn kind(&self) -> &Kind {
        match self {
            Self::Stored(resource) => &resource.kind,
            Self::Manifest(manifest) => &manifest.resource.kind,
        }
    }
}

/// Selects the manifest of a resource, or the only one of a governed kind.
fn select(text: &str, resource: Option<&ResourceArg>, namespace: Option<&str>) -> anyhow::Result<Manifest> {
    let mut selected = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let json = Value::deserialize(document).context("this is not YAML")?;
        if let Some(manifest) = Manifest::parse(json)?
            && resource.is_none_or(|resource| *resource == manifest.resource)
        {
            selected.push(manifest);
        }
    }
    let Some(manifest) = selected.pop() else {
        match resource {
            Some(resource) => anyhow::bail!("there is no {resource} in it"),
            None => anyhow::bail!("there is no {} in it", kind_names()),
        }
    };
    if !selected.is_empty() {
        anyhow::bail!("several manifests match: name one resource, such as {}", manifest.resource);
    }
    if let (Some(declared), Some(namespace)) = (&manifest.namespace, namespace)
        && declared != namespace
    {
        anyhow::bail!("metadata.namespace is {declared}, but --namespace is {namespace}: change one of them");
    }
    Ok(manifest)
}

impl Manifest {
    /// A manifest, if it is one of a governed kind.
    fn parse(json: Value) -> anyhow::Result<Option<Self>> {
        let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
        let is_ours = text("/apiVersion").is_some_and(|version| version == format!("{GROUP}/v1alpha1"));
        let kind = text("/kind").and_then(|kind| KindInfo::governed().find(|info| info.name == kind));
        let Some(info) = kind.filter(|_| is_ours) else { return Ok(None) };
        let name = text("/metadata/name").context("metadata.name is missing")?.to_owned();
        let namespace = text("/metadata/namespace").map(str::to_owned);
        Ok(Some(Self { resource: ResourceArg { kind: info.kind(), name }, namespace, json }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventTopic;

    const THREE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: orders}
---
apiVersion: eventcenter.io/v1alpha1
kind: EventTopic
metadata: {name: orders, namespace: shop}
---
apiVersion: eventcenter.io/v1alpha1
kind: EventTopic
metadata: {name: users}
";

    fn check(name: Option<&str>, namespace: Option<&str>) -> Result<String, String> {
        let resource = name.map(|name| ResourceArg { kind: Kind::of::<EventTopic>(), name: name.into() });
        select(THREE, resource.as_ref(), namespace)
            .map(|manifest| manifest.resource.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_manifest_is_selected() {
        assert_eq!(check(Some("orders"), None), Ok("EventTopic orders".into()));
        assert_eq!(check(Some("orders"), Some("shop")), Ok("EventTopic orders".into()));
        assert_eq!(check(Some("users"), Some("shop")), Ok("EventTopic users".into()));
        assert_eq!(
            check(Some("orders"), Some("x")),
            Err("metadata.namespace is shop, but --namespace is x: change one of them".into())
        );
        assert_eq!(check(Some("missing"), None), Err("there is no EventTopic missing in it".into()));
        assert!(check(None, None).is_err_and(|error| error.contains("several")));
    }
}
