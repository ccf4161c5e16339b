//! The whole product of `bench topics`: webhook, approvals and audit log on, in one process and with the roles apart.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    goal::{Figure, Goal, Peer},
    platform,
    row::{Row, round},
    sampler::{API, OPERATOR, WEBHOOK},
    stage::Stage,
};
use crate::commands::table::{Align, Table};

/// The part of the floor's rate that the whole product has to reach, in percent.
const MIN_SHARE: f64 = 70.0;

/// How the roles of the operator are deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deployment {
    /// All roles in one process, with the audit log in SQLite.
    OneProcess,
    /// Each role in a process of its own, with the audit log in PostgreSQL.
    RolesApart,
}

/// The steps, each with the requests of the floor that it is compared with, and the peer.
const STEPS: [(&str, &str, &str, Peer); 3] = [
    ("create", "create", "Kubernetes: finalizer, status, Event", Peer::PRODUCT_CREATE),
    ("change a config", "change", "Kubernetes: change, status", Peer::PRODUCT_CHANGE),
    ("delete", "delete", "Kubernetes: delete, finalizer", Peer::PRODUCT_DELETE),
];

/// One step of the whole product.
#[derive(Debug, Clone)]
pub(crate) struct ProductRow {
    pub(crate) row: Row,
    /// The name of the step of the floor.
    floor: &'static str,
}

impl Deployment {
    fn title(self) -> &'static str {
        match self {
            Self::OneProcess => "one process",
            Self::RolesApart => "roles apart",
        }
    }

    /// Starts the roles, and returns when the API server calls the webhook.
    fn start(self, stage: &mut Stage, namespace: &str, quiet: Duration) -> Result<()> {
        match self {
            Self::OneProcess => stage.start_all_roles()?,
            Self::RolesApart => stage.start_roles_apart()?,
        }
        platform::wait_for_finalizer(stage, namespace)?;
        stage.sleep(quiet)
    }

    /// Measures all steps among the tenant and the cluster in `manifests`.
    pub(crate) fn measure(
        self,
        stage: &mut Stage,
        namespace: &str,
        manifests: &[Value],
        load: &[&str],
        quiet: Duration,
    ) -> Result<Vec<ProductRow>> {
        let file = stage.apply("bench.json", manifests)?;
        self.start(stage, namespace, quiet)?;
        stage.kubectl().run(&["wait", "--for=condition=Ready", "--timeout=60s", "-f", &file])?;
        let mut rows = Vec::new();
        for (name, action, floor, peer) in STEPS {
            let name = format!("{}: {name}", self.title());
            let mut row = stage.step(&name, &[&[action], load].concat())?;
            row.peer = Some(peer);
            rows.push(ProductRow { row, floor });
        }
        Ok(rows)
    }
}

impl ProductRow {
    /// The rate in percent of that of the floor.
    fn share(&self, floor: &[Row]) -> Option<f64> {
        let floor = floor.iter().find(|row| row.name == self.floor)?;
        Some(100.0 * self.row.rate() / floor.rate().max(f64::EPSILON))
    }

    /// Adds the goals, which depend on the floor.
    pub(crate) fn set_goals(&mut self, floor: &[Row]) {
        let lost = f64::from(self.row.outcome.count - self.row.outcome.done);
        let goals = self.share(floor).map(|share| Goal::new(Figure::Share, MIN_SHARE, share));
        self.row.goals = goals.into_iter().chain([Goal::new(Figure::Lost, 0.0, lost)]).collect();
    }

    /// The measured processes of the operator.
    fn roles(&self) -> impl Iterator<Item = &'static str> {
        [OPERATOR, WEBHOOK, API].into_iter().filter(|role| self.row.whole.has(role))
    }

    /// CPU seconds of all roles.
    fn cpu(&self) -> f64 {
        self.roles().map(|role| self.row.cpu(role)).sum()
    }

    /// As JSON.
    pub(crate) fn json(&self, floor: &[Row]) -> Value {
        let mut value = self.row.json();
        value["cpuSecondsOfAllRoles"] = json!(round(self.cpu()));
        value["floor"] = json!({"step": self.floor, "sharePercent": self.share(floor).map(round)});
        value
    }
}

/// The rows as a table.
pub(crate) fn table(rows: &[ProductRow], floor: &[Row]) -> String {
    let mut table = Table::new(&[
        ("STEP", Align::Left),
        ("TOPICS", Align::Right),
        ("WALL", Align::Right),
        ("RATE", Align::Right),
        ("OF THE FLOOR", Align::Right),
        ("P50", Align::Right),
        ("P99", Align::Right),
        ("OPERATOR CPU", Align::Right),
        ("PEAK RSS", Align::Right),
        ("API SERVER CPU", Align::Right),
        ("ETCD CPU", Align::Right),
        ("BROKER CPU", Align::Right),
    ]);
    for product in rows {
        let row = &product.row;
        let seconds = |seconds: Option<f64>| seconds.map_or("–".to_owned(), |time| format!("{time:.2} s"));
        let latency = row.outcome.latency_seconds;
        let memory: Vec<String> = product.roles().map(|role| format!("{:.1}", row.rss(role))).collect();
        table.row(&[
            &row.name,
            &row.outcome.done.to_string(),
            &format!("{:.2} s", row.outcome.wall_seconds),
            &format!("{:.0}/s", row.rate()),
            &product.share(floor).map_or("–".to_owned(), |share| format!("{share:.0} %")),
            &seconds(latency.map(|latency| latency.p50)),
            &seconds(latency.map(|latency| latency.p99)),
            &format!("{:.2} s", product.cpu()),
            &format!("{} MiB", memory.join(" + ")),
            &format!("{:.2} s", row.cpu("apiserver")),
            &format!("{:.2} s", row.cpu("controlplane")),
            &format!("{:.2} s", row.cpu("kafka")),
        ]);
    }
    table.to_string()
}
