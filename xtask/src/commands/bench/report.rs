//! The measurements as tables or as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    audit::Writes,
    generator::Outcome,
    goal::{Figure, Goal, Peer},
    review::Reviews,
    sampler::{Measurement, OTHERS, PROCESSES, processors},
};
use crate::commands::table::{Align, Table};

/// The measurements of one step.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// The result of the load generator.
    pub(crate) outcome: Outcome,
    /// CPU time and memory until the last topic was done.
    pub(crate) during: Measurement,
    /// CPU time and memory until all processes were idle again, Events included.
    pub(crate) whole: Measurement,
    /// The operator's writes to Kubernetes.
    pub(crate) writes: Writes,
    /// The operator's requests to Kafka: name, number of requests, number of topics in them.
    pub(crate) kafka: Vec<(String, f64, f64)>,
    /// Its admission reviews.
    pub(crate) reviews: Reviews,
    /// The goals of the step.
    pub(crate) goals: Vec<Goal>,
    /// The figures of the peer.
    pub(crate) peer: Option<Peer>,
}

/// The result of `bench topics`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) writers: u32,
    /// Steps with the operator.
    pub(crate) steps: Vec<Row>,
    /// The same requests without it.
    pub(crate) floor: Vec<Row>,
}

impl Row {
    /// Topics per second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.outcome.done) / self.outcome.wall_seconds.max(f64::EPSILON)
    }

    /// Estimates the rate without other processes on the machine.
    fn alone(&self, rate: f64) -> f64 {
        rate / (1.0 - others(&self.during.shares()) / 100.0).max(0.05)
    }

    /// CPU seconds of one process, until all were idle again.
    pub(crate) fn cpu(&self, process: &str) -> f64 {
        self.whole.cost(process).cpu.as_secs_f64()
    }

    /// Peak memory of one process in MiB.
    pub(crate) fn rss(&self, process: &str) -> f64 {
        let kib = u32::try_from(self.whole.cost(process).peak_rss_kib).unwrap_or(u32::MAX);
        f64::from(kib) / 1024.0
    }

    fn is_a_load(&self) -> bool {
        self.outcome.events == 0 && self.outcome.latency_seconds.is_some()
    }

    /// Reviews per second.
    pub(crate) fn reviews_rate(&self) -> f64 {
        self.reviews.count() / self.outcome.wall_seconds.max(f64::EPSILON)
    }

    /// Whether every topic arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.outcome.done == self.outcome.count
    }

    pub(crate) fn json(&self) -> Value {
        let process = |(name, _): &(&str, &str)| {
            let cost = json!({"cpuSeconds": round(self.cpu(name)), "peakRssMib": round(self.rss(name))});
            ((*name).to_owned(), cost)
        };
        let shares =
            self.during.shares().into_iter().map(|(name, share)| (name.to_owned(), json!(round(share))));
        let kafka = |(name, requests, topics): &(String, f64, f64)| {
            (name.clone(), json!({"requests": requests, "topics": topics}))
        };
        json!({
            "step": self.name,
            "outcome": self.outcome,
            "ratePerSecond": round(self.rate()),
            "ratePerSecondWithoutOthersEstimate": round(self.alone(self.rate())),
            "processes": PROCESSES.iter().map(process).collect::<serde_json::Map<_, _>>(),
            "processorSharePercent": shares.collect::<serde_json::Map<_, _>>(),
            "operatorWrites": self.writes.done,
            "operatorWritesRefused": self.writes.refused,
            "operatorKafkaRequests": self.kafka.iter().map(kafka).collect::<serde_json::Map<_, _>>(),
            "operatorReviews": (self.reviews.count() > 0.0).then(|| self.reviews.json()),
            "goals": self.goals,
            "peerMeasuredSeparately": self.peer,
        })
    }
}

/// Rounds to two digits after the point.
pub(crate) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl Report {
    /// Whether every topic arrived in every step.
    pub(crate) fn is_complete(&self) -> bool {
        self.steps.iter().chain(&self.floor).all(Row::is_complete)
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        json!({
            "processors": processors(),
            "writers": self.writers,
            "steps": rows(&self.steps),
            "withoutOperator": rows(&self.floor),
        })
    }

    /// As tables.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("With the operator, {} writers\n\n{}", self.writers, costs(&self.steps));
        let goals = goals(&self.steps);
        text += &format!("\nGoals, and the peer (measured separately)\n\n{goals}");
        text += &format!("\nRequests of the operator\n\n{}", self.requests());
        text += &format!("\nThe same requests without an operator\n\n{}", costs(&self.floor));
        text + "\n" + &shares(self.steps.iter().chain(&self.floor))
    }

    fn requests(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("WRITES TO KUBERNETES", Align::Left),
            ("REFUSED", Align::Right),
            ("REQUESTS TO KAFKA (TOPICS)", Align::Left),
        ]);
        for row in &self.steps {
            let join = |all: Vec<String>| if all.is_empty() { "none".into() } else { all.join(", ") };
            let writes = row.writes.done.iter().map(|(write, number)| format!("{number} {write}")).collect();
            let kafka = |(name, requests, topics): &(String, f64, f64)| match *topics > 0.0 {
                true => format!("{requests} {name} ({topics})"),
                false => format!("{requests} {name}"),
            };
            let kafka = row.kafka.iter().map(kafka).collect();
            table.row(&[&row.name, &join(writes), &row.writes.refused.to_string(), &join(kafka)]);
        }
        table.to_string()
    }
}

/// The table of the goals, with the peer if there is one.
pub(crate) fn goals(rows: &[Row]) -> String {
    let mut columns = vec![
        ("STEP", Align::Left),
        ("FIGURE", Align::Left),
        ("GOAL", Align::Right),
        ("MEASURED", Align::Right),
        ("REACHED", Align::Left),
        ("ESTIMATE WITHOUT OTHERS", Align::Right),
    ];
    let with_peer = rows.iter().any(|row| row.peer.is_some());
    columns.extend(with_peer.then_some(("PEER", Align::Right)));
    let mut table = Table::new(&columns);
    for row in rows {
        for (number, goal) in row.goals.iter().enumerate() {
            let name = if number == 0 { row.name.as_str() } else { "" };
            let peer = row.peer.as_ref().and_then(|peer| peer.of(goal.figure)).unwrap_or("–".into());
            let reached = if goal.reached() { "yes" } else { "NO" };
            let alone = match goal.figure {
                Figure::Rate | Figure::Reviews => format!("{:.0}/s", row.alone(goal.measured)),
                _ => String::new(),
            };
            let (bound, value) = (goal.bound(), goal.value());
            let cells = [name, goal.figure.name(), &bound, &value, reached, &alone, &peer];
            table.row(&cells[..columns.len()]);
        }
    }
    table.to_string()
}

/// The table of processor use.
pub(crate) fn shares<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let names: Vec<&str> = PROCESSES.iter().map(|(_, shown)| *shown).chain([OTHERS, "idle"]).collect();
    let headings: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let mut columns = vec![("STEP", Align::Left)];
    columns.extend(headings.iter().map(|name| (name.as_str(), Align::Right)));
    columns.push(("LIMITED BY", Align::Left));
    let mut table = Table::new(&columns);
    for row in rows {
        let shares = row.during.shares();
        let mut cells = vec![row.name.clone()];
        cells.extend(shares.iter().map(|(_, share)| format!("{share:.0}")));
        cells.push(limit(&shares));
        table.row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let processors = processors();
    format!(
        "Use of the {processors} processors until the last topic was done (percent of {processors} × wall)\n\n{table}"
    )
}

/// The share of other processes of the machine, in percent.
fn others(shares: &[(&str, f64)]) -> f64 {
    shares.iter().find(|(name, _)| *name == OTHERS).map_or(0.0, |(_, share)| *share)
}

/// What limited a step: the processors and the processes that used most of them, or waiting.
pub(crate) fn limit(shares: &[(&str, f64)]) -> String {
    let idle = shares.iter().find(|(name, _)| *name == "idle").map_or(0.0, |(_, share)| *share);
    if idle > 30.0 {
        return "waiting, not processors".to_owned();
    }
    let mut users: Vec<_> = shares.iter().filter(|(name, _)| *name != "idle").collect();
    users.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most: Vec<&str> =
        users.iter().take(2).filter(|(_, share)| *share >= 10.0).map(|(name, _)| *name).collect();
    format!("processors: {}", most.join(", "))
}

fn costs(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        ("STEP", Align::Left),
        ("TOPICS", Align::Right),
        ("WALL", Align::Right),
        ("RATE", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
        ("OPERATOR CPU", Align::Right),
        ("PEAK RSS", Align::Right),
        ("API SERVER CPU", Align::Right),
        ("ETCD CPU", Align::Right),
        ("BROKER CPU", Align::Right),
    ]);
    for row in rows {
        let there =
            |process: &str, text: String| if row.rss(process) > 0.0 { text } else { "–".to_owned() };
        let cpu = |process: &str| there(process, format!("{:.2} s", row.cpu(process)));
        let latency = |pick: fn(super::generator::Latency) -> f64| {
            row.outcome.latency_seconds.map_or("–".to_owned(), |latency| format!("{:.2} s", pick(latency)))
        };
        let done = match row.outcome.done == row.outcome.count {
            true => row.outcome.count.to_string(),
            false => format!("{} of {}!", row.outcome.done, row.outcome.count),
        };
        let has_rate = row.is_a_load() || row.whole.cost("operator").peak_rss_kib == 0;
        table.row(&[
            &row.name,
            &done,
            &format!("{:.2} s", row.outcome.wall_seconds),
            &if has_rate { format!("{:.0}/s", row.rate()) } else { "–".to_owned() },
            &latency(|latency| latency.p50),
            &latency(|latency| latency.p99),
            &cpu("operator"),
            &there("operator", format!("{:.1} MiB", row.rss("operator"))),
            &cpu("apiserver"),
            &cpu("controlplane"),
            &cpu("kafka"),
        ]);
    }
    table.to_string()
}

impl Serialize for Goal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "what": self.figure.name(),
            "goal": self.bound(),
            "measured": round(self.measured),
            "reached": self.reached(),
        })
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_step_is_named() {
        let shares = [
            ("operator", 5.0),
            ("API server", 40.0),
            ("broker", 30.0),
            ("other programs", 20.0),
            ("idle", 5.0),
        ];
        assert_eq!(limit(&shares), "processors: API server, broker");
        assert_eq!(limit(&[("operator", 5.0), ("idle", 90.0)]), "waiting, not processors");
        assert_eq!(limit(&[("other programs", 90.0), ("idle", 5.0)]), "processors: other programs");
    }
}
