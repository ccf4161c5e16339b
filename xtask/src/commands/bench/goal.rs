//! The goals of a benchmark, and the figures of the peer.

use serde::Serialize;

/// A measured figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Topics per second.
    Rate,
    /// CPU seconds of the operator.
    Cpu,
    /// CPU seconds of the operator per minute.
    CpuAMinute,
    /// Peak resident memory of the operator in MiB.
    Rss,
    /// Seconds until the end of the step.
    Wall,
    /// Writes of the operator to Kafka and Kubernetes.
    Writes,
    /// Topics that were not completed.
    Lost,
    /// Requests that should have been refused and were not.
    Unrefused,
    /// Reviews per second.
    Reviews,
    /// Median duration of the webhook's reviews, in milliseconds.
    Median,
    /// 99th percentile of the duration of the webhook's reviews, in milliseconds.
    Tail,
    /// The rate in percent of the rate of the same requests without an operator.
    Share,
    /// CPU time of the operator in percent of one processor.
    CpuShare,
    /// Seconds from when runs were due until the last Job was created.
    LastJob,
    /// 99th percentile of the lateness of runs, in milliseconds.
    Lateness,
    /// Runs that were executed more than once.
    Repeated,
    /// Runs that were not in the run log when they were executed.
    Unstored,
}

/// A bound for a figure, and the measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    pub(crate) figure: Figure,
    /// The minimum of a rate, or the maximum of any other figure.
    pub(crate) limit: f64,
    pub(crate) measured: f64,
    /// The same figure of the baseline, in the same run.
    pub(crate) baseline: Option<f64>,
}

/// The peer's figures for a step: Strimzi's Topic Operator 1.2.0, measured in another run on such a machine.
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
    /// With 2,000 topics.
    pub(crate) const MANY: Self = Self {
        rate_per_second: None,
        cpu_seconds: None,
        rss_mib: None,
        note: Some("stops itself when 1,024 wait"),
    };

    // Beside the whole product: in November 2026 on another machine, with the queue raised to 100,000.
    pub(crate) const PRODUCT_CREATE: Self = Self::measured(Some(27.5), 26.0, 224.0);
    pub(crate) const PRODUCT_CHANGE: Self = Self::measured(Some(39.8), 16.9, 243.0);
    pub(crate) const PRODUCT_DELETE: Self = Self::measured(Some(82.0), 6.3, 245.0);

    const fn measured(rate: Option<f64>, cpu: f64, rss: f64) -> Self {
        Self { rate_per_second: rate, cpu_seconds: Some(cpu), rss_mib: Some(rss), note: None }
    }

    /// The peer's value of a figure.
    pub(crate) fn of(&self, figure: Figure) -> Option<String> {
        let value = match figure {
            Figure::Rate => self.rate_per_second,
            Figure::Cpu | Figure::CpuAMinute => self.cpu_seconds,
            Figure::Rss => self.rss_mib,
            Figure::Lost => return self.note.map(str::to_owned),
            Figure::Wall | Figure::Writes | Figure::Unrefused => None,
            Figure::Reviews | Figure::Median | Figure::Tail | Figure::Share => None,
            Figure::CpuShare | Figure::LastJob | Figure::Lateness => None,
            Figure::Repeated | Figure::Unstored => None,
        };
        value.map(|value| figure.show(value))
    }
}

impl Figure {
    /// Its name in the tables.
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
            Self::Share => "share of the floor",
            Self::CpuShare => "operator CPU of a core",
            Self::LastJob => "last Job after",
            Self::Lateness => "lateness p99",
            Self::Repeated => "repeated",
            Self::Unstored => "not in the run log",
        }
    }

    /// Whether a higher value is better.
    fn is_a_rate(self) -> bool {
        matches!(self, Self::Rate | Self::Reviews | Self::Share)
    }

    fn show(self, value: f64) -> String {
        let text = number(value);
        match self {
            Self::Rate | Self::Reviews => format!("{text}/s"),
            Self::Median | Self::Tail | Self::Lateness => format!("{text} ms"),
            Self::Cpu | Self::CpuAMinute | Self::Wall | Self::LastJob => format!("{text} s"),
            Self::Rss => format!("{text} MiB"),
            Self::Share | Self::CpuShare => format!("{text} %"),
            Self::Writes | Self::Lost | Self::Unrefused | Self::Repeated | Self::Unstored => text,
        }
    }
}

impl Goal {
    pub(crate) fn new(figure: Figure, limit: f64, measured: f64) -> Self {
        Self { figure, limit, measured, baseline: None }
    }

    /// Whether it is reached.
    pub(crate) fn reached(&self) -> bool {
        if self.figure.is_a_rate() { self.measured >= self.limit } else { self.measured <= self.limit }
    }

    /// The bound as text.
    pub(crate) fn bound(&self) -> String {
        let sign = if self.figure.is_a_rate() { "≥" } else { "≤" };
        format!("{sign} {}", self.figure.show(self.limit))
    }

    /// The measured value as text.
    pub(crate) fn value(&self) -> String {
        self.figure.show(self.measured)
    }

    /// The value of the baseline as text.
    pub(crate) fn baseline(&self) -> String {
        self.baseline.map_or("–".into(), |value| self.figure.show(value))
    }
}

/// A number with at most two digits after the point.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_trailing_zeros() {
        assert_eq!(number(2.0), "2");
        assert_eq!(number(0.2), "0.2");
        assert_eq!(number(19.456), "19.46");
    }

    #[test]
    fn a_rate_has_a_minimum_and_any_other_figure_a_maximum() {
        assert!(Goal::new(Figure::Rate, 50.0, 50.0).reached());
        assert!(!Goal::new(Figure::Rate, 50.0, 49.9).reached());
        assert!(Goal::new(Figure::Rss, 48.0, 47.0).reached());
        assert!(!Goal::new(Figure::Writes, 0.0, 1.0).reached());
        assert!(Goal::new(Figure::Reviews, 500.0, 501.0).reached());
        assert!(!Goal::new(Figure::Tail, 20.0, 20.1).reached());
        assert_eq!(Goal::new(Figure::Median, 3.0, 0.25).value(), "0.25 ms");
        assert_eq!(Goal::new(Figure::Rate, 50.0, 61.237).bound(), "≥ 50/s");
        assert!(!Goal::new(Figure::Share, 70.0, 69.0).reached());
        assert_eq!(Goal::new(Figure::Cpu, 2.0, 1.239).value(), "1.24 s");
    }

    #[test]
    fn the_peer_has_a_value_for_some_figures() {
        assert_eq!(Peer::CREATE.of(Figure::Rate).as_deref(), Some("19.5/s"));
        assert_eq!(Peer::IDLE.of(Figure::CpuAMinute).as_deref(), Some("1 s"));
        assert_eq!(Peer::IDLE.of(Figure::Rate), None);
        assert!(Peer::MANY.of(Figure::Lost).is_some_and(|note| note.contains("1,024")));
    }
}
