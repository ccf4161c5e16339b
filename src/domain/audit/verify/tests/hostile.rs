//! What is written to break programs, or terminals.

use super::*;

/// Nothing is computed that cannot be: 64 bits are not enough for the places that such a node says of itself.
#[test]
fn nodes_that_cannot_be_are_findings() {
    for (level, index) in [(8, u64::MAX), (64, 0), (255, 0), (63, 1), (8, 7), (0, SIZE), (63, 0)] {
        let mut verifier = Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), Witnesses::default());
        Log::whole().rows.iter().try_for_each(|row| verifier.row(row)).expect("whole");
        let finding = verifier.node(Node { level, index }, &Hash([7; 32])).expect_err("no such node");
        assert!(matches!(finding, Finding::Node { .. } | Finding::Cut { .. }), "{level} {index}: {finding}");
    }
}

/// Where numbers end.
#[test]
fn hostile_sizes_are_answered() {
    let hash = Hash([7; 32]);
    let range = |start: u64, end: u64| {
        Range::of(start, end, vec![hash; Range::nodes(start, end).len()]).expect("as many")
    };
    for dropped in [range(0, u64::MAX), range(0, u64::MAX - 1), range(u64::MAX, u64::MAX), range(1, u64::MAX)]
    {
        let checkpoint = Checkpoint { origin: String::new(), size: u64::MAX, root: hash };
        let witnesses = Witnesses { checkpoints: vec![(checkpoint, "x".to_owned())] };
        let mut verifier = Verifier::new(log_name(), dropped, hash, witnesses);
        for seq in [u64::MAX, u64::MAX - 1, 0] {
            let mut row = testing::row(&record(1));
            let body = String::from_utf8(row.body).expect("text");
            row.body = body.replace(r#""seq":1"#, &format!(r#""seq":{seq}"#)).into_bytes();
            row.seq = seq;
            for kept in [row.kept.clone(), None] {
                let _ = verifier.row(&Row { kept, ..row.clone() });
            }
        }
        let _ = verifier.gap(&range(u64::MAX - 1, u64::MAX));
        let _ = verifier.node(Node { level: 8, index: u64::MAX >> 8 }, &hash);
        assert!(verifier.end(Some(u64::MAX)).is_err());
    }
}

/// What a database or a file says is shown on terminals.
#[test]
fn findings_are_safe_to_show() {
    let id = format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(1000));
    let told = Finding::Edited { seq: 1, id }.to_string();
    assert!(!told.chars().any(|char| char.is_control() || char == '\u{202e}'), "{told}");
    assert!(told.len() < 500, "{told}");
    expect!["it's a \"name\""].assert_eq(&shown("it's a \"name\""));
}
