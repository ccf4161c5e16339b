//! The operator's writes: to Kubernetes from the API server's audit log, to Kafka from the operator's metrics.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context, Result};
use serde::Deserialize;

/// The operator's ServiceAccount.
const OPERATOR: &str = "system:serviceaccount:eventcenter-system:eventcenter";

/// The audit log, read incrementally.
#[derive(Debug)]
pub(crate) struct Audit {
    file: PathBuf,
    read: u64,
}

/// The number of the operator's writes, by verb and resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    /// By verb and resource (`patch eventtopics/status`), without Leases.
    pub(crate) done: BTreeMap<String, u32>,
    /// The number of writes that failed, for example with a conflict.
    pub(crate) refused: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Object {
    resource: String,
    subresource: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

impl Audit {
    /// Starts at the current end of the file.
    pub(crate) fn at_end(file: PathBuf) -> Result<Self> {
        let read = file.metadata().with_context(|| format!("no audit log {}", file.display()))?.len();
        Ok(Self { file, read })
    }

    /// The writes since the last call.
    pub(crate) fn read(&mut self) -> Result<Writes> {
        let mut file = File::open(&self.file)?;
        if file.metadata()?.len() < self.read {
            // The file was rotated.
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may be incomplete.
        let complete = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += u64::try_from(complete)?;
        Ok(Writes::parse(&text[..complete]))
    }
}

impl Writes {
    fn parse(text: &str) -> Self {
        let mut writes = Self::default();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        for entry in entries.filter(|entry| entry.user.username == OPERATOR) {
            let Some(object) = entry.object_ref.filter(|object| object.resource != "leases") else {
                continue;
            };
            if entry.response_status.and_then(|status| status.code).is_some_and(|code| code >= 400) {
                writes.refused += 1;
                continue;
            }
            let part = object.subresource.map(|part| format!("/{part}")).unwrap_or_default();
            *writes.done.entry(format!("{} {}{part}", entry.verb, object.resource)).or_default() += 1;
        }
        writes
    }

    /// Writes to EventTopics, without Events.
    pub(crate) fn to_topics(&self) -> u32 {
        self.done.iter().filter(|(what, _)| what.contains(" eventtopics")).map(|(_, number)| number).sum()
    }
}

/// The sum of all series of one metric whose labels contain all of these.
pub(crate) fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    metrics
        .lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, set) = series.split_once('{').unwrap_or((series, ""));
            let fits = metric == name && labels.iter().all(|label| set.contains(label));
            fits.then(|| value.parse::<f64>().ok())?
        })
        .sum()
}

/// The number of requests that change Kafka.
pub(crate) fn kafka_writes(metrics: &str) -> f64 {
    ["CreateTopics", "CreatePartitions", "IncrementalAlterConfigs", "DeleteTopics"]
        .iter()
        .map(|operation| kafka_requests(metrics, operation))
        .sum()
}

/// The number of requests to Kafka of that name.
pub(crate) fn kafka_requests(metrics: &str, operation: &str) -> f64 {
    sum(metrics, "eventcenter_kafka_requests_total", &[&format!("operation=\"{operation}\"")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, verb: &str, resource: &str, code: u16) -> String {
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let part = if part.is_empty() { String::new() } else { format!(r#","subresource":"{part}""#) };
        format!(
            r#"{{"kind":"Event","verb":"{verb}","user":{{"username":"{user}"}},"objectRef":{{"resource":"{resource}"{part}}},"responseStatus":{{"metadata":{{}},"code":{code}}}}}"#
        )
    }

    #[test]
    fn the_operators_writes_are_counted() {
        let text = [
            entry(OPERATOR, "patch", "eventtopics/status", 200),
            entry(OPERATOR, "patch", "eventtopics/status", 200),
            entry(OPERATOR, "patch", "eventtopics", 200),
            entry(OPERATOR, "patch", "eventtopics", 422),
            entry(OPERATOR, "update", "leases", 200),
            entry(OPERATOR, "create", "events", 201),
            entry("admin", "create", "eventtopics", 201),
            "not JSON".to_owned(),
        ]
        .join("\n");
        let writes = Writes::parse(&text);
        assert_eq!(writes.refused, 1);
        let done: Vec<_> = writes.done.iter().map(|(what, number)| (what.as_str(), *number)).collect();
        assert_eq!(done, [("create events", 1), ("patch eventtopics", 1), ("patch eventtopics/status", 2)]);
        assert_eq!(writes.to_topics(), 3);
    }

    #[test]
    fn an_incomplete_line_is_read_by_the_next_call() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("audit.log");
        let line = entry(OPERATOR, "create", "events", 201);
        std::fs::write(&file, "before\n").expect("the file is written");
        let mut audit = Audit::at_end(file.clone()).expect("the file exists");
        std::fs::write(&file, format!("before\n{line}\n{}", &line[..20])).expect("the file is written");
        assert_eq!(audit.read().expect("the file exists").done.values().sum::<u32>(), 1);
        std::fs::write(&file, format!("before\n{line}\n{line}\n")).expect("the file is written");
        assert_eq!(audit.read().expect("the file exists").done.values().sum::<u32>(), 1);
    }

    #[test]
    fn metrics_are_summed() {
        let text = "# TYPE eventcenter_kafka_requests counter\n\
                    eventcenter_kafka_requests_total{cluster=\"main\",operation=\"CreateTopics\",outcome=\"success\"} 3\n\
                    eventcenter_kafka_requests_total{cluster=\"main\",operation=\"CreateTopics\",outcome=\"Failed\"} 1\n\
                    eventcenter_kafka_requests_total{cluster=\"main\",operation=\"DescribeTopics\",outcome=\"success\"} 9\n";
        assert!((kafka_requests(text, "CreateTopics") - 4.0).abs() < f64::EPSILON);
        assert!((kafka_writes(text) - 4.0).abs() < f64::EPSILON);
        assert!((sum(text, "eventcenter_kafka_requests_total", &[]) - 13.0).abs() < f64::EPSILON);
    }
}
