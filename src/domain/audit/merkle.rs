//! Merkle trees as Certificate Transparency has them (RFC 6962, section 2.1), with SHA-256.
//!
//! A node is named by its level (0 for leaves) and its index in the level; it is known once all leaves below it are. The
//! nodes that make up a range of leaves from left to right, each as large as possible, are a compact [`Range`]: with those of
//! all leaves so far a log can grow, and the root is known, without the leaves.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256; in hexadecimal as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

/// A text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("64 hexadecimal digits are expected")]
pub struct NoHash;

impl Hash {
    /// The hash of a leaf's content.
    #[must_use]
    pub fn leaf(content: &[u8]) -> Self {
        Self::over(&[&[0], content])
    }

    /// The hash of the node above two others.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        Self::over(&[&[1], &left.0, &right.0])
    }

    /// The root of a tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self::over(&[])
    }

    /// What follows in the chain beside the tree: the hash of the one before and the leaf's. The first follows on zeros.
    #[must_use]
    pub fn chained(before: &Self, leaf: &Self) -> Self {
        Self::over(&[&before.0, &leaf.0])
    }

    /// SHA-256 of the parts one after the other.
    pub(super) fn over(parts: &[&[u8]]) -> Self {
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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl TryFrom<String> for Hash {
    type Error = NoHash;

    fn try_from(text: String) -> Result<Self, NoHash> {
        // The digits are looked at because numbers may have a sign for Rust: `+f` is one.
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoHash);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| NoHash)?;
        }
        Ok(Self(bytes))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A node of a tree all of whose leaves are known: the leaves from `index << level` to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// 0 for leaves.
    pub level: u8,
    /// The place in the level.
    pub index: u64,
}

/// A compact range: leaves from `start` to `end`, as the hashes of the largest nodes that make them up, from left to right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AsRead")]
pub struct Range {
    start: u64,
    end: u64,
    hashes: Vec<Hash>,
}

/// A range as anybody may have written it.
#[derive(Deserialize)]
struct AsRead {
    start: u64,
    end: u64,
    hashes: Vec<Hash>,
}

impl TryFrom<AsRead> for Range {
    type Error = Misfit;

    fn try_from(read: AsRead) -> Result<Self, Misfit> {
        Self::of(read.start, read.end, read.hashes)
    }
}

/// Hashes and numbers do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hashes are not those of the leaves from {start} to {end}")]
pub struct Misfit {
    /// The first leaf.
    pub start: u64,
    /// The one after the last leaf.
    pub end: u64,
}

impl Range {
    /// A range without leaves.
    #[must_use]
    pub fn empty(start: u64) -> Self {
        Self { start, end: start, hashes: Vec::new() }
    }

    /// A range of which the hashes are known.
    ///
    /// # Errors
    /// It would take another number of hashes.
    pub fn of(start: u64, end: u64, hashes: Vec<Hash>) -> Result<Self, Misfit> {
        match start <= end && hashes.len() == Self::nodes(start, end).len() {
            true => Ok(Self { start, end, hashes }),
            false => Err(Misfit { start, end }),
        }
    }

    /// The nodes that make up a range, from left to right.
    #[must_use]
    pub fn nodes(start: u64, end: u64) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut at = start;
        while at < end {
            // As large as the place allows (a node begins at a multiple of its size), and as there are leaves.
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

    /// The one after the last leaf.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The hashes.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// One leaf more. `made` is told of each node that is known now, the leaf itself included. A range that ends where
    /// numbers end stays as it is.
    pub fn push(&mut self, leaf: Hash, made: impl FnMut(Node, Hash)) {
        if self.end < u64::MAX {
            let node = Node { level: 0, index: self.end };
            self.grow(node, leaf, made);
        }
    }

    /// One node more, which begins where the range ends.
    fn grow(&mut self, mut node: Node, mut hash: Hash, mut made: impl FnMut(Node, Hash)) {
        self.end = (node.index + 1) << node.level;
        made(node, hash);
        while node.index % 2 == 1
            && (node.index - 1) << node.level >= self.start
            && let Some(left) = self.hashes.pop()
        {
            hash = Hash::node(&left, &hash);
            node = Node { level: node.level + 1, index: node.index / 2 };
            made(node, hash);
        }
        self.hashes.push(hash);
    }

    /// The range after this one.
    ///
    /// # Errors
    /// It does not begin where this one ends.
    pub fn append(&mut self, next: &Self) -> Result<(), Misfit> {
        if next.start != self.end {
            return Err(Misfit { start: next.start, end: next.end });
        }
        for (node, hash) in Self::nodes(next.start, next.end).into_iter().zip(&next.hashes) {
            self.grow(node, *hash, |_, _| {});
        }
        Ok(())
    }

    /// The root of the tree, for a range from 0.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        let from_the_right = self.hashes.iter().rev().copied();
        let root = from_the_right.reduce(|right, left| Hash::node(&left, &right));
        (self.start == 0).then(|| root.unwrap_or_else(Hash::empty))
    }
}

/// Hashes of nodes, for proofs.
pub type Nodes = BTreeMap<Node, Hash>;

/// That a leaf is in a tree (RFC 6962, section 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// The leaf's place.
    pub index: u64,
    /// The number of leaves of the tree.
    pub size: u64,
    /// Hashes beside the way up.
    pub path: Vec<Hash>,
}

/// That a tree is the beginning of another (RFC 6962, section 2.1.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// The number of leaves of the older tree.
    pub from: u64,
    /// That of the younger one.
    pub to: u64,
    /// Hashes.
    pub path: Vec<Hash>,
}

/// What a proof adds on the way up to the root: the hash of a subtree beside the way.
#[derive(Clone, Copy, Debug)]
struct Step {
    side: Side,
    /// The subtree's first leaf.
    start: u64,
    /// The one after its last.
    end: u64,
}

/// Where a subtree stands, seen from the way.
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

    /// The nodes of the subtree: one, but at the right edge of the tree.
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

/// Where a tree of these leaves, of which there are two at least, parts in two: below its left half are as many as a power of
/// two that is less than all.
fn middle(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

/// Goes down from the root to a leaf of the tree, as far as a subtree of these leaves: where it starts, and what stands beside
/// the way from there up.
fn way(leaf: u64, size: u64, is_there: impl Fn(u64, u64) -> bool) -> (u64, Vec<Step>) {
    let mut steps = Vec::new();
    let (mut start, mut end) = (0, size);
    while !is_there(start, end) {
        let middle = middle(start, end);
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
    /// The nodes whose hashes are needed for the proof.
    #[must_use]
    pub fn needs(index: u64, size: u64) -> Vec<Node> {
        Self::steps(index, size).iter().flat_map(Step::nodes).collect()
    }

    /// The proof; none if `index` is not below `size`, or a hash is missing.
    #[must_use]
    pub fn prove(index: u64, size: u64, nodes: &Nodes) -> Option<Self> {
        if index >= size {
            return None;
        }
        let path = Self::steps(index, size).iter().map(|step| step.hash(nodes)).collect::<Option<_>>()?;
        Some(Self { index, size, path })
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, leaf: &Hash, root: &Hash) -> bool {
        let steps = Self::steps(self.index, self.size);
        if self.index >= self.size || steps.len() != self.path.len() {
            return false;
        }
        let top = steps.iter().zip(&self.path).fold(*leaf, |hash, (step, beside)| match step.side {
            Side::Left => Hash::node(beside, &hash),
            Side::Right => Hash::node(&hash, beside),
        });
        top == *root
    }

    /// What stands beside the way from the leaf up.
    fn steps(index: u64, size: u64) -> Vec<Step> {
        if index >= size {
            return Vec::new();
        }
        way(index, size, |start, end| end - start == 1).1
    }
}

impl Consistency {
    /// The nodes whose hashes are needed for the proof.
    #[must_use]
    pub fn needs(from: u64, to: u64) -> Vec<Node> {
        let (seed, steps) = Self::steps(from, to);
        seed.iter().chain(&steps).flat_map(Step::nodes).collect()
    }

    /// The proof; none if `from` is greater than `to`, or a hash is missing.
    #[must_use]
    pub fn prove(from: u64, to: u64, nodes: &Nodes) -> Option<Self> {
        if from > to {
            return None;
        }
        let (seed, steps) = Self::steps(from, to);
        let path = seed.iter().chain(&steps).map(|step| step.hash(nodes)).collect::<Option<_>>()?;
        Some(Self { from, to, path })
    }

    /// Whether it holds. That what was empty is the beginning of everything needs no proof.
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
        // Both trees have this subtree; where it is all of the older one, the older root is its hash.
        let start = if seed.is_some() { path.next().copied() } else { Some(*old) };
        let Some(start) = start else { return false };
        let both =
            steps.iter().zip(path).fold((start, start), |(older, newer), (step, beside)| match step.side {
                Side::Left => (Hash::node(beside, &older), Hash::node(beside, &newer)),
                Side::Right => (older, Hash::node(&newer, beside)),
            });
        both == (*old, *new)
    }

    /// The largest subtree that ends where the older tree ends, unless it is all of it; and what stands beside the way from
    /// there up.
    fn steps(from: u64, to: u64) -> (Option<Step>, Vec<Step>) {
        if from == 0 || from >= to {
            return (None, Vec::new());
        }
        let (start, steps) = way(from - 1, to, |_, end| end == from);
        ((start > 0).then(|| Step::left(start, from)), steps)
    }
}

#[cfg(test)]
mod tests;
