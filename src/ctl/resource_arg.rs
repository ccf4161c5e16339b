//! Resources as arguments, in the forms that `kubectl` accepts.

use std::fmt;

use anyhow::bail;

use crate::api::{Governance, Kind, KindInfo};

/// A resource of a governed kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResourceArg {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl fmt::Display for ResourceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl ResourceArg {
    /// Parses `KIND NAME` or `KIND/NAME`.
    pub(super) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let (kind, name) = match words {
            [both] => both.split_once('/').unwrap_or((both, "")),
            [kind, name] => (kind.as_str(), name.as_str()),
            _ => ("", ""),
        };
        if name.is_empty() || name.contains('/') {
            bail!("no resource given: write KIND NAME or KIND/NAME, such as EventTopic orders");
        }
        Ok(Self { kind: parse_governed_kind(kind)?, name: name.to_owned() })
    }

    /// The resource as `kubectl` prints it, such as `eventtopic/orders`.
    pub(super) fn slashed(&self) -> String {
        format!("{}/{}", self.kind.to_string().to_lowercase(), self.name)
    }

    /// The resource with its namespace, for messages.
    pub(super) fn in_namespace(&self, namespace: &str) -> String {
        format!("{self} in namespace {namespace}")
    }
}

/// Parses a governed kind from any of its names: `EventTopic`, `eventtopics`, `etopic`, `eventtopics.eventcenter.io`.
fn parse_governed_kind(word: &str) -> anyhow::Result<Kind> {
    match KindInfo::find(word).filter(|kind| kind.governance == Governance::Governed) {
        Some(info) => Ok(info.kind()),
        None => bail!("{word} is not a kind with approvals: use {}", kind_names()),
    }
}

/// The names of the governed kinds, for messages.
pub(super) fn kind_names() -> String {
    KindInfo::governed().map(|kind| kind.name).collect::<Vec<_>>().join(" or ")
}

/// Kinds of Kubernetes that the audit log names, and the short names that `kubectl` accepts.
const KUBERNETES_KINDS: &[(&str, &str)] = &[("ConfigMap", "cm"), ("Secret", "secret")];

/// What audit records are about: a kind, and a name if one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetArg {
    pub(super) kind: String,
    pub(super) name: Option<String>,
}

impl TargetArg {
    /// Parses `KIND` or `KIND/NAME`. A kind that is not in Kubernetes, such as KafkaTopic, is used unchanged.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let (word, name) = text.split_once('/').map_or((text, None), |(word, name)| (word, Some(name)));
        if word.is_empty() || name.is_some_and(|name| name.is_empty() || name.contains('/')) {
            bail!("--target {text:?} is not a target: write KIND or KIND/NAME, such as EventTopic/orders");
        }
        Ok(Self { kind: audited_kind(word), name: name.map(str::to_owned) })
    }
}

/// A kind as audit records name it.
fn audited_kind(word: &str) -> String {
    let folded = word.to_ascii_lowercase();
    let is_named = |(kind, short_name): &&(&str, &str)| {
        let kind = kind.to_ascii_lowercase();
        folded == *short_name || folded == kind || folded.strip_suffix('s') == Some(&kind)
    };
    let kubernetes_kind = || KUBERNETES_KINDS.iter().find(is_named).map(|(kind, _)| *kind);
    KindInfo::find(word)
        .map(|kind| kind.name)
        .or_else(kubernetes_kind)
        .map_or_else(|| word.to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::kinds;

    fn parse(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(String::from).collect();
        ResourceArg::parse(&words).map(|resource| resource.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_governed_kind_is_parsed_in_all_forms_of_kubectl() {
        for kind in KindInfo::governed() {
            let KindInfo { name, plural, short_name, .. } = kind;
            let singular = name.to_lowercase();
            for line in [
                format!("{name} orders"),
                format!("{singular} orders"),
                format!("{plural} orders"),
                format!("{short_name} orders"),
                format!("{name}/orders"),
                format!("{short_name}/orders"),
                format!("{singular}.eventcenter.io/orders"),
                format!("{plural}.v1alpha1.eventcenter.io orders"),
            ] {
                assert_eq!(parse(&line), Ok(format!("{name} orders")), "{line}");
            }
        }
    }

    #[test]
    fn an_invalid_resource_is_refused() {
        for line in ["", "EventTopic", "EventTopic/", "EventTopic a/b", "etopic/a/b"] {
            assert!(parse(line).is_err_and(|error| error.contains("KIND NAME")), "{line}");
        }
        assert_eq!(
            parse("secret/orders"),
            Err("secret is not a kind with approvals: use EventTopic or TaskTemplate or ScheduledTask".into())
        );
    }

    #[test]
    fn every_kind_is_a_target_in_all_forms_of_kubectl() {
        let target = |text: &str| TargetArg::parse(text).map(|target| (target.kind, target.name)).ok();
        for kind in kinds() {
            for word in [kind.name, kind.plural, kind.short_name] {
                assert_eq!(target(word), Some((kind.name.into(), None)), "{word}");
                let named = format!("{word}.eventcenter.io/orders");
                assert_eq!(target(&named), Some((kind.name.into(), Some("orders".into()))), "{named}");
            }
        }
        assert_eq!(target("configmaps/a"), Some(("ConfigMap".into(), Some("a".into()))));
        assert_eq!(target("cm"), Some(("ConfigMap".into(), None)));
        assert_eq!(target("KafkaTopic/shop.orders"), Some(("KafkaTopic".into(), Some("shop.orders".into()))));
        for text in ["", "/orders", "EventTopic/", "EventTopic/a/b"] {
            assert!(
                TargetArg::parse(text).is_err_and(|error| error.to_string().contains("KIND/NAME")),
                "{text:?}"
            );
        }
    }
}
