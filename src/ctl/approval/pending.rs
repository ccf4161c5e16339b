//! `eventctl pending`: everything that waits for approval.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use super::super::login::{Flags, run};
use super::super::output::{Answer, print_warning};
use super::{now, shown};
use crate::api::{EventTopic, Kind, PendingChange};

const EXAMPLES: &str = "\
Examples:
  eventctl pending -A
  eventctl pending -n shop -o json

Exit codes: 0 the changes are listed, 2 an error occurred.";

/// List the changes that wait for approval.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Pending {
    /// All namespaces.
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    /// How it is written.
    #[arg(long, short, value_enum, default_value_t = Output::Table, value_name = "FORM")]
    output: Output,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// With everything that the operator says of it.
    Json,
    /// The same.
    Yaml,
}

/// A change that waits, and of what.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    kind: Kind,
    namespace: String,
    name: String,
    #[serde(flatten)]
    pending: PendingChange,
}

pub(in super::super) fn answer(arguments: &Pending) -> anyhow::Result<Answer> {
    run(async {
        let Pending { all_namespaces, output, flags } = arguments;
        let session = flags.open().await?;
        let namespace = flags.place(&session);
        let found = session.topics((!all_namespaces).then_some(namespace.as_str())).await?;
        let (mut waiting, mut unreadable) = (Vec::new(), Vec::new());
        for topic in found {
            match topic.0 {
                Ok(topic) => waiting.extend(pending(topic)),
                Err(invalid) => unreadable.push(invalid.metadata.name.unwrap_or_default()),
            }
        }
        if !unreadable.is_empty() {
            print_warning(&format!("these EventTopics cannot be read: {}", shown::joined(unreadable)));
        }
        waiting.sort_by_key(|waiting| waiting.pending.since);
        let text = match output {
            Output::Table => table(&waiting, now()),
            Output::Json => serde_json::to_string_pretty(&waiting)?,
            Output::Yaml => serde_yaml::to_string(&waiting)?,
        };
        Ok(Answer { yes: true, text })
    })
}

fn pending(topic: EventTopic) -> Option<Waiting> {
    let (namespace, name) = (topic.namespace().unwrap_or_default(), topic.name_any());
    let pending = topic.status?.pending?;
    Some(Waiting { kind: Kind::of::<EventTopic>(), namespace, name, pending: *pending })
}

fn table(waiting: &[Waiting], now: Timestamp) -> String {
    if waiting.is_empty() {
        return "nothing waits for approval".into();
    }
    let row = |waiting: &Waiting| {
        let Waiting { kind, namespace, name, pending } = waiting;
        let rejected = if pending.rejected.is_some() { " rejected" } else { "" };
        [
            namespace.clone(),
            format!("{}/{name}", format!("{kind:?}").to_lowercase()),
            shown::changes(&pending.changes).replace(", ", ","),
            shown::joined(&pending.requested_by).replace(", ", ","),
            format!("{}{rejected}", shown::plain(&pending.approvals)),
            shown::age(pending.since, now),
        ]
    };
    let heads = ["NAMESPACE", "NAME", "CHANGES", "REQUESTED-BY", "APPROVALS", "SINCE"];
    shown::table(heads, &waiting.iter().map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn waiting(yaml: &str) -> Waiting {
        let topic: EventTopic = serde_yaml::from_str(yaml).expect("an EventTopic");
        pending(topic).expect("it waits")
    }

    #[test]
    fn what_waits_is_a_table() {
        let one = waiting(
            "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: orders, namespace: shop}, spec: {}, \
             status: {pending: {hash: abc, generation: 2, changes: [AddPartitions, ReduceRetention], requestedBy: [alice, bob], \
             since: '2026-11-21T12:00:00Z', approvals: 1/2}}}",
        );
        let other = waiting(
            "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: invoices, namespace: finance}, spec: {}, \
             status: {pending: {hash: abc, generation: 2, changes: [Create], since: '2026-11-18T12:00:00Z', approvals: 0/1, \
             rejected: {by: carol}}}}",
        );
        let now = "2026-11-21T12:05:07Z".parse().expect("a time");
        expect![[r#"
            NAMESPACE   NAME                  CHANGES                         REQUESTED-BY   APPROVALS      SINCE
            shop        eventtopic/orders     AddPartitions,ReduceRetention   alice,bob      1/2            5m7s
            finance     eventtopic/invoices   Create                          <none>         0/1 rejected   3d"#]].assert_eq(&table(&[one.clone(), other], now));
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
        assert_eq!(table(&[], now), "nothing waits for approval");
    }

    #[test]
    fn what_does_not_wait_is_left_out() {
        let topic = "{apiVersion: eventcenter.io/v1alpha1, kind: EventTopic, metadata: {name: a}, spec: {}, status: {}}";
        assert!(pending(serde_yaml::from_str(topic).expect("an EventTopic")).is_none());
    }
}
