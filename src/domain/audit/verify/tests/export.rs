//! Exports with gaps, and reformatted exports.

use super::*;

/// Verifies the first 700 records, a gap, and those from 1300 on.
fn with_gap(gap: &Range, checkpoints: &[u64]) -> Result<Verified, Finding> {
    let whole = Log::whole();
    let checkpoints = checkpoints.iter().map(|size| (whole.checkpoint(*size), format!("checkpoint {size}")));
    let checkpoints = TrustedCheckpoints { checkpoints: checkpoints.collect() };
    let mut verifier = Verifier::new(log_name(), Range::empty(0), Hash([0; 32]), checkpoints);
    let row = |row: &Row| Row { seq: 0, body: row.body.clone(), stored: None };
    whole.rows[..700].iter().try_for_each(|kept| verifier.verify_row(&row(kept)))?;
    verifier.verify_gap(gap)?;
    verifier.verify_gap(&whole.range(1300, 1300))?;
    whole.rows[1300..].iter().try_for_each(|kept| verifier.verify_row(&row(kept)))?;
    verifier.finish(Some(SIZE))
}

/// A filtered export has the hashes of omitted records.
#[test]
fn an_export_with_gaps() {
    let gap = |from: u64, until: u64| Log::whole().range(from, until);
    let mut hashes = gap(700, 1300).hashes().to_vec();
    hashes[3] = Hash([7; 32]);
    let edited = || Range::of(700, 1300, hashes.clone()).expect("as many");
    let endless = vec![Hash([7; 32]); Range::nodes(700, u64::MAX).len()];
    let endless = Range::of(700, u64::MAX, endless).expect("as many");
    let cases: [(&str, Range, &[u64]); 11] = [
        ("correct", gap(700, 1300), &[500, 1900]),
        // The root within a gap is unknown.
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
        format!("{what}: {}\n", describe(with_gap(gap, checkpoints)))
    };
    expect![[r#"
        correct: verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints
        a checkpoint inside: verified: 1400 records of 0..2000, signed up to 1900 by 2 checkpoints
        checkpoints at its ends: verified: 1400 records of 0..2000, signed up to 2000 by 3 checkpoints
        begins one too late: record 700 is missing
        begins three too late: records 700 to 702 are missing
        begins too early: the record at position 699 was inserted: it does not belong there
        ends too early: record 1299 is missing
        ends too late: the record at position 1300 was inserted: it does not belong there
        edited: records between 500 and 1899 were rewritten: their root does not match checkpoint 1900
        edited after the last checkpoint: verified: 1400 records of 0..2000, signed up to 500 by 1 checkpoints
        never ends: the record at position 1300 was inserted: it does not belong there
    "#]]
    .assert_eq(&cases.iter().map(print).collect::<String>());
}

/// Another program has reformatted the JSON.
#[test]
fn a_reformatted_export() {
    let whole = Log::whole();
    let checkpoints = [(whole.checkpoint(1900), "checkpoint 1900")];
    let mut log = whole.clone();
    for row in &mut log.rows {
        let value: serde_json::Value = serde_json::from_slice(&row.body).expect("JSON");
        row.body = serde_json::to_vec_pretty(&value).expect("JSON");
    }
    expect!["verified: 2000 records of 0..2000, signed up to 1900 by 1 checkpoints"]
        .assert_eq(&describe(export(&log, &checkpoints)));
    // Parsers disagree about a repeated member name.
    let twice = String::from_utf8(whole.rows[700].body.clone()).expect("text");
    let twice = twice.replace(r#""outcome":"Allowed""#, r#""outcome":"Allowed","tenants":1,"tenants":2"#);
    assert_ne!(twice.as_bytes(), whole.rows[700].body);
    let mut log = whole;
    log.rows[700].body = twice.into_bytes();
    expect!["record 700 cannot be read"].assert_eq(&describe(export(&log, &checkpoints)));
}
