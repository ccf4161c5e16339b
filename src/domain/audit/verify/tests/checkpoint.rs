//! Checkpoints and their signatures.

use super::*;

#[test]
fn a_checkpoint_of_an_empty_log_matches() {
    let empty = Checkpoint { size: 0, root: Hash::empty(), ..Log::whole().checkpoint(1) };
    let described = describe(Log::whole().verify(&[(empty, "the first checkpoint")]));
    expect!["verified: 2000 records of 0..2000, signed up to 0 by 1 checkpoints"].assert_eq(&described);
}

#[test]
fn contradicting_checkpoints() {
    let whole = Log::whole();
    let other = Checkpoint { root: Hash([7; 32]), ..whole.checkpoint(1000) };
    let described = describe(whole.verify(&[
        (whole.checkpoint(500), "one"),
        (whole.checkpoint(1000), "another"),
        (other, "a third"),
    ]));
    expect!["records between 500 and 999 were rewritten: their root does not match a third"]
        .assert_eq(&described);
}

#[test]
fn untrusted_notes_are_findings() {
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
    let (checkpoints, untrusted) = TrustedCheckpoints::verify(notes, &origin, &trusted(&ours));
    assert_eq!(checkpoints.checkpoints, [(whole.checkpoint(1), "ours".to_owned())]);
    let described: Vec<String> = untrusted.iter().map(ToString::to_string).collect();
    expect![[r#"
        another's is not trusted: it is not signed by a trusted key
        of another log is not trusted: the origin is "x/audit/team-b", expected is "eventcenter/audit/team-a"
        edited is not trusted: the signature is invalid
        \u{1b}[31mhostile\nname is not trusted: not a signed checkpoint: the note has no signature"#]]
    .assert_eq(&described.join("\n"));
}
