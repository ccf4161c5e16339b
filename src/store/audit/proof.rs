//! Nodes of the trees: those that are kept, and those that follow from records.

use std::collections::BTreeMap;

use serde_json::json;

use super::record::{count, hash_of};
use super::{Audit, STEP, signed};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Consistency, Hash, Inclusion, Node, Nodes, Range};
use crate::store::Error;
use crate::store::database::{Database, reading, snapshot};

const PROVING: &str = "reading nodes of the audit log";

/// How many ranges are asked for at once, so that they take little memory: each needs at most 510 leaves.
const RANGES: usize = 64;

/// Leaves from one place to before another, and nodes of a level likewise, for each of those in a list in JSON. The list comes
/// first: it is short.
const LEAVES_POSTGRES: &str = "SELECT 0::bigint, leaf.seq, leaf.hash FROM json_array_elements($2::json) AS part (place) \
     JOIN audit_record AS leaf ON leaf.log = $1 AND leaf.seq >= (place ->> 0)::bigint AND leaf.seq < (place ->> 1)::bigint";
const LEAVES_SQLITE: &str = "SELECT 0, leaf.seq, leaf.hash FROM json_each($2) AS part CROSS JOIN audit_record AS leaf \
     WHERE leaf.log = $1 AND leaf.seq >= part.value ->> 0 AND leaf.seq < part.value ->> 1";
const NODES_POSTGRES: &str = "SELECT node.level, node.idx, node.hash FROM json_array_elements($2::json) AS part (place) \
     JOIN audit_node AS node ON node.log = $1 AND node.level = (place ->> 0)::bigint \
     AND node.idx >= (place ->> 1)::bigint AND node.idx < (place ->> 2)::bigint";
const NODES_SQLITE: &str = "SELECT node.level, node.idx, node.hash FROM json_each($2) AS part CROSS JOIN audit_node AS node \
     WHERE node.log = $1 AND node.level = part.value ->> 0 AND node.idx >= part.value ->> 1 AND node.idx < part.value ->> 2";

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
        let range = self.ranges(log, &[(from, until)]).await?.pop();
        range.ok_or_else(|| missing(log, from, until))
    }

    /// The compact ranges of several parts of a log, by few questions.
    ///
    /// # Errors
    /// As [`Audit::range`].
    pub async fn ranges(&self, log: &LogName, parts: &[(u64, u64)]) -> Result<Vec<Range>, Error> {
        if let Some((from, until)) = parts.iter().find(|(from, until)| from > until) {
            return Err(missing(log, *from, *until));
        }
        let mut ranges = Vec::with_capacity(parts.len());
        for some in parts.chunks(RANGES) {
            let wanted: Vec<Node> =
                some.iter().flat_map(|(from, until)| Range::nodes(*from, *until)).collect();
            let nodes = self.hashes(log, &wanted).await?;
            for (from, until) in some {
                let wanted = Range::nodes(*from, *until);
                let hashes = wanted.iter().map(|node| nodes.get(node).copied()).collect::<Option<_>>();
                let range = hashes.and_then(|hashes| Range::of(*from, *until, hashes).ok());
                ranges.push(range.ok_or_else(|| missing(log, *from, *until))?);
            }
        }
        Ok(ranges)
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
        if wanted.is_empty() {
            return Ok(Nodes::new());
        }
        let plan = Plan::of(wanted);
        let (leaves_of, nodes_of) = match &self.database {
            Database::Postgres(_) => (LEAVES_POSTGRES, NODES_POSTGRES),
            Database::Sqlite(_) => (LEAVES_SQLITE, NODES_SQLITE),
        };
        let mut below: Nodes = BTreeMap::new();
        snapshot!(&self.database, PROVING, transaction => {
            for (text, places, is_needed) in [
                (leaves_of, json!(plan.leaves), !plan.leaves.is_empty()),
                (nodes_of, json!(plan.kept), !plan.kept.is_empty()),
            ] {
                if !is_needed {
                    continue;
                }
                let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(text)
                    .bind(log.as_str())
                    .bind(places.to_string())
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(Error::driver(PROVING))?;
                for (level, index, hash) in rows {
                    let level = u8::try_from(level).map_err(|_| not_a_level(level))?;
                    below.insert(Node { level, index: count(index, PROVING)? }, hash_of(&hash, PROVING)?);
                }
            }
        });
        Ok(wanted.iter().filter_map(|node| Some((*node, raised(*node, &below)?))).collect())
    }
}

fn not_a_level(level: i64) -> Error {
    Error::Damaged { what: PROVING, why: format!("{level} is no level of a tree") }
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
