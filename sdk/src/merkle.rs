//! Merkle trees of Certificate Transparency (RFC 6962, section 2.1) with SHA-256: audit logs are such trees.
//!
//! A node is identified by its level (0 for leaves) and its index in the level; its hash is known once all leaves below it
//! are. The largest nodes that cover a range of leaves, from left to right, are a compact [`Range`]. The compact range of all
//! leaves is enough to append to a log and to compute its root.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A SHA-256 hash. Its text form is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

/// A text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("64 hexadecimal digits are expected")]
pub struct InvalidHash;

impl Hash {
    /// The hash of a leaf with this content.
    #[must_use]
    pub fn leaf(content: &[u8]) -> Self {
        Self::over(&[&[0], content])
    }

    /// The hash of the parent of two nodes.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        Self::over(&[&[1], &left.0, &right.0])
    }

    /// The root of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self::over(&[])
    }

    /// The next hash of the hash chain beside the tree: over the previous one, 32 zero bytes at first, and the leaf's hash.
    #[must_use]
    pub fn chained(previous: &Self, leaf: &Self) -> Self {
        Self::over(&[&previous.0, &leaf.0])
    }

    /// SHA-256 of the concatenated parts.
    #[must_use]
    pub fn over(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        parts.iter().for_each(|part| digest.update(part));
        Self(digest.finalize().into())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidHash;

    fn try_from(text: String) -> Result<Self, InvalidHash> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidHash)?;
        Ok(Self(bytes))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A complete node: it covers the leaves from `index << level` up to, not including, `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 for leaves.
    pub level: u8,
    /// The index in the level.
    pub index: u64,
}

/// A compact range: the leaves from `start` up to, not including, `end`, as the hashes of the largest nodes that cover them,
/// from left to right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedRange")]
pub struct Range {
    start: u64,
    end: u64,
    hashes: Vec<Hash>,
}

/// A range before its number of hashes is checked.
#[derive(Deserialize)]
struct UncheckedRange {
    start: u64,
    end: u64,
    hashes: Vec<Hash>,
}

impl TryFrom<UncheckedRange> for Range {
    type Error = InvalidRange;

    fn try_from(read: UncheckedRange) -> Result<Self, InvalidRange> {
        Self::of(read.start, read.end, read.hashes)
    }
}

/// The hashes are not those of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hashes are not those of the leaves from {start} to {end}")]
pub struct InvalidRange {
    /// The first leaf.
    pub start: u64,
    /// The end: one after the last leaf.
    pub end: u64,
}

impl Range {
    /// A range without leaves.
    #[must_use]
    pub fn empty(start: u64) -> Self {
        Self { start, end: start, hashes: Vec::new() }
    }

    /// A range with these hashes.
    ///
    /// # Errors
    /// The number of hashes is not that of the range.
    pub fn of(start: u64, end: u64, hashes: Vec<Hash>) -> Result<Self, InvalidRange> {
        match start <= end && hashes.len() == Self::nodes(start, end).len() {
            true => Ok(Self { start, end, hashes }),
            false => Err(InvalidRange { start, end }),
        }
    }

    /// The largest nodes that cover a range, from left to right.
    #[must_use]
    pub fn nodes(start: u64, end: u64) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut at = start;
        while at < end {
            // A node begins at a multiple of its size and must not exceed the range.
            let level = at.trailing_zeros().min((end - at).ilog2());
            nodes.push(Node { level: u8::try_from(level).unwrap_or(u8::MAX), index: at >> level });
            at += 1 << level;
        }
        nodes
    }

    /// The first leaf.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The end: one after the last leaf.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The hashes.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf. Calls `completed` with each node that this completes, including the leaf. A range that ends at
    /// `u64::MAX` stays unchanged.
    pub fn push(&mut self, leaf: Hash, completed: impl FnMut(Node, Hash)) {
        if self.end < u64::MAX {
            let node = Node { level: 0, index: self.end };
            self.push_node(node, leaf, completed);
        }
    }

    /// Appends a node that begins at the end of the range.
    fn push_node(&mut self, mut node: Node, mut hash: Hash, mut completed: impl FnMut(Node, Hash)) {
        self.end = (node.index + 1) << node.level;
        completed(node, hash);
        while node.index % 2 == 1
            && (node.index - 1) << node.level >= self.start
            && let Some(left) = self.hashes.pop()
        {
            hash = Hash::node(&left, &hash);
            node = Node { level: node.level + 1, index: node.index / 2 };
            completed(node, hash);
        }
        self.hashes.push(hash);
    }

    /// Appends the following range.
    ///
    /// # Errors
    /// It does not begin at the end of this one.
    pub fn append(&mut self, next: &Self) -> Result<(), InvalidRange> {
        if next.start != self.end {
            return Err(InvalidRange { start: next.start, end: next.end });
        }
        for (node, hash) in Self::nodes(next.start, next.end).into_iter().zip(&next.hashes) {
            self.push_node(node, *hash, |_, _| {});
        }
        Ok(())
    }

    /// The root of the tree; `None` unless the range begins at 0.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let from_the_right = self.hashes.iter().rev().copied();
        let root = from_the_right.reduce(|right, left| Hash::node(&left, &right));
        (self.start == 0).then(|| root.unwrap_or_else(Hash::empty))
    }
}

/// The hashes of nodes from which proofs are made.
pub type Nodes = BTreeMap<Node, Hash>;

/// An inclusion proof (RFC 6962, section 2.1.1): a leaf is in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inclusion {
    /// The index of the leaf.
    pub index: u64,
    /// The number of leaves of the tree.
    pub size: u64,
    /// The hashes of the sibling nodes from the leaf up: SHA-256 in hexadecimal.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub path: Vec<Hash>,
}

/// A consistency proof (RFC 6962, section 2.1.2): the first `from` leaves are the beginning of the first `to` leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Consistency {
    /// The number of leaves of the older tree.
    pub from: u64,
    /// The number of leaves of the newer tree.
    pub to: u64,
    /// The hashes of the proof: SHA-256 in hexadecimal.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub path: Vec<Hash>,
}

/// A step of a proof on the path up to the root: the sibling subtree whose hash is combined.
#[derive(Clone, Copy, Debug)]
struct Step {
    side: Side,
    /// The first leaf of the subtree.
    start: u64,
    /// One after its last leaf.
    end: u64,
}

/// The side of the path on which a subtree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Step {
    fn left(start: u64, end: u64) -> Self {
        Self { side: Side::Left, start, end }
    }

    fn right(start: u64, end: u64) -> Self {
        Self { side: Side::Right, start, end }
    }

    /// The nodes of the subtree: one, or several at the right edge of the tree.
    fn nodes(&self) -> Vec<Node> {
        Range::nodes(self.start, self.end)
    }

    /// The hash of the subtree.
    fn hash(&self, nodes: &Nodes) -> Option<Hash> {
        let mut from_the_right = self.nodes().into_iter().rev().map(|node| nodes.get(&node).copied());
        let last = from_the_right.next()??;
        from_the_right.try_fold(last, |right, left| Some(Hash::node(&left?, &right)))
    }
}

/// The first leaf of the right half of a subtree with at least two leaves: the left half has the largest power of two of leaves
/// that is less than all.
fn split(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

/// The path from the root towards a leaf, down to the subtree for which `is_bottom(start, end)` holds: the first leaf of that
/// subtree, and the steps from it up to the root.
fn path_up(leaf: u64, size: u64, is_bottom: impl Fn(u64, u64) -> bool) -> (u64, Vec<Step>) {
    let mut steps = Vec::new();
    let (mut start, mut end) = (0, size);
    while !is_bottom(start, end) {
        let middle = split(start, end);
        if leaf < middle {
            steps.push(Step::right(middle, end));
            end = middle;
        } else {
            steps.push(Step::left(start, middle));
            start = middle;
        }
    }
    steps.reverse();
    (start, steps)
}

impl Inclusion {
    /// The nodes whose hashes the proof needs.
    #[must_use]
    pub fn needs(index: u64, size: u64) -> Vec<Node> {
        Self::steps(index, size).iter().flat_map(Step::nodes).collect()
    }

    /// The proof; `None` if `index >= size` or a hash is missing.
    #[must_use]
    pub fn prove(index: u64, size: u64, nodes: &Nodes) -> Option<Self> {
        if index >= size {
            return None;
        }
        let path = Self::steps(index, size).iter().map(|step| step.hash(nodes)).collect::<Option<_>>()?;
        Some(Self { index, size, path })
    }

    /// Whether the proof is valid for this leaf and this root.
    #[must_use]
    pub fn holds(&self, leaf: &Hash, root: &Hash) -> bool {
        let steps = Self::steps(self.index, self.size);
        if self.index >= self.size || steps.len() != self.path.len() {
            return false;
        }
        let top = steps.iter().zip(&self.path).fold(*leaf, |hash, (step, sibling)| match step.side {
            Side::Left => Hash::node(sibling, &hash),
            Side::Right => Hash::node(&hash, sibling),
        });
        top == *root
    }

    /// The steps from the leaf up to the root.
    fn steps(index: u64, size: u64) -> Vec<Step> {
        if index >= size {
            return Vec::new();
        }
        path_up(index, size, |start, end| end - start == 1).1
    }
}

impl Consistency {
    /// The nodes whose hashes the proof needs.
    #[must_use]
    pub fn needs(from: u64, to: u64) -> Vec<Node> {
        let (seed, steps) = Self::steps(from, to);
        seed.iter().chain(&steps).flat_map(Step::nodes).collect()
    }

    /// The proof; `None` if `from > to` or a hash is missing.
    #[must_use]
    pub fn prove(from: u64, to: u64, nodes: &Nodes) -> Option<Self> {
        if from > to {
            return None;
        }
        let (seed, steps) = Self::steps(from, to);
        let path = seed.iter().chain(&steps).map(|step| step.hash(nodes)).collect::<Option<_>>()?;
        Some(Self { from, to, path })
    }

    /// Whether the proof is valid for the roots of the older and the newer tree. The empty tree is the beginning of every tree.
    #[must_use]
    pub fn holds(&self, old: &Hash, new: &Hash) -> bool {
        if self.from > self.to {
            return false;
        }
        if self.from == 0 || self.from == self.to {
            let is_empty = |size: u64, root: &Hash| size > 0 || *root == Hash::empty();
            let is_same = self.from < self.to || old == new;
            return self.path.is_empty() && is_same && is_empty(self.from, old) && is_empty(self.to, new);
        }
        let (seed, steps) = Self::steps(self.from, self.to);
        let mut path = self.path.iter();
        if usize::from(seed.is_some()) + steps.len() != path.len() {
            return false;
        }
        // Both trees contain this subtree; if it is the whole older tree, its hash is the older root.
        let start = if seed.is_some() { path.next().copied() } else { Some(*old) };
        let Some(start) = start else { return false };
        let both =
            steps.iter().zip(path).fold((start, start), |(older, newer), (step, sibling)| match step.side {
                Side::Left => (Hash::node(sibling, &older), Hash::node(sibling, &newer)),
                Side::Right => (older, Hash::node(&newer, sibling)),
            });
        both == (*old, *new)
    }

    /// The largest subtree that ends at the end of the older tree, `None` if it is the whole older tree; and the steps from it
    /// up to the root of the newer tree.
    fn steps(from: u64, to: u64) -> (Option<Step>, Vec<Step>) {
        if from == 0 || from >= to {
            return (None, Vec::new());
        }
        let (start, steps) = path_up(from - 1, to, |_, end| end == from);
        ((start > 0).then(|| Step::left(start, from)), steps)
    }
}

#[cfg(test)]
mod tests;
