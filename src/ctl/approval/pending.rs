//! `eventctl pending`: the changes that are pending approval.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::super::login::LoginArgs;
use super::super::output::print_warning;
use super::super::resource_arg::ResourceArg;
use super::super::terminal::{plain, table};
use super::render;
use super::resource::GovernedResource;
use crate::api::{HasApproval, Kind, PendingChange};
use crate::kubernetes::Session;

const EXAMPLES: &str = "\
Examples:
  eventctl pending -A
  eventctl pending -n shop -o json

Exit codes: 0 the changes are listed, 2 an error occurred.";

/// List the changes that are pending approval.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Pending {
    /// All namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) login: LoginArgs,
}

/// The output format of `eventctl pending`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Output {
    /// A table.
    Table,
    /// JSON with every field of the status.
    Json,
    /// YAML with every field of the status.
    Yaml,
}

/// A pending change and its resource.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingItem {
    kind: Kind,
    namespace: String,
    name: String,
    #[serde(flatten)]
    pub(super) change: PendingChange,
}

/// Lists the pending changes of a kind, in a namespace or in all of them.
pub(super) async fn list<K: GovernedResource>(
    session: &Session,
    namespace: Option<&str>,
) -> anyhow::Result<Vec<PendingItem>> {
    let (mut items, mut invalid) = (Vec::new(), Vec::new());
    for resource in session.list_resources::<K>(namespace).await? {
        match resource.0 {
            Ok(resource) => items.extend(pending_item(resource)),
            Err(error) => invalid.push(error.metadata.name.unwrap_or_default()),
        }
    }
    if !invalid.is_empty() {
        print_warning(&format!("invalid {} are left out: {}", K::plural(&()), render::joined(invalid)));
    }
    Ok(items)
}

fn pending_item<K: GovernedResource>(resource: K) -> Option<PendingItem> {
    let change = resource.status().and_then(HasApproval::pending)?.clone();
    let (namespace, name) = (resource.meta().namespace.clone(), resource.meta().name.clone());
    Some(PendingItem {
        kind: Kind::of::<K>(),
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        change,
    })
}

/// Renders pending changes.
pub(super) fn render(items: &[PendingItem], output: Output, now: Timestamp) -> anyhow::Result<String> {
    Ok(match output {
        Output::Table => render_table(items, now),
        Output::Json => serde_json::to_string_pretty(items)?,
        Output::Yaml => serde_yaml::to_string(items)?,
    })
}

fn render_table(items: &[PendingItem], now: Timestamp) -> String {
    if items.is_empty() {
        return "no change is pending".into();
    }
    let row = |item: &PendingItem| {
        let PendingItem { kind, namespace, name, change } = item;
        let rejected = if change.rejected.is_some() { " rejected" } else { "" };
        [
            namespace.clone(),
            ResourceArg { kind: kind.clone(), name: name.clone() }.slashed(),
            render::change_names(&change.changes).replace(", ", ","),
            render::joined(&change.requested_by).replace(", ", ","),
            format!("{}{rejected}", plain(&change.approvals)),
            render::age(change.since, now),
        ]
    };
    let header = ["NAMESPACE", "NAME", "CHANGES", "REQUESTED-BY", "APPROVALS", "SINCE"];
    table(header, &items.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::EventTopic;
    use expect_test::expect;

    fn item(yaml: &str) -> PendingItem {
        let topic: EventTopic = serde_yaml::from_str(yaml).expect("an EventTopic");
        pending_item(topic).expect("a pending change")
    }

    #[test]
    fn pending_changes_are_a_table() {
        let one = item(
            "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: orders, namespace: shop}, spec: {}, \
             status: {pending: {hash: abc, generation: 2, changes: [AddPartitions, ReduceRetention], requestedBy: [alice, bob], \
             since: '2026-11-21T12:00:00Z', approvals: 1/2}}}",
        );
        let other = item(
            "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: invoices, namespace: finance}, spec: {}, \
             status: {pending: {hash: abc, generation: 2, changes: [Create], since: '2026-11-18T12:00:00Z', approvals: 0/1, \
             rejected: {by: carol}}}}",
        );
        let now = "2026-11-21T12:05:07Z".parse().expect("a time");
        expect![[r#"
            NAMESPACE   NAME                  CHANGES                         REQUESTED-BY   APPROVALS      SINCE
            shop        eventtopic/orders     AddPartitions,ReduceRetention   alice,bob      1/2            5m7s
            finance     eventtopic/invoices   Create                          <none>         0/1 rejected   3d"#]].assert_eq(&render_table(&[one.clone(), other], now));
        expect![[r#"
            - kind: EventTopic
              namespace: shop
              name: orders
              hash: abc
              generation: 2
              action: Apply
              changes:
              - AddPartitions
              - ReduceRetention
              requestedBy:
              - alice
              - bob
              since: 2026-11-21T12:00:00Z
              approvals: 1/2
        "#]]
        .assert_eq(&serde_yaml::to_string(&[one]).expect("YAML"));
        assert_eq!(render_table(&[], now), "no change is pending");
    }

    #[test]
    fn a_resource_without_a_pending_change_is_left_out() {
        let topic = "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: a}, spec: {}, status: {}}";
        let topic: EventTopic = serde_yaml::from_str(topic).expect("an EventTopic");
        assert!(pending_item(topic).is_none());
    }
}
