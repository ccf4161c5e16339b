//! Amounts of what quotas limit.

/// An amount of what quotas limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of topics.
    pub topics: i64,
    /// Number of partitions.
    pub partitions: i64,
    /// Retention size in bytes, of topics that limit it.
    pub retention_bytes: i64,
}

impl Amount {
    /// The empty amount.
    pub const ZERO: Self = Self { topics: 0, partitions: 0, retention_bytes: 0 };

    /// The amount of one topic. `retention_bytes` is the retention size of each partition, if it is limited.
    #[must_use]
    pub fn of_topic(partitions: i64, retention_bytes: Option<i64>) -> Self {
        let bytes = retention_bytes.filter(|bytes| *bytes > 0).unwrap_or_default();
        Self { topics: 1, partitions, retention_bytes: bytes.saturating_mul(partitions) }
    }

    pub(super) fn join(self, other: Self, by: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            topics: by(self.topics, other.topics),
            partitions: by(self.partitions, other.partitions),
            retention_bytes: by(self.retention_bytes, other.retention_bytes),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        self.join(other, i64::saturating_add)
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.join(other, i64::saturating_sub)
    }

    /// The part of this amount that exceeds `granted`.
    pub(super) fn beyond(self, granted: Self) -> Self {
        self.minus(granted).join(Self::ZERO, i64::max)
    }
}
