//! The webhook's own metrics of its reviews: their number and duration.

use serde_json::{Value, json};

use super::audit;

const DURATION: &str = "eventcenter_webhook_review_seconds";
const REVIEWS: &str = "eventcenter_webhook_reviews_total";
const TOPICS: &str = "kind=\"EventTopic\"";

/// The reviews of EventTopics, since the start of the process or within a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reviews {
    /// The number of refused reviews.
    pub(crate) refused: f64,
    /// Their durations.
    pub(crate) durations: Histogram,
}

/// A histogram of durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    /// The upper bound of each bucket in seconds, and the cumulative count.
    buckets: Vec<(f64, f64)>,
}

impl Reviews {
    /// Parses the operator's metrics.
    pub(crate) fn read(metrics: &str) -> Self {
        let refused = audit::sum(metrics, REVIEWS, &[TOPICS, "outcome=\"refused\""]);
        Self { refused, durations: Histogram::read(metrics, DURATION, TOPICS) }
    }

    /// The difference to an earlier value.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { refused: self.refused - before.refused, durations: self.durations.since(&before.durations) }
    }

    /// The number of reviews.
    pub(crate) fn count(&self) -> f64 {
        self.durations.count()
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let milliseconds = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1000.0);
        json!({
            "count": self.count(),
            "refused": self.refused,
            "p50Milliseconds": milliseconds(self.durations.quantile(0.5)),
            "p99Milliseconds": milliseconds(self.durations.quantile(0.99)),
            "maxBelowMilliseconds": milliseconds(self.durations.bound().filter(|bound| bound.is_finite())),
        })
    }
}

impl Histogram {
    /// The sum of all series of that name with that label.
    pub(crate) fn read(metrics: &str, name: &str, label: &str) -> Self {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        let series = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("_bucket{"));
        for line in series.filter(|line| line.contains(label)) {
            let Some((bound, count)) = bucket(line) else { continue };
            match buckets.iter_mut().find(|(known, _)| known.total_cmp(&bound).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { buckets }
    }

    /// The difference to an earlier value.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let earlier = |bound: f64| {
            let found = before.buckets.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
            found.map_or(0.0, |(_, count)| *count)
        };
        Self {
            buckets: self.buckets.iter().map(|(bound, count)| (*bound, count - earlier(*bound))).collect(),
        }
    }

    fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The quantile in seconds. As in Prometheus, durations are assumed to be uniformly distributed within a bucket, and a
    /// quantile beyond the last finite bound is that bound.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.count();
        let (mut from, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= wanted && *count > below {
                let within = (wanted - below) / (count - below);
                return Some(if bound.is_finite() { from + (bound - from) * within } else { from });
            }
            (from, below) = (*bound, *count);
        }
        None
    }

    /// The upper bound of the longest duration, in seconds.
    pub(crate) fn bound(&self) -> Option<f64> {
        let all = self.count();
        self.buckets.iter().find(|(_, count)| all > 0.0 && *count >= all).map(|(bound, _)| *bound)
    }
}

/// Bound and count of `le="0.001",…} 3`.
fn bucket(line: &str) -> Option<(f64, f64)> {
    let (labels, count) = line.rsplit_once("} ")?;
    let (_, bound) = labels.split_once("le=\"")?;
    Some((bound.split_once('"')?.0.parse().ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(kind: &str, outcome: &str, buckets: [u32; 4]) -> String {
        let bounds = ["0.001", "0.002", "0.01", "+Inf"];
        let lines = bounds.iter().zip(buckets).map(|(bound, count)| {
            format!("{DURATION}_bucket{{le=\"{bound}\",kind=\"{kind}\",outcome=\"{outcome}\"}} {count}\n")
        });
        let count =
            format!("{REVIEWS}{{kind=\"{kind}\",outcome=\"{outcome}\",reason=\"x\"}} {}\n", buckets[3]);
        lines.chain([count]).collect()
    }

    fn about(value: Option<f64>, expected: f64) -> bool {
        value.is_some_and(|value| (value - expected).abs() < 1e-9)
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let text = metrics("EventTopic", "allowed", [40, 80, 100, 100]);
        let durations = Reviews::read(&text).durations;
        assert!(about(durations.quantile(0.2), 0.0005), "{durations:?}");
        assert!(about(durations.quantile(0.4), 0.001), "{durations:?}");
        assert!(about(durations.quantile(0.5), 0.00125), "{durations:?}");
        assert!(about(durations.quantile(0.99), 0.0096), "{durations:?}");
        assert!(about(durations.bound(), 0.01), "{durations:?}");
    }

    #[test]
    fn a_quantile_beyond_the_last_bound_is_that_bound() {
        let durations = Reviews::read(&metrics("EventTopic", "allowed", [0, 0, 0, 5])).durations;
        assert!(about(durations.quantile(0.5), 0.01), "{durations:?}");
        assert!(durations.bound().is_some_and(f64::is_infinite), "{durations:?}");
    }

    #[test]
    fn only_later_reviews_count() {
        let before = metrics("EventTopic", "allowed", [10, 10, 10, 10]);
        let after = [
            metrics("EventTopic", "allowed", [10, 14, 14, 14]),
            metrics("EventTopic", "refused", [1, 1, 1, 1]),
            metrics("Tenant", "refused", [7, 7, 7, 7]),
        ];
        let reviews = Reviews::read(&after.concat()).since(&Reviews::read(&before));
        assert!(about(Some(reviews.count()), 5.0) && about(Some(reviews.refused), 1.0), "{reviews:?}");
        assert!(about(reviews.durations.bound(), 0.002), "{reviews:?}");
        assert_eq!(reviews.durations.quantile(0.0).map(|time| time >= 0.0), Some(true));
    }

    #[test]
    fn no_reviews_have_no_quantiles() {
        let none = Reviews::read("");
        assert_eq!((none.durations.quantile(0.5), none.durations.bound()), (None, None));
        let same = Reviews::read(&metrics("EventTopic", "allowed", [1, 1, 1, 1]));
        assert_eq!(same.since(&same).durations.quantile(0.99), None);
    }
}
