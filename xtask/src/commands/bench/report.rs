//! What was measured as tables for people, or as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    audit::Writes,
    generator::Outcome,
    goal::{Goal, Peer, What},
    review::Reviews,
    sampler::{Measurement, OTHERS, PROCESSES, processors},
};
use crate::commands::table::{Align, Table};

/// One step with everything that is known of it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// What the load generator saw.
    pub(crate) outcome: Outcome,
    /// Until the last topic was done: who used the processors.
    pub(crate) during: Measurement,
    /// Until everything was quiet again, Events included: what it cost.
    pub(crate) whole: Measurement,
    /// What the operator wrote in Kubernetes.
    pub(crate) writes: Writes,
    /// The operator's requests to Kafka by name, and how many topics they had in all.
    pub(crate) kafka: Vec<(String, f64, f64)>,
    /// What it was asked as a webhook.
    pub(crate) reviews: Reviews,
    /// What must be reached.
    pub(crate) goals: Vec<Goal>,
    /// The peer's figures.
    pub(crate) peer: Option<Peer>,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) writers: u32,
    /// With the operator.
    pub(crate) steps: Vec<Row>,
    /// Without it.
    pub(crate) floor: Vec<Row>,
}

impl Row {
    /// Topics a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.outcome.done) / self.outcome.wall_seconds.max(f64::EPSILON)
    }

    /// A rate if nobody else had used the processors meanwhile: an estimate, for a machine that is shared.
    fn alone(&self, rate: f64) -> f64 {
        rate / (1.0 - others(&self.during.shares()) / 100.0).max(0.05)
    }

    /// CPU seconds of one process, until everything was quiet again.
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

    /// Reviews a second.
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

/// As many digits as mean something.
pub(crate) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl Report {
    /// Whether every topic arrived and every goal that was set was reached.
    pub(crate) fn is_complete(&self) -> bool {
        self.steps.iter().chain(&self.floor).all(Row::is_complete)
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        json!({
            "processors": processors(),
            "writers": self.writers,
            "steps": rows(&self.steps),
            "withoutOperator": rows(&self.floor),
        })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("With the operator, {} writers\n\n{}", self.writers, costs(&self.steps));
        let goals = goals(&self.steps);
        text += &format!("\nWhat had to be reached, and the peer (measured separately)\n\n{goals}");
        text += &format!("\nWhat the operator sent\n\n{}", self.sent());
        text += &format!("\nThe same without an operator: the floor\n\n{}", costs(&self.floor));
        text + "\n" + &shares(self.steps.iter().chain(&self.floor))
    }

    fn sent(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("WRITES TO KUBERNETES", Align::Left),
            ("REFUSED", Align::Right),
            ("REQUESTS TO KAFKA (TOPICS IN ALL)", Align::Left),
        ]);
        for row in &self.steps {
            let join = |all: Vec<String>| if all.is_empty() { "none".into() } else { all.join(", ") };
            let writes = row.writes.done.iter().map(|(what, number)| format!("{number} {what}")).collect();
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

/// What had to be reached, beside the peer if there is one.
pub(crate) fn goals(rows: &[Row]) -> String {
    let mut columns = vec![
        ("STEP", Align::Left),
        ("WHAT", Align::Left),
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
            let peer = row.peer.as_ref().and_then(|peer| peer.of(goal.what)).unwrap_or("–".into());
            let reached = if goal.reached() { "yes" } else { "NO" };
            let alone = match goal.what {
                What::Rate | What::Reviews => format!("{:.0}/s", row.alone(goal.measured)),
                _ => String::new(),
            };
            let (bound, value) = (goal.bound(), goal.value());
            let cells = [name, goal.what.name(), &bound, &value, reached, &alone, &peer];
            table.row(&cells[..columns.len()]);
        }
    }
    table.to_string()
}

/// Who used the processors.
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
        "Who used the {processors} processors until the last topic was done (percent of {processors} × wall)\n\n{table}"
    )
}

/// The share of everything that does not belong to the benchmark, in percent.
fn others(shares: &[(&str, f64)]) -> f64 {
    shares.iter().find(|(name, _)| *name == OTHERS).map_or(0.0, |(_, share)| *share)
}

/// What a step waited for: the processors and who had most of them, or something else.
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

/// A number as people write it.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Serialize for Goal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "what": self.what.name(),
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
    fn what_limits_is_named() {
        let shares = [
            ("operator", 5.0),
            ("API server", 40.0),
            ("broker", 30.0),
            ("not part of it", 20.0),
            ("idle", 5.0),
        ];
        assert_eq!(limit(&shares), "processors: API server, broker");
        assert_eq!(limit(&[("operator", 5.0), ("idle", 90.0)]), "waiting, not processors");
        assert_eq!(limit(&[("not part of it", 90.0), ("idle", 5.0)]), "processors: not part of it");
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        assert_eq!(number(2.0), "2");
        assert_eq!(number(0.2), "0.2");
        assert_eq!(number(19.456), "19.46");
    }
}
