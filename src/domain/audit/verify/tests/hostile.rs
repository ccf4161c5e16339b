//! Input meant to crash programs or to control terminals.

use super::*;

/// The positions of such nodes exceed 64 bits.
#[test]
fn impossible_nodes_are_findings() {
    for (level, index) in [(8, u64::MAX), (64, 0), (255, 0), (63, 1), (8, 7), (0, SIZE), (63, 0)] {
        let mut verifier =
            Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), TrustedCheckpoints::default());
        Log::whole().rows.iter().try_for_each(|row| verifier.verify_row(row)).expect("whole");
        let finding = verifier.verify_node(Node { level, index }, &Hash([7; 32])).expect_err("no such node");
        assert!(
            matches!(finding, Finding::NodeMismatch { .. } | Finding::Truncated { .. }),
            "{level} {index}: {finding}"
        );
    }
}

/// Sizes near `u64::MAX`.
#[test]
fn extreme_sizes_do_not_overflow() {
    let hash = Hash([7; 32]);
    let range = |start: u64, end: u64| {
        Range::of(start, end, vec![hash; Range::nodes(start, end).len()]).expect("as many")
    };
    for dropped in [range(0, u64::MAX), range(0, u64::MAX - 1), range(u64::MAX, u64::MAX), range(1, u64::MAX)]
    {
        let checkpoint = Checkpoint { origin: String::new(), size: u64::MAX, root: hash };
        let checkpoints = TrustedCheckpoints { checkpoints: vec![(checkpoint, "x".to_owned())] };
        let mut verifier = Verifier::new(log_name(), dropped, hash, checkpoints);
        for seq in [u64::MAX, u64::MAX - 1, 0] {
            let mut row = testing::row(&record(1));
            let body = String::from_utf8(row.body).expect("text");
            row.body = body.replace(r#""seq":1"#, &format!(r#""seq":{seq}"#)).into_bytes();
            row.seq = seq;
            for stored in [row.stored.clone(), None] {
                let _ = verifier.verify_row(&Row { stored, ..row.clone() });
            }
        }
        let _ = verifier.verify_gap(&range(u64::MAX - 1, u64::MAX));
        let _ = verifier.verify_node(Node { level: 8, index: u64::MAX >> 8 }, &hash);
        assert!(verifier.finish(Some(u64::MAX)).is_err());
    }
}

/// Terminals show texts from databases and files.
#[test]
fn findings_are_escaped() {
    let id = format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(1000));
    let described = Finding::Edited { seq: 1, id }.to_string();
    assert!(!described.chars().any(|char| char.is_control() || char == '\u{202e}'), "{described}");
    assert!(described.len() < 500, "{described}");
    expect!["it's a \"name\""].assert_eq(&printable("it's a \"name\""));
}
