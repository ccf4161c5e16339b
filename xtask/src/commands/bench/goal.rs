//! What has to be reached, and what the peer reaches.

use serde::Serialize;

use super::report::number;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Topics a second.
    Rate,
    /// CPU seconds of the operator.
    Cpu,
    /// CPU seconds of the operator in a minute.
    CpuAMinute,
    /// Peak resident memory of the operator in MiB.
    Rss,
    /// Seconds until all is done.
    Wall,
    /// Writes of the operator to Kafka and Kubernetes.
    Writes,
    /// Topics that were not done.
    Lost,
    /// What was to be refused and was not.
    Unrefused,
    /// Reviews a second.
    Reviews,
    /// The middle one of the webhook's reviews, in milliseconds.
    Median,
    /// The 99th of 100 of the webhook's reviews, in milliseconds.
    Tail,
}

/// Something to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: What,
    /// The least for a rate, the most for everything else.
    pub(crate) limit: f64,
    pub(crate) measured: f64,
}

/// The peer's figures for a step: Strimzi's Topic Operator 1.2.0 on such a machine, in another run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rss_mib: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<&'static str>,
}

impl Peer {
    pub(crate) const CREATE: Self = Self::measured(Some(19.5), 39.1, 286.0);
    pub(crate) const CHANGE: Self = Self::measured(Some(28.7), 22.0, 286.0);
    pub(crate) const DELETE: Self = Self::measured(Some(60.5), 9.6, 286.0);
    pub(crate) const IDLE: Self = Self::measured(None, 1.0, 255.0);
    /// 2,000 of them.
    pub(crate) const MANY: Self = Self {
        rate_per_second: None,
        cpu_seconds: None,
        rss_mib: None,
        note: Some("stops itself when 1,024 wait"),
    };

    const fn measured(rate: Option<f64>, cpu: f64, rss: f64) -> Self {
        Self { rate_per_second: rate, cpu_seconds: Some(cpu), rss_mib: Some(rss), note: None }
    }

    /// The figure beside ours.
    pub(crate) fn of(&self, what: What) -> Option<String> {
        let value = match what {
            What::Rate => self.rate_per_second,
            What::Cpu | What::CpuAMinute => self.cpu_seconds,
            What::Rss => self.rss_mib,
            What::Lost => return self.note.map(str::to_owned),
            What::Wall | What::Writes | What::Unrefused => None,
            What::Reviews | What::Median | What::Tail => None,
        };
        value.map(|value| what.show(value))
    }
}

impl What {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Cpu => "operator CPU",
            Self::CpuAMinute => "operator CPU a minute",
            Self::Rss => "operator peak RSS",
            Self::Wall => "wall",
            Self::Writes => "writes",
            Self::Lost => "not done",
            Self::Unrefused => "not refused",
            Self::Reviews => "reviews",
            Self::Median => "review p50",
            Self::Tail => "review p99",
        }
    }

    /// Whether more is better.
    fn is_a_rate(self) -> bool {
        matches!(self, Self::Rate | Self::Reviews)
    }

    fn show(self, value: f64) -> String {
        let text = number(value);
        match self {
            Self::Rate | Self::Reviews => format!("{text}/s"),
            Self::Median | Self::Tail => format!("{text} ms"),
            Self::Cpu | Self::CpuAMinute | Self::Wall => format!("{text} s"),
            Self::Rss => format!("{text} MiB"),
            Self::Writes | Self::Lost | Self::Unrefused => text,
        }
    }
}

impl Goal {
    pub(crate) fn new(what: What, limit: f64, measured: f64) -> Self {
        Self { what, limit, measured }
    }

    /// Whether it is reached.
    pub(crate) fn reached(&self) -> bool {
        if self.what.is_a_rate() { self.measured >= self.limit } else { self.measured <= self.limit }
    }

    /// What it says.
    pub(crate) fn bound(&self) -> String {
        let sign = if self.what.is_a_rate() { "≥" } else { "≤" };
        format!("{sign} {}", self.what.show(self.limit))
    }

    /// What was measured.
    pub(crate) fn value(&self) -> String {
        self.what.show(self.measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_least_and_all_else_a_most() {
        assert!(Goal::new(What::Rate, 50.0, 50.0).reached());
        assert!(!Goal::new(What::Rate, 50.0, 49.9).reached());
        assert!(Goal::new(What::Rss, 48.0, 47.0).reached());
        assert!(!Goal::new(What::Writes, 0.0, 1.0).reached());
        assert!(Goal::new(What::Reviews, 500.0, 501.0).reached());
        assert!(!Goal::new(What::Tail, 20.0, 20.1).reached());
        assert_eq!(Goal::new(What::Median, 3.0, 0.25).value(), "0.25 ms");
        assert_eq!(Goal::new(What::Rate, 50.0, 61.237).bound(), "≥ 50/s");
        assert_eq!(Goal::new(What::Cpu, 2.0, 1.239).value(), "1.24 s");
    }

    #[test]
    fn the_peer_stands_beside_the_same_figure() {
        assert_eq!(Peer::CREATE.of(What::Rate).as_deref(), Some("19.5/s"));
        assert_eq!(Peer::IDLE.of(What::CpuAMinute).as_deref(), Some("1 s"));
        assert_eq!(Peer::IDLE.of(What::Rate), None);
        assert!(Peer::MANY.of(What::Lost).is_some_and(|note| note.contains("1,024")));
    }
}
