//! Proofs, also after the retention.

use super::*;
use crate::domain::audit::merkle::{Hash, Range};
use crate::store::{Error, StoredCheckpoint};

pub(crate) async fn proofs_are_valid(store: &Store) {
    let log = log("proofs");
    write(store, &log, 1100).await;
    let audit = store.audit();
    let head = audit.read_head(&log).await.expect("a head");
    let hashes: Vec<Hash> = audit
        .read_rows(&log, 0, 2000)
        .await
        .expect("rows")
        .into_iter()
        .map(|row| row.stored.expect("stored values").hash)
        .collect();
    let root = |size: usize| {
        let mut range = Range::empty(0);
        hashes[..size].iter().for_each(|hash| range.push(*hash, |_, _| {}));
        range.root().expect("the range begins at 0")
    };
    assert_eq!(head.range.root(), Some(root(1100)));
    let sizes = [1, 2, 255, 256, 257, 512, 700, 1024, 1099, 1100];
    for size in sizes {
        for seq in [0, 1, 254, 255, 256, 300, 511, 699, 1023, 1098, 1099] {
            let proof = audit.prove_inclusion(&log, seq, size).await;
            match seq < size {
                true => {
                    assert!(proof.expect("a proof").holds(&hashes[seq as usize], &root(size as usize)))
                }
                false => assert!(matches!(proof, Err(Error::Corrupt { .. }))),
            }
        }
        for from in sizes.into_iter().filter(|from| *from <= size) {
            let proof = audit.prove_consistency(&log, from, size).await.expect("a proof");
            assert!(proof.holds(&root(from as usize), &root(size as usize)), "{from} {size}");
        }
        let mut range = audit.read_range(&log, 0, size).await.expect("a range");
        range.append(&audit.read_range(&log, size, 1100).await.expect("a range")).expect("adjacent ranges");
        assert_eq!(range, head.range);
    }
    // Ranges that are computed together equal ranges that are computed alone.
    let parts: Vec<(u64, u64)> = (0..200).map(|number| (number * 5, number * 5 + number % 100)).collect();
    let ranges = audit.read_ranges(&log, &parts).await.expect("ranges");
    assert_eq!(ranges.len(), parts.len());
    for ((from, until), range) in parts.iter().zip(ranges) {
        let mut expected = Range::empty(*from);
        hashes[*from as usize..*until as usize].iter().for_each(|hash| expected.push(*hash, |_, _| {}));
        assert_eq!(range, expected, "{from} to {until}");
    }
    assert_eq!(audit.read_ranges(&log, &[]).await.expect("none"), []);
    assert!(audit.read_ranges(&log, &[(0, 5), (1000, 1101)]).await.is_err(), "there are fewer");
    assert!(audit.prove_inclusion(&log, 0, 1101).await.is_err(), "there are fewer");
    assert!(audit.prove_consistency(&log, 1, 1101).await.is_err(), "there are fewer");
    assert!(audit.read_range(&log, 0, 1101).await.is_err(), "there are fewer");
}

pub(crate) async fn a_log_verifies_after_the_retention(store: &Store) {
    let log = log("retention");
    varied(store, &log, 1200).await;
    let audit = store.audit();
    let before = audit.read_head(&log).await.expect("a head");
    let root_of =
        async |size: u64| audit.read_range(&log, 0, size).await.expect("a range").root().expect("from 0");
    let (root_300, root_900) = (root_of(300).await, root_of(900).await);
    let leaf_700 =
        audit.read_rows(&log, 700, 1).await.expect("a row")[0].stored.clone().expect("stored values").hash;

    // The clock is set back, so that later records may be older than the position that is found.
    assert_eq!(audit.find_first_since(&log, at(-2000)).await.expect("a number"), 0);
    assert_eq!(audit.find_first_since(&log, at(600)).await.expect("a number"), 600);
    assert_eq!(audit.find_first_since(&log, at(5000)).await.expect("a number"), 1200);
    assert_eq!(audit.drop_before(&log, 600).await.expect("dropped"), 512);
    assert_eq!(audit.drop_before(&log, 600).await.expect("unchanged"), 512);
    assert_eq!(audit.drop_before(&log, 100).await.expect("unchanged"), 512);
    assert_eq!(audit.find_first_since(&log, at(600)).await.expect("a number"), 600);

    let head = audit.read_head(&log).await.expect("a head");
    assert_eq!((head.first, head.size, head.range), (512, 1200, before.range));
    let verified = verify(store, &log).await;
    assert_eq!((verified.first, verified.records, verified.size), (512, 688, 1200));
    assert_eq!(all(store, &log).await.first().map(|record| record.seq), Some(512));
    let proof = audit.prove_inclusion(&log, 700, 900).await.expect("a proof");
    assert!(proof.holds(&leaf_700, &root_900));
    let proof = audit.prove_consistency(&log, 512, 900).await.expect("a proof");
    let root_512 = audit.read_range(&log, 0, 512).await.expect("a range").root().expect("from 0");
    assert!(proof.holds(&root_512, &root_900));
    assert!(audit.prove_inclusion(&log, 100, 900).await.is_err(), "its siblings were dropped");
    assert!(audit.prove_consistency(&log, 300, 900).await.is_err(), "these records were dropped: {root_300}");

    write(store, &log, 100).await;
    assert_eq!(verify(store, &log).await.size, 1300);
    assert_eq!(audit.drop_before(&log, u64::MAX).await.expect("dropped"), 1280);
    assert_eq!(verify(store, &log).await.records, 20);
}

pub(crate) async fn checkpoints_are_stored(store: &Store) {
    let log = log("checkpoints");
    let audit = store.audit();
    let checkpoint = |size: u64, note: &str| StoredCheckpoint { size, note: note.to_owned(), time: at(1) };
    for stored in [
        checkpoint(3, "three\n"),
        checkpoint(12, "twelve\n"),
        checkpoint(3, "three\n"),
        checkpoint(9, "nine\n"),
    ] {
        audit.insert_checkpoint(&log, &stored).await.expect("stored");
    }
    let newest = audit.list_checkpoints(&log, 2).await.expect("checkpoints");
    assert_eq!(newest, [checkpoint(12, "twelve\n"), checkpoint(9, "nine\n")]);
    assert_eq!(audit.list_checkpoints(&log, 100).await.expect("checkpoints").len(), 3);
}
