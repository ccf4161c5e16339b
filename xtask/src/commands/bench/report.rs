//! The measurements as tables or as JSON.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    goal::{Figure, Goal},
    product::{self, ProductRow},
    row::{Row, round},
    sampler::{OTHERS, PROCESSES, processors},
};
use crate::commands::table::{Align, Table};

/// The result of `bench topics`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) writers: u32,
    /// Steps with the operator.
    pub(crate) steps: Vec<Row>,
    /// Steps with all roles: webhook, approvals and audit log.
    pub(crate) product: Vec<ProductRow>,
    /// The same requests without it.
    pub(crate) floor: Vec<Row>,
}

impl Report {
    /// Whether every topic arrived in every step.
    pub(crate) fn is_complete(&self) -> bool {
        self.rows().all(Row::is_complete)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        let product = self.product.iter().map(|product| &product.row);
        self.steps.iter().chain(product).chain(&self.floor)
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let rows = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<_>>();
        json!({
            "processors": processors(),
            "writers": self.writers,
            "steps": rows(&self.steps),
            "wholeProduct": self.product.iter().map(|row| row.json(&self.floor)).collect::<Vec<_>>(),
            "withoutOperator": rows(&self.floor),
        })
    }

    /// As tables.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("With the controllers, {} writers\n\n{}", self.writers, costs(&self.steps));
        text += &format!(
            "\nThe whole product, with webhook and audit log (memory of roles apart: controllers + webhook + REST API)\n\n{}",
            product::table(&self.product, &self.floor)
        );
        let goals = goals(self.measured());
        text += &format!("\nGoals, and the peer (measured separately)\n\n{goals}");
        text += &format!("\nRequests of the operator\n\n{}", self.requests());
        text += &format!("\nThe same requests without an operator\n\n{}", costs(&self.floor));
        text + "\n" + &shares(self.rows())
    }

    /// The steps with an operator.
    fn measured(&self) -> impl Iterator<Item = &Row> + Clone {
        self.steps.iter().chain(self.product.iter().map(|product| &product.row))
    }

    fn requests(&self) -> String {
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            ("WRITES TO KUBERNETES", Align::Left),
            ("REFUSED", Align::Right),
            ("REQUESTS TO KAFKA (TOPICS)", Align::Left),
        ]);
        for row in self.measured() {
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
pub(crate) fn goals<'a>(rows: impl IntoIterator<Item = &'a Row> + Clone) -> String {
    let mut columns = vec![
        ("STEP", Align::Left),
        ("FIGURE", Align::Left),
        ("GOAL", Align::Right),
        ("MEASURED", Align::Right),
        ("REACHED", Align::Left),
        ("ESTIMATE WITHOUT OTHERS", Align::Right),
    ];
    let with_baseline =
        rows.clone().into_iter().flat_map(|row| &row.goals).any(|goal| goal.baseline.is_some());
    columns.extend(with_baseline.then_some(("BASELINE", Align::Right)));
    let with_peer = rows.clone().into_iter().any(|row| row.peer.is_some());
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
            let baseline = goal.baseline();
            let mut cells = vec![name, goal.figure.name(), &bound, &value, reached, &alone];
            cells.extend(with_baseline.then_some(baseline.as_str()));
            cells.extend(with_peer.then_some(peer.as_str()));
            table.row(&cells);
        }
    }
    table.to_string()
}

/// The table of processor use.
pub(crate) fn shares<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let rows: Vec<&Row> = rows.into_iter().collect();
    let is_measured = |name: &str| rows.iter().any(|row| row.during.has(name));
    let processes = PROCESSES.iter().filter(|(name, _)| is_measured(name)).map(|(_, shown)| *shown);
    let names: Vec<&str> = processes.chain([OTHERS, "idle"]).collect();
    let headings: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
    let mut columns = vec![("STEP", Align::Left)];
    columns.extend(headings.iter().map(|name| (name.as_str(), Align::Right)));
    columns.push(("LIMITED BY", Align::Left));
    let mut table = Table::new(&columns);
    for row in rows {
        let shares = row.during.shares();
        let mut cells = vec![row.name.clone()];
        let shown = shares.iter().filter(|(name, _)| names.contains(name));
        cells.extend(shown.map(|(_, share)| format!("{share:.0}")));
        cells.push(limit(&shares));
        table.row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let processors = processors();
    format!(
        "Use of the {processors} processors until the last topic was done (percent of {processors} × wall)\n\n{table}"
    )
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
            "baseline": self.baseline.map(round),
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
