//! KafkaClusters.

use super::cache::Snapshot;
use crate::api::KafkaCluster;
use crate::domain::admission::{self, Change, Verdict};

pub(super) fn judge(change: &Change<'_, KafkaCluster>, known: &Snapshot) -> Verdict {
    admission::kafka_cluster(change, &known.catalog)
}
