//! The measurements of one step.

use serde_json::{Value, json};

use super::{
    audit::Writes,
    generator::Outcome,
    goal::{Goal, Peer},
    review::Reviews,
    sampler::{Measurement, OTHERS, PROCESSES},
};

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

impl Row {
    /// Topics per second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.outcome.done) / self.outcome.wall_seconds.max(f64::EPSILON)
    }

    /// Estimates the rate without other processes on the machine.
    pub(crate) fn alone(&self, rate: f64) -> f64 {
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

    pub(crate) fn is_a_load(&self) -> bool {
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

/// The share of other processes of the machine, in percent.
fn others(shares: &[(&str, f64)]) -> f64 {
    shares.iter().find(|(name, _)| *name == OTHERS).map_or(0.0, |(_, share)| *share)
}
