//! The result of `bench tasks`, as tables or as JSON.

use serde_json::{Value, json};

use super::{
    generator::Latency,
    goal::number,
    report::{goals, shares},
    row::{Row, round},
    sampler::{OPERATOR, POSTGRES, RUNNER, processors},
};
use crate::commands::table::{Align, Table};

/// The measurements of one step.
#[derive(Debug, Clone)]
pub(crate) struct TaskRow {
    pub(crate) row: Row,
    /// 99th percentile of the lateness in seconds, as the operator or the runner itself measured it.
    pub(crate) own_p99: Option<f64>,
}

/// The result of `bench tasks`.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The database and the processes.
    pub(crate) store: &'static str,
    pub(crate) writers: u32,
    pub(crate) rows: Vec<TaskRow>,
}

impl TaskRow {
    /// A step whose lateness the operator does not measure.
    pub(crate) fn new(row: Row) -> Self {
        Self { row, own_p99: None }
    }
}

impl Report {
    /// Whether every task became Ready, and every run happened once.
    pub(crate) fn is_complete(&self) -> bool {
        let is_complete = |row: &Row| row.is_complete() && (row.outcome.events == 0 || row.name == "idle");
        self.rows().all(is_complete)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> + Clone {
        self.rows.iter().map(|task| &task.row)
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let step = |task: &TaskRow| {
            let mut value = task.row.json();
            value["ownLatenessP99Seconds"] = json!(task.own_p99);
            value
        };
        json!({
            "processors": processors(),
            "store": self.store,
            "writers": self.writers,
            "steps": self.rows.iter().map(step).collect::<Vec<_>>(),
        })
    }

    /// As tables.
    pub(crate) fn text(&self) -> String {
        format!(
            "All roles with {}, {} writers\n\n{}\nCPU time and peak memory, until the last run was observed\n\n{}\nGoals\n\n{}\nWrites of the operator to Kubernetes\n\n{}\n{}",
            self.store,
            self.writers,
            self.times(),
            self.costs(),
            goals(self.rows()),
            self.writes(),
            shares(self.rows()),
        )
    }

    /// How late each run was, or how long each task took to be Ready.
    fn times(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("COUNT", Align::Right),
            ("REPEATED", Align::Right),
            ("IN THE RUN LOG", Align::Right),
            ("WALL", Align::Right),
            ("RATE", Align::Right),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("MAX", Align::Right),
            ("P99 BY ITS METRICS", Align::Right),
            ("LAST CREATIONTIMESTAMP", Align::Right),
        ]);
        for TaskRow { row, own_p99 } in &self.rows {
            let outcome = &row.outcome;
            let milliseconds = |seconds: Option<f64>| {
                seconds.map_or("–".to_owned(), |time| format!("{} ms", number(1000.0 * time)))
            };
            let latency = |pick: fn(Latency) -> f64| milliseconds(outcome.latency_seconds.map(pick));
            let count = match row.is_complete() {
                true => outcome.count.to_string(),
                false => format!("{} of {}!", outcome.done, outcome.count),
            };
            let stored = format!("{} of {}", outcome.looked_up - outcome.unstored, outcome.looked_up);
            let is_load = outcome.latency_seconds.is_some();
            let created = outcome.answer_seconds.is_none() && outcome.written_seconds > 0.0;
            let of_load = |is_shown: bool, text: String| if is_shown { text } else { "–".to_owned() };
            table.row(&[
                &row.name,
                &count,
                &of_load(is_load, outcome.events.to_string()),
                &of_load(outcome.looked_up > 0, stored),
                &format!("{:.2} s", outcome.wall_seconds),
                &of_load(is_load || outcome.answer_seconds.is_some(), format!("{:.0}/s", row.rate())),
                &latency(|latency| latency.p50),
                &latency(|latency| latency.p99),
                &latency(|latency| latency.max),
                &milliseconds(*own_p99),
                &of_load(created, format!("{} s", number(round(outcome.written_seconds)))),
            ]);
        }
        table.to_string()
    }

    fn writes(&self) -> String {
        let mut table =
            Table::new(&[("STEP", Align::Left), ("WRITES", Align::Left), ("REFUSED", Align::Right)]);
        for row in self.rows() {
            let writes: Vec<String> =
                row.writes.done.iter().map(|(write, number)| format!("{number} {write}")).collect();
            let writes = if writes.is_empty() { "none".into() } else { writes.join(", ") };
            table.row(&[&row.name, &writes, &row.writes.refused.to_string()]);
        }
        table.to_string()
    }

    fn costs(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("OPERATOR CPU", Align::Right),
            ("PEAK RSS", Align::Right),
            ("RUNNER CPU", Align::Right),
            ("PEAK RSS", Align::Right),
            ("POSTGRESQL CPU", Align::Right),
            ("API SERVER CPU", Align::Right),
            ("ETCD AND NODE CPU", Align::Right),
            ("CONTROLLER MANAGER CPU", Align::Right),
        ]);
        for row in self.rows() {
            let measured =
                |process: &str, text: String| if row.whole.has(process) { text } else { "–".to_owned() };
            let cpu = |process: &str| measured(process, format!("{:.2} s", row.cpu(process)));
            let rss = |process: &str| measured(process, format!("{:.1} MiB", row.rss(process)));
            table.row(&[
                &row.name,
                &cpu(OPERATOR),
                &rss(OPERATOR),
                &cpu(RUNNER),
                &rss(RUNNER),
                &cpu(POSTGRES),
                &cpu("apiserver"),
                &cpu("controlplane"),
                &cpu("controller-manager"),
            ]);
        }
        table.to_string()
    }
}
