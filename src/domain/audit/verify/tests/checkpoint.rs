//! Who has seen the log before, and who is believed.

use super::*;

#[test]
fn a_checkpoint_of_no_records_is_right() {
    let empty = Checkpoint { size: 0, root: Hash::empty(), ..Log::whole().checkpoint(1) };
    let told = told(Log::whole().verify(&[(empty, "the first checkpoint")]));
    expect!["verified: 2000 records of 0..2000, signed up to 0 by 1 checkpoints"].assert_eq(&told);
}

#[test]
fn checkpoints_that_do_not_agree() {
    let whole = Log::whole();
    let other = Checkpoint { root: Hash([7; 32]), ..whole.checkpoint(1000) };
    let told = told(whole.verify(&[
        (whole.checkpoint(500), "one"),
        (whole.checkpoint(1000), "another"),
        (other, "a third"),
    ]));
    expect!["something in records 500 to 999 was rewritten: their root is not that of a third"]
        .assert_eq(&told);
}

#[test]
fn notes_are_believed_or_findings() {
    let whole = Log::whole();
    let (ours, other) = (key('1'), key('2'));
    let elsewhere = Checkpoint { origin: "x/audit/team-b".to_owned(), ..whole.checkpoint(3) };
    let notes = [
        ("ours", whole.checkpoint(1).sign(&ours)),
        ("another's", whole.checkpoint(2).sign(&other)),
        ("of another log", elsewhere.sign(&ours)),
        ("edited", whole.checkpoint(4).sign(&ours).replace("\n4\n", "\n5\n")),
        ("\u{1b}[31mhostile\nname", "nonsense".to_owned()),
    ];
    let notes = notes.map(|(name, note)| (name.to_owned(), note));
    let origin = crate::domain::audit::checkpoint::origin(INSTALLATION, &log_name());
    let (witnesses, forged) = Witnesses::of(notes, &origin, &trusted(&ours));
    assert_eq!(witnesses.checkpoints, [(whole.checkpoint(1), "ours".to_owned())]);
    let told: Vec<String> = forged.iter().map(ToString::to_string).collect();
    expect![[r#"
        another's is not believed: none of the known keys has signed this checkpoint
        of another log is not believed: this checkpoint is about "x/audit/team-b", not about "eventcenter/audit/team-a"
        edited is not believed: the signature of this checkpoint is forged
        \u{1b}[31mhostile\nname is not believed: this is no signed checkpoint: it has no signatures"#]].assert_eq(&told.join("\n"));
}
