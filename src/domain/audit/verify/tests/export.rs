//! What left the house: with gaps, or written in another way.

use super::*;

/// Verifies the first 700 records, a gap, and those from 1300 on.
fn with_gap(gap: &Range, checkpoints: &[u64]) -> Result<Verified, Finding> {
    let whole = Log::whole();
    let checkpoints = checkpoints.iter().map(|size| (whole.checkpoint(*size), format!("checkpoint {size}")));
    let witnesses = Witnesses { checkpoints: checkpoints.collect() };
    let mut verifier = Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), witnesses);
    let row = |row: &Row| Row { seq: 0, body: row.body.clone(), kept: None };
    whole.rows[..700].iter().try_for_each(|kept| verifier.row(&row(kept)))?;
    verifier.gap(gap)?;
    verifier.gap(&whole.range(1300, 1300))?;
    whole.rows[1300..].iter().try_for_each(|kept| verifier.row(&row(kept)))?;
    verifier.end(Some(SIZE))
}

/// Records of which some do not pass a filter: their hashes are there, and everything else is verified.
#[test]
fn an_export_with_gaps() {
    let gap = |from: u64, until: u64| Log::whole().range(from, until);
    let mut hashes = gap(700, 1300).hashes().to_vec();
    hashes[3] = Hash([7; 32]);
    let edited = || Range::of(700, 1300, hashes.clone()).expect("as many");
    let endless = vec![Hash([7; 32]); Range::nodes(700, u64::MAX).len()];
    let endless = Range::of(700, u64::MAX, endless).expect("as many");
    let cases: [(&str, Range, &[u64]); 11] = [
        ("it fits", gap(700, 1300), &[500, 1900]),
        // Inside of a gap no root is known.
        ("a checkpoint inside", gap(700, 1300), &[500, 1000, 1900]),
        ("checkpoints at its ends", gap(700, 1300), &[700, 1300, SIZE]),
        ("begins one too late", gap(701, 1300), &[]),
        ("begins three too late", gap(703, 1300), &[]),
        ("begins too early", gap(699, 1300), &[]),
        ("ends too early", gap(700, 1299), &[]),
        ("ends too late", gap(700, 1301), &[]),
        ("edited", edited(), &[500, 1900]),
        ("edited after the last checkpoint", edited(), &[500]),
        ("never ends", endless, &[500]),
    ];
    let print = |(what, gap, checkpoints): &(&str, Range, &[u64])| {
        format!("{what}: {}\n", told(with_gap(gap, checkpoints)))
    };
    expect![[r#"
        it fits: verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints
        a checkpoint inside: verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints
        checkpoints at its ends: verified: 1400 records of 0..2000, signed up to 2000 by 3 checkpoints
        begins one too late: record 700 is missing
        begins three too late: records 700 to 702 are missing
        begins too early: what stands at place 699 was inserted: it does not belong there
        ends too early: record 1299 is missing
        ends too late: what stands at place 1300 was inserted: it does not belong there
        edited: something in records 500 to 1899 was rewritten: their root is not that of checkpoint 1900
        edited after the last checkpoint: verified: 1400 records of 0..2000, signed up to 500 by 1 checkpoints
        never ends: what stands at place 1300 was inserted: it does not belong there
    "#]]
    .assert_eq(&cases.iter().map(print).collect::<String>());
}

/// Somebody ran the export through a program that writes JSON in its own way.
#[test]
fn an_export_whose_records_are_written_in_another_way() {
    let whole = Log::whole();
    let witnesses = [(whole.checkpoint(1900), "checkpoint 1900")];
    let mut log = whole.clone();
    for row in &mut log.rows {
        let value: serde_json::Value = serde_json::from_slice(&row.body).expect("JSON");
        row.body = serde_json::to_vec_pretty(&value).expect("JSON");
    }
    expect!["verified: 2000 records of 0..2000, signed up to 1900 by 1 checkpoints"]
        .assert_eq(&told(export(&log, &witnesses)));
    // Read by one program this is one record, and by another one another.
    let twice = String::from_utf8(whole.rows[700].body.clone()).expect("text");
    let twice = twice.replace(r#""outcome":"Allowed""#, r#""outcome":"Allowed","tenants":1,"tenants":2"#);
    assert_ne!(twice.as_bytes(), whole.rows[700].body);
    let mut log = whole;
    log.rows[700].body = twice.into_bytes();
    expect!["record 700 cannot be read"].assert_eq(&told(export(&log, &witnesses)));
}
