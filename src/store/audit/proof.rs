//! Nodes of the trees: those that are kept, and those that follow from records.

use std::collections::BTreeMap;

use super::record::{count, hash_of};
use super::{Audit, STEP, signed};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Consistency, Hash, Inclusion, Node, Nodes, Range};
use crate::store::Error;
use crate::store::database::{reading, snapshot};

const PROVING: &str = "reading nodes of the audit log";

/// A place in a level, and the hash there.
type NodeRow = (i64, Vec<u8>);

/// What is to be read: leaves and nodes, from one place to before another.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Blocks of which the leaves are read: only those from the first to before the second.
    leaves: Vec<(u64, u64)>,
    /// Nodes that are kept: the level, the first index and the one after the last.
    kept: Vec<(u8, u64, u64)>,
}

impl Plan {
    /// The leaves or nodes of the next lower level that is kept, for each node that is wanted.
    fn of(wanted: &[Node]) -> Self {
        let mut plan = Self::default();
        for node in wanted {
            let level = node.level - node.level % STEP;
            let width = node.level - level;
            let (from, until) = (node.index << width, (node.index + 1) << width);
            match level {
                0 => plan.leaves.push((from, until)),
                _ => plan.kept.push((level, from, until)),
            }
        }
        plan.leaves = merged(std::mem::take(&mut plan.leaves));
        plan.kept.sort_unstable();
        plan.kept.dedup();
        plan
    }
}

/// Ranges that touch each other are read at once.
fn merged(mut ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
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

/// The hash of a node, from those of the level below that was read.
fn raised(node: Node, below: &Nodes) -> Option<Hash> {
    let level = node.level - node.level % STEP;
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
    /// Nodes that are kept, whose last leaf is from that place on and before the other.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn nodes(&self, log: &LogName, from: u64, until: u64) -> Result<Vec<(Node, Hash)>, Error> {
        const QUERY: &str = "SELECT idx, hash FROM audit_node WHERE log = $1 AND level = $2 AND idx >= $3 AND idx < $4 ORDER BY idx";
        let mut nodes = Vec::new();
        // No log has more records than a number has bits.
        for level in (STEP..u8::try_from(i64::BITS - 1).unwrap_or(u8::MAX)).step_by(usize::from(STEP)) {
            let (first, after) = (from >> level, until >> level);
            let rows: Vec<NodeRow> = reading!(&self.database, pool => {
                sqlx::query_as(QUERY)
                    .bind(log.as_str())
                    .bind(i64::from(level))
                    .bind(signed(first))
                    .bind(signed(after))
                    .fetch_all(pool)
                    .await
            })
            .map_err(Error::driver(PROVING))?;
            if rows.is_empty() && after >> STEP == 0 {
                break;
            }
            for (index, hash) in rows {
                nodes.push((Node { level, index: count(index, PROVING)? }, hash_of(&hash, PROVING)?));
            }
        }
        nodes.sort_unstable_by_key(|(node, _)| (node.index + 1) << node.level);
        Ok(nodes)
    }

    /// The compact range of records, those that were dropped included if whole nodes of them are asked for.
    ///
    /// # Errors
    /// The database does not answer, or the records are not there any more.
    pub async fn range(&self, log: &LogName, from: u64, until: u64) -> Result<Range, Error> {
        if from > until {
            return Err(missing(log, from, until));
        }
        let wanted = Range::nodes(from, until);
        let nodes = self.hashes(log, &wanted).await?;
        let hashes = wanted.iter().map(|node| nodes.get(node).copied()).collect::<Option<_>>();
        let range = hashes.and_then(|hashes| Range::of(from, until, hashes).ok());
        range.ok_or_else(|| missing(log, from, until))
    }

    /// The proof that a record is among the first `size`.
    ///
    /// # Errors
    /// The database does not answer, or there is no such record.
    pub async fn inclusion(&self, log: &LogName, seq: u64, size: u64) -> Result<Inclusion, Error> {
        if seq >= size {
            return Err(missing(log, seq, size));
        }
        let nodes = self.hashes(log, &Inclusion::needs(seq, size)).await?;
        Inclusion::prove(seq, size, &nodes).ok_or_else(|| missing(log, seq, size))
    }

    /// The proof that the first `from` records are the beginning of the first `to`.
    ///
    /// # Errors
    /// The database does not answer, or there are fewer.
    pub async fn consistency(&self, log: &LogName, from: u64, to: u64) -> Result<Consistency, Error> {
        if from > to {
            return Err(missing(log, from, to));
        }
        let nodes = self.hashes(log, &Consistency::needs(from, to)).await?;
        Consistency::prove(from, to, &nodes).ok_or_else(|| missing(log, from, to))
    }

    /// The hashes of nodes; those that cannot be known are absent.
    async fn hashes(&self, log: &LogName, wanted: &[Node]) -> Result<Nodes, Error> {
        const LEAVES: &str = "SELECT seq, hash FROM audit_record WHERE log = $1 AND seq >= $2 AND seq < $3";
        const NODES: &str =
            "SELECT idx, hash FROM audit_node WHERE log = $1 AND level = $2 AND idx >= $3 AND idx < $4";
        let plan = Plan::of(wanted);
        let mut read: Vec<(u8, Vec<NodeRow>)> = Vec::new();
        snapshot!(&self.database, PROVING, transaction => {
            for (from, until) in plan.leaves {
                let leaves = sqlx::query_as(LEAVES)
                    .bind(log.as_str())
                    .bind(signed(from))
                    .bind(signed(until))
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(Error::driver(PROVING))?;
                read.push((0, leaves));
            }
            for (level, from, until) in plan.kept {
                let nodes = sqlx::query_as(NODES)
                    .bind(log.as_str())
                    .bind(i64::from(level))
                    .bind(signed(from))
                    .bind(signed(until))
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(Error::driver(PROVING))?;
                read.push((level, nodes));
            }
        });
        let mut below: Nodes = BTreeMap::new();
        for (level, rows) in read {
            for (index, hash) in rows {
                below.insert(Node { level, index: count(index, PROVING)? }, hash_of(&hash, PROVING)?);
            }
        }
        Ok(wanted.iter().filter_map(|node| Some((*node, raised(*node, &below)?))).collect())
    }
}

fn missing(log: &LogName, from: u64, until: u64) -> Error {
    let why = format!("records {from} to {until} of the log {log} are not, or not all, there");
    Error::Damaged { what: PROVING, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_between_the_levels_that_are_kept_follow_from_those_below() {
        let leaves: Vec<Hash> = (0..70_000_u32).map(|leaf| Hash::leaf(&leaf.to_be_bytes())).collect();
        let mut all = Nodes::new();
        let mut range = Range::empty(0);
        for leaf in leaves {
            range.push(leaf, |node, hash| {
                all.insert(node, hash);
            });
        }
        let kept: Nodes = all
            .iter()
            .filter(|(node, _)| node.level.is_multiple_of(STEP))
            .map(|(node, hash)| (*node, *hash))
            .collect();
        for (node, hash) in all {
            assert_eq!(raised(node, &kept), Some(hash), "{node:?}");
        }
    }

    #[test]
    fn a_plan_reads_few_leaves() {
        let plan = Plan::of(&Range::nodes(3, 70_001));
        assert_eq!(plan.leaves, [(3, 256), (69_888, 70_001)]);
        assert_eq!(plan.kept.iter().map(|(_, from, until)| until - from).sum::<u64>(), 272);
    }
}
