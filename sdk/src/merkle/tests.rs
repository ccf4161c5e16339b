use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The definitions of RFC 6962, section 2.1, written down literally.
mod naive {
    use super::Hash;

    /// The largest power of two that is less than `n`.
    fn k(n: usize) -> usize {
        (1..n).rev().find(|k| k.is_power_of_two()).expect("two leaves at least")
    }

    pub(super) fn mth(d: &[Hash]) -> Hash {
        match d {
            [] => Hash::empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = d.split_at(k(d.len()));
                Hash::node(&mth(left), &mth(right))
            }
        }
    }

    pub(super) fn path(m: usize, d: &[Hash]) -> Vec<Hash> {
        if d.len() == 1 {
            return Vec::new();
        }
        let k = k(d.len());
        let (left, right) = d.split_at(k);
        let (mut path, beside) =
            if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
        path.push(beside);
        path
    }

    pub(super) fn proof(m: usize, d: &[Hash]) -> Vec<Hash> {
        subproof(m, d, true)
    }

    fn subproof(m: usize, d: &[Hash], b: bool) -> Vec<Hash> {
        if m == d.len() {
            return if b { Vec::new() } else { vec![mth(d)] };
        }
        let k = k(d.len());
        let (left, right) = d.split_at(k);
        let (mut proof, beside) = match m <= k {
            true => (subproof(m, left, b), mth(right)),
            false => (subproof(m - k, right, false), mth(left)),
        };
        proof.push(beside);
        proof
    }
}

/// A tree with the hashes of all nodes.
struct Tree {
    leaves: Vec<Hash>,
    range: Range,
    nodes: Nodes,
}

impl Tree {
    fn of(leaves: Vec<Hash>) -> Self {
        let (mut range, mut nodes) = (Range::empty(0), BTreeMap::new());
        for leaf in &leaves {
            range.push(*leaf, |node, hash| {
                assert_eq!(nodes.insert(node, hash), None, "each node is reported once")
            });
        }
        Self { leaves, range, nodes }
    }

    fn numbered(size: usize) -> Self {
        Self::of((0..size).map(|number| Hash::leaf(&number.to_be_bytes())).collect())
    }

    fn root(&self, size: usize) -> Hash {
        naive::mth(&self.leaves[..size])
    }

    /// These nodes only: proofs must not need others.
    fn only(&self, needed: &[Node]) -> Nodes {
        needed.iter().map(|node| (*node, *self.nodes.get(node).expect("a complete node"))).collect()
    }

    fn inclusion(&self, index: usize, size: usize) -> Inclusion {
        let (index, size) = (index as u64, size as u64);
        Inclusion::prove(index, size, &self.only(&Inclusion::needs(index, size))).expect("a proof")
    }

    fn consistency(&self, from: usize, to: usize) -> Consistency {
        let (from, to) = (from as u64, to as u64);
        Consistency::prove(from, to, &self.only(&Consistency::needs(from, to))).expect("a proof")
    }
}

fn hash(text: &str) -> Hash {
    Hash::try_from(text.to_owned()).expect("a hash")
}

/// The tree of the test vectors of Certificate Transparency.
fn reference() -> Tree {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    Tree::of(leaves.into_iter().map(Hash::leaf).collect())
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let leaves = reference().leaves;
    for (size, root) in roots.into_iter().enumerate() {
        let tree = Tree::of(leaves[..size].to_vec());
        assert_eq!(tree.range.root(), Some(hash(root)), "{size}");
        assert_eq!(tree.root(size), hash(root), "{size}: the naive tree too");
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let tree = reference();
    let hashes = |texts: &[&str]| texts.iter().map(|text| hash(text)).collect::<Vec<_>>();
    let inclusions: [(usize, usize, &[&str]); 5] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
        (
            1,
            5,
            &[
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (index, size, path) in inclusions {
        let proof = tree.inclusion(index, size);
        assert_eq!(proof.path, hashes(path), "{index} in {size}");
        assert!(proof.holds(&tree.leaves[index], &tree.root(size)), "{index} in {size}");
    }
    let consistencies: [(usize, usize, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (from, to, path) in consistencies {
        let proof = tree.consistency(from, to);
        assert_eq!(proof.path, hashes(path), "{from} to {to}");
        assert!(proof.holds(&tree.root(from), &tree.root(to)), "{from} to {to}");
    }
}

#[test]
fn proofs_of_small_trees_match_the_definition_and_hold_for_nothing_else() {
    let tree = Tree::numbered(21);
    for size in 0..=21 {
        let root = tree.root(size);
        for index in 0..size {
            let proof = tree.inclusion(index, size);
            assert_eq!(proof.path, naive::path(index, &tree.leaves[..size]), "{index} in {size}");
            for (other, leaf) in tree.leaves.iter().enumerate() {
                assert_eq!(proof.holds(leaf, &root), other == index, "{other} as {index} in {size}");
                let elsewhere = Inclusion { index: other as u64, ..proof.clone() };
                let holds = elsewhere.holds(&tree.leaves[index], &root);
                assert_eq!(holds, other == index, "{index} as {other} in {size}");
            }
        }
        assert_eq!(Inclusion::prove(size as u64, size as u64, &tree.nodes), None);
        for from in 1..=size {
            let proof = tree.consistency(from, size);
            assert_eq!(proof.path, naive::proof(from, &tree.leaves[..size]), "{from} to {size}");
            for other in 0..=21 {
                let holds = proof.holds(&tree.root(other), &root);
                assert_eq!(holds, other == from, "{other} as {from} to {size}");
                let holds = proof.holds(&tree.root(from), &tree.root(other));
                assert_eq!(holds, other == size, "{from} to {other} as {size}");
            }
        }
        assert_eq!(Consistency::prove(size as u64 + 1, size as u64, &tree.nodes), None);
    }
}

#[test]
fn the_empty_tree_is_a_prefix_of_every_tree() {
    let tree = Tree::numbered(5);
    for to in 0..=5 {
        let proof = tree.consistency(0, to);
        assert_eq!(proof.path, []);
        assert!(proof.holds(&Hash::empty(), &tree.root(to)));
        assert!(!proof.holds(&Hash::leaf(b"x"), &tree.root(to)));
    }
    let proof = Consistency { from: 0, to: 0, path: Vec::new() };
    assert!(!proof.holds(&tree.root(1), &tree.root(1)), "an empty tree has the root of an empty tree");
    assert!(!Consistency { from: 0, to: 0, path: vec![Hash::empty()] }.holds(&Hash::empty(), &Hash::empty()));
}

#[test]
fn a_missing_hash_prevents_the_proof() {
    let tree = Tree::numbered(21);
    for node in Inclusion::needs(3, 21) {
        let mut nodes = tree.only(&Inclusion::needs(3, 21));
        nodes.remove(&node);
        assert_eq!(Inclusion::prove(3, 21, &nodes), None, "{node:?}");
    }
    for node in Consistency::needs(13, 21) {
        let mut nodes = tree.only(&Consistency::needs(13, 21));
        nodes.remove(&node);
        assert_eq!(Consistency::prove(13, 21, &nodes), None, "{node:?}");
    }
}

/// Extreme sizes and indexes, and paths of any length, neither panic nor hold.
#[test]
fn hostile_proofs_are_refused() {
    let leaf = Hash::leaf(b"x");
    let edges = [0, 1, 2, 3, 63, 64, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    for one in edges {
        for other in edges {
            for length in [0, 1, 2, 62, 63, 64, 65, 1000] {
                let path = vec![leaf; length];
                let (is_alone, is_same) =
                    (one == 0 && other == 1 && length == 0, one == other && length == 0);
                let proof = Inclusion { index: one, size: other, path: path.clone() };
                assert_eq!(proof.holds(&leaf, &leaf), is_alone, "{one} in {other} by {length}");
                let proof = Consistency { from: one, to: other, path };
                assert_eq!(proof.holds(&leaf, &leaf), is_same && one > 0, "{one} to {other} by {length}");
            }
            assert!(Inclusion::needs(one, other).len() <= 128);
            assert!(Consistency::needs(one, other).len() <= 128);
            assert!(Range::nodes(one, other).len() <= 128);
            let expected = if one > other { None } else { Some(Range::nodes(one, other).len()) };
            for length in 0..=130 {
                let range = Range::of(one, other, vec![leaf; length]);
                assert_eq!(range.is_ok(), expected == Some(length), "{one} to {other} with {length}");
                if let Ok(mut range) = range {
                    range.push(leaf, |_, _| {});
                    assert_eq!(range.end(), other.saturating_add(1));
                    assert!(range.hashes().len() <= 128);
                    assert_eq!(range.root().is_some(), one == 0);
                }
            }
        }
    }
}

#[test]
fn a_range_needs_the_right_number_of_hashes() {
    let range = Tree::numbered(5).range;
    let text = serde_json::to_string(&range).expect("text");
    assert_eq!(serde_json::from_str::<Range>(&text).expect("the same"), range);
    for (from, to) in
        [(r#""end":5"#, r#""end":6"#), (r#""end":5"#, r#""end":7"#), (r#""start":0"#, r#""start":6"#)]
    {
        assert!(text.contains(from));
        let read = serde_json::from_str::<Range>(&text.replace(from, to));
        let range = read.map_err(|error| error.to_string());
        let is_whole = to == r#""end":6"#;
        assert_eq!(range.is_ok(), is_whole, "{to}: six leaves take two hashes too: {range:?}");
    }
    let error = serde_json::from_str::<Range>(r#"{"start":0,"end":4,"hashes":[]}"#).expect_err("none");
    assert!(error.to_string().contains("the hashes are not those of the leaves from 0 to 4"), "{error}");
    assert!(Range::empty(3).append(&Range::empty(4)).is_err());
}

#[test]
fn a_hash_is_64_hexadecimal_digits() {
    let digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    assert_eq!(hash(digits).to_string(), digits);
    assert_eq!(format!("{:?}", hash(digits)), digits);
    assert_eq!(hash(&digits.to_uppercase()), hash(digits));
    let signed = digits.replace("00", "+0");
    for text in ["", &digits[1..], &format!("{digits}0"), &digits.replace('e', "g"), &signed, &"é".repeat(32)]
    {
        assert_eq!(Hash::try_from((*text).to_owned()), Err(InvalidHash), "{text}");
    }
}

proptest! {
    // Each case builds a whole tree, some of them by the slow definition.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ranges_and_roots_match_the_definition(size in 0_usize..300, cuts in prop::collection::vec(0.0..1.0, 0..4)) {
        let tree = Tree::numbered(size);
        prop_assert_eq!(tree.range.root(), Some(tree.root(size)));
        for (node, hash) in &tree.nodes {
            let (start, end) = ((node.index << node.level) as usize, ((node.index + 1) << node.level) as usize);
            prop_assert_eq!(*hash, naive::mth(&tree.leaves[start..end]));
        }
        let complete: usize = (0..64).map(|level| size >> level).sum();
        prop_assert_eq!(tree.nodes.len(), complete, "all complete nodes are reported");

        // The same range, appended from parts.
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut: f64| (cut * size as f64) as usize).collect();
        cuts.extend([0, size]);
        cuts.sort_unstable();
        let mut whole = Range::empty(0);
        for cut in cuts.windows(2) {
            let mut part = Range::empty(cut[0] as u64);
            for leaf in &tree.leaves[cut[0]..cut[1]] {
                part.push(*leaf, |node, hash| assert_eq!(tree.nodes.get(&node), Some(&hash)));
            }
            let nodes = Range::nodes(cut[0] as u64, cut[1] as u64);
            let hashes: Vec<Hash> = nodes.iter().map(|node| tree.nodes[node]).collect();
            prop_assert_eq!(part.hashes(), &hashes[..]);
            let leaves: u64 = nodes.iter().map(|node| 1_u64 << node.level).sum();
            prop_assert_eq!(leaves, (cut[1] - cut[0]) as u64, "each leaf is below one of them");
            prop_assert_eq!(Range::of(part.start(), part.end(), hashes), Ok(part.clone()));
            whole.append(&part).expect("the one after");
        }
        prop_assert_eq!(whole, tree.range);
    }

    #[test]
    fn proofs_hold_for_their_subject_only(
        size in 1_usize..200, index: prop::sample::Index, from: prop::sample::Index,
        at: prop::sample::Index, byte in 0_usize..32, bit in 0_u8..8, other in 0_u64..1000,
    ) {
        let tree = Tree::numbered(size);
        let (index, from, root) = (index.index(size), from.index(size) + 1, tree.root(size));
        let broken = |hash: &Hash| { let mut hash = *hash; hash.0[byte] ^= 1 << bit; hash };

        let proof = tree.inclusion(index, size);
        let leaf = tree.leaves[index];
        prop_assert_eq!(&proof.path, &naive::path(index, &tree.leaves));
        prop_assert!(proof.holds(&leaf, &root));
        prop_assert!(!proof.holds(&broken(&leaf), &root));
        prop_assert!(!proof.holds(&leaf, &broken(&root)));
        let elsewhere = Inclusion { index: other, ..proof.clone() };
        prop_assert_eq!(elsewhere.holds(&leaf, &root), other == index as u64);
        for path in damaged(&proof.path, at, broken) {
            let proof = Inclusion { path, ..proof.clone() };
            prop_assert!(!proof.holds(&leaf, &root));
        }

        let proof = tree.consistency(from, size);
        let old = tree.root(from);
        prop_assert_eq!(&proof.path, &naive::proof(from, &tree.leaves));
        prop_assert!(proof.holds(&old, &root));
        prop_assert!(!proof.holds(&broken(&old), &root));
        prop_assert!(!proof.holds(&old, &broken(&root)));
        for path in damaged(&proof.path, at, broken) {
            let proof = Consistency { path, ..proof.clone() };
            prop_assert!(!proof.holds(&old, &root));
        }
    }

    /// With the root of the other size: checkpoints sign the size together with the root.
    #[test]
    fn a_proof_for_another_size_does_not_hold(size in 1_usize..150, index: prop::sample::Index, other in 1_usize..150) {
        let tree = Tree::numbered(150);
        let index = index.index(size);
        let proof = Inclusion { size: other as u64, ..tree.inclusion(index, size) };
        prop_assert_eq!(proof.holds(&tree.leaves[index], &tree.root(other)), other == size);
        let from = index + 1;
        let proof = Consistency { to: other as u64, ..tree.consistency(from, size) };
        let holds = proof.holds(&tree.root(from), &tree.root(other));
        prop_assert_eq!(holds, other == size, "{} {} {}", from, size, other);
    }
}

/// Variants of a path: one hash changed, one removed, one repeated, and one added.
fn damaged(path: &[Hash], at: prop::sample::Index, broken: impl Fn(&Hash) -> Hash) -> Vec<Vec<Hash>> {
    let mut all = vec![[path, &[Hash::empty()]].concat()];
    if !path.is_empty() {
        let at = at.index(path.len());
        let (mut other, mut fewer, mut more) = (path.to_vec(), path.to_vec(), path.to_vec());
        other[at] = broken(&path[at]);
        fewer.remove(at);
        more.insert(at, path[at]);
        all.extend([other, fewer, more]);
    }
    all
}
