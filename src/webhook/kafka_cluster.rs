//! KafkaClusters.

use super::cache::Known;
use crate::api::KafkaCluster;
use crate::domain::admission::{self, Change, Verdict};

pub(super) fn judge(change: &Change<'_, KafkaCluster>, known: &Known) -> Verdict {
    admission::kafka_cluster(change, &known.world)
}
