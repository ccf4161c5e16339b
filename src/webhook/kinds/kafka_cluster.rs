//! KafkaClusters.

use super::super::cache::Snapshot;
use super::Admit;
use crate::api::KafkaCluster;
use crate::domain::admission::{self, Change, Verdict};

impl Admit for KafkaCluster {
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        admission::kafka_cluster(change, &snapshot.catalog)
    }
}
