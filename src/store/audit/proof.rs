//! Reads stored nodes of the trees, computes the other ones, and creates proofs.

use std::collections::BTreeMap;

use serde_json::json;

use super::convert::{to_hash, to_i64, to_u64};
use super::log::Audit;
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Consistency, Hash, Inclusion, Node, Nodes, Range};
use crate::domain::audit::verify::{LEVEL_STEP, StoredNode};
use crate::store::Error;
use crate::store::database::{Database, reading, snapshot};

const PROVING: &str = "reading nodes of the audit log";

/// Number of ranges per query, to limit memory: each requires at most 510 leaves.
const RANGES_PER_QUERY: usize = 64;

/// Leaves by ranges of positions, and nodes by level and ranges of indexes. The ranges are a JSON array, which the query visits
/// first because it is short.
const LEAVES_POSTGRES: &str = "SELECT 0::bigint, leaf.seq, leaf.hash FROM json_array_elements($2::json) AS part (place) \
     JOIN audit_record AS leaf ON leaf.log = $1 AND leaf.seq >= (place ->> 0)::bigint AND leaf.seq < (place ->> 1)::bigint";
const LEAVES_SQLITE: &str = "SELECT 0, leaf.seq, leaf.hash FROM json_each($2) AS part CROSS JOIN audit_record AS leaf \
     WHERE leaf.log = $1 AND leaf.seq >= part.value ->> 0 AND leaf.seq < part.value ->> 1";
const NODES_POSTGRES: &str = "SELECT node.level, node.idx, node.hash FROM json_array_elements($2::json) AS part (place) \
     JOIN audit_node AS node ON node.log = $1 AND node.level = (place ->> 0)::bigint \
     AND node.idx >= (place ->> 1)::bigint AND node.idx < (place ->> 2)::bigint";
const NODES_SQLITE: &str = "SELECT node.level, node.idx, node.hash FROM json_each($2) AS part CROSS JOIN audit_node AS node \
     WHERE node.log = $1 AND node.level = part.value ->> 0 AND node.idx >= part.value ->> 1 AND node.idx < part.value ->> 2";

/// The index and the hash of a node, and the times of the records below it.
type NodeRow = (i64, Vec<u8>, Option<i64>, Option<i64>);

/// The leaves and nodes to read.
#[derive(Debug, Default, PartialEq, Eq)]
struct ReadPlan {
    /// Ranges of leaves, with exclusive ends.
    leaves: Vec<(u64, u64)>,
    /// Ranges of stored nodes: the level, the first index, and the exclusive end.
    nodes: Vec<(u8, u64, u64)>,
}

impl ReadPlan {
    /// For each requested node the leaves or nodes below it at the nearest stored level.
    fn new(wanted: &[Node]) -> Self {
        let mut plan = Self::default();
        for node in wanted {
            let level = node.level - node.level % LEVEL_STEP;
            let width = node.level - level;
            let (from, until) = (node.index << width, (node.index + 1) << width);
            match level {
                0 => plan.leaves.push((from, until)),
                _ => plan.nodes.push((level, from, until)),
            }
        }
        plan.leaves = merge_ranges(std::mem::take(&mut plan.leaves));
        plan.nodes.sort_unstable();
        plan.nodes.dedup();
        plan
    }
}

/// Merges ranges that overlap or touch.
fn merge_ranges(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, until) in ranges {
        match merged.last_mut() {
            Some(last) if last.1 >= from => last.1 = last.1.max(until),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// Computes a node from the nodes at the stored level below it.
fn compute_node(node: Node, below: &Nodes) -> Option<Hash> {
    let level = node.level - node.level % LEVEL_STEP;
    let width = node.level - level;
    let mut hashes: Vec<Hash> = (node.index << width..(node.index + 1) << width)
        .map(|index| below.get(&Node { level, index }).copied())
        .collect::<Option<_>>()?;
    while hashes.len() > 1 {
        hashes = hashes.chunks(2).map(|pair| Hash::node(&pair[0], &pair[1])).collect();
    }
    hashes.pop()
}

impl Audit {
    /// Reads the stored nodes that end after `from` and not after `until`, by their ends.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_nodes(&self, log: &LogName, from: u64, until: u64) -> Result<Vec<StoredNode>, Error> {
        const QUERY: &str = "SELECT idx, hash, earliest, latest FROM audit_node \
             WHERE log = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx";
        let mut nodes = Vec::new();
        // The size of a log has at most 63 bits.
        for level in
            (LEVEL_STEP..u8::try_from(i64::BITS - 1).unwrap_or(u8::MAX)).step_by(usize::from(LEVEL_STEP))
        {
            let (first, after) = (from >> level, until >> level);
            let rows: Vec<NodeRow> = reading!(&self.database, pool => {
                sqlx::query_as(QUERY)
                    .bind(log.as_str())
                    .bind(i64::from(level))
                    .bind(to_i64(first))
                    .bind(to_i64(after))
                    .fetch_all(pool)
                    .await
            })
            .map_err(Error::driver(PROVING))?;
            if rows.is_empty() && after >> LEVEL_STEP == 0 {
                break;
            }
            for (index, hash, earliest, latest) in rows {
                let node = Node { level, index: to_u64(index, PROVING)? };
                let (hash, times) = (to_hash(&hash, PROVING)?, earliest.zip(latest));
                nodes.push(StoredNode { node, hash, times });
            }
        }
        nodes.sort_unstable_by_key(|stored| (stored.node.index + 1) << stored.node.level);
        Ok(nodes)
    }

    /// Computes the compact range of records. Dropped records are possible as far as the range consists of stored nodes.
    ///
    /// # Errors
    /// The database is unavailable, or records do not exist.
    pub async fn read_range(&self, log: &LogName, from: u64, until: u64) -> Result<Range, Error> {
        let range = self.read_ranges(log, &[(from, until)]).await?.pop();
        range.ok_or_else(|| missing_records(log, from, until))
    }

    /// Computes several compact ranges with few queries. Each range is a first record and an exclusive end.
    ///
    /// # Errors
    /// As [`Audit::read_range`].
    pub async fn read_ranges(&self, log: &LogName, bounds: &[(u64, u64)]) -> Result<Vec<Range>, Error> {
        if let Some((from, until)) = bounds.iter().find(|(from, until)| from > until) {
            return Err(missing_records(log, *from, *until));
        }
        let mut ranges = Vec::with_capacity(bounds.len());
        for chunk in bounds.chunks(RANGES_PER_QUERY) {
            let wanted: Vec<Node> =
                chunk.iter().flat_map(|(from, until)| Range::nodes(*from, *until)).collect();
            let nodes = self.read_hashes(log, &wanted).await?;
            for (from, until) in chunk {
                let wanted = Range::nodes(*from, *until);
                let hashes = wanted.iter().map(|node| nodes.get(node).copied()).collect::<Option<_>>();
                let range = hashes.and_then(|hashes| Range::of(*from, *until, hashes).ok());
                ranges.push(range.ok_or_else(|| missing_records(log, *from, *until))?);
            }
        }
        Ok(ranges)
    }

    /// Proves that a record is among the first `size` records.
    ///
    /// # Errors
    /// The database is unavailable, or records do not exist.
    pub async fn prove_inclusion(&self, log: &LogName, seq: u64, size: u64) -> Result<Inclusion, Error> {
        if seq >= size {
            return Err(missing_records(log, seq, size));
        }
        let nodes = self.read_hashes(log, &Inclusion::needs(seq, size)).await?;
        Inclusion::prove(seq, size, &nodes).ok_or_else(|| missing_records(log, seq, size))
    }

    /// Proves that the first `from` records are a prefix of the first `to` records.
    ///
    /// # Errors
    /// The database is unavailable, or records do not exist.
    pub async fn prove_consistency(&self, log: &LogName, from: u64, to: u64) -> Result<Consistency, Error> {
        if from > to {
            return Err(missing_records(log, from, to));
        }
        let nodes = self.read_hashes(log, &Consistency::needs(from, to)).await?;
        Consistency::prove(from, to, &nodes).ok_or_else(|| missing_records(log, from, to))
    }

    /// Reads or computes the hashes of nodes, without those that depend on records that do not exist.
    async fn read_hashes(&self, log: &LogName, wanted: &[Node]) -> Result<Nodes, Error> {
        if wanted.is_empty() {
            return Ok(Nodes::new());
        }
        let plan = ReadPlan::new(wanted);
        let (leaves, nodes) = match &self.database {
            Database::Postgres(_) => (LEAVES_POSTGRES, NODES_POSTGRES),
            Database::Sqlite(_) => (LEAVES_SQLITE, NODES_SQLITE),
        };
        let mut below: Nodes = BTreeMap::new();
        snapshot!(&self.database, PROVING, transaction => {
            for (query, ranges, is_needed) in [
                (leaves, json!(plan.leaves), !plan.leaves.is_empty()),
                (nodes, json!(plan.nodes), !plan.nodes.is_empty()),
            ] {
                if !is_needed {
                    continue;
                }
                let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(query)
                    .bind(log.as_str())
                    .bind(ranges.to_string())
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(Error::driver(PROVING))?;
                for (level, index, hash) in rows {
                    let level = u8::try_from(level).map_err(|_| invalid_level(level))?;
                    below.insert(Node { level, index: to_u64(index, PROVING)? }, to_hash(&hash, PROVING)?);
                }
            }
        });
        Ok(wanted.iter().filter_map(|node| Some((*node, compute_node(*node, &below)?))).collect())
    }
}

fn invalid_level(level: i64) -> Error {
    Error::Corrupt { operation: PROVING, problem: format!("{level} is not a level of a tree") }
}

fn missing_records(log: &LogName, from: u64, until: u64) -> Error {
    let problem = format!("some of the records {from} to {until} of the log {log} do not exist");
    Error::Corrupt { operation: PROVING, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_between_stored_levels_are_computed() {
        let leaves: Vec<Hash> = (0..70_000_u32).map(|leaf| Hash::leaf(&leaf.to_be_bytes())).collect();
        let mut all = Nodes::new();
        let mut range = Range::empty(0);
        for leaf in leaves {
            range.push(leaf, |node, hash| {
                all.insert(node, hash);
            });
        }
        let stored: Nodes = all
            .iter()
            .filter(|(node, _)| node.level.is_multiple_of(LEVEL_STEP))
            .map(|(node, hash)| (*node, *hash))
            .collect();
        for (node, hash) in all {
            assert_eq!(compute_node(node, &stored), Some(hash), "{node:?}");
        }
    }

    #[test]
    fn a_plan_reads_few_leaves() {
        let plan = ReadPlan::new(&Range::nodes(3, 70_001));
        assert_eq!(plan.leaves, [(3, 256), (69_888, 70_001)]);
        assert_eq!(plan.nodes.iter().map(|(_, from, until)| until - from).sum::<u64>(), 272);
    }
}
