use expect_test::expect;

use super::*;

const ORIGIN: &str = "eventcenter/audit/team-a";

fn key(digit: char) -> SigningKey {
    SigningKey::of_seed(&digit.to_string().repeat(64)).expect("a key")
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: 300, root: Hash::leaf(b"x") }
}

fn trusted(keys: &[&SigningKey]) -> TrustedKeys {
    TrustedKeys::read(&keys.iter().map(|key| key.public()).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_note_reads_like_this_for_ever() {
    let note = checkpoint().sign(&key('1'));
    expect![[r#"
        eventcenter/audit/team-a
        300
        PH6byTDck/AfppmF7yQtn56GHzxTVaokzl70tLinDMs=

        — eventcenter/audit/team-a dUnRfm+VCH8FKtn0KfDBDW+i9Cj5Zyy1NExwyOr6cYqZRGam0jOX6LQgDvftb4Fmv5VJre4OGvG8jNlGXzrBPO31Hgw=
    "#]].assert_eq(&note);
    expect![[r#"
        eventcenter/audit/team-a+7549d17e+AdBKsjJ0K7SrOhNovUYV5ObQIkq3GgFrr4UgozLJd4c3
        eventcenter/audit/team-a+7aec17ab+AaCapfR6Z1mAL/lV+NwtKhSlyZ0jvpf4ZBJ/+Tg0VaTw"#]]
    .assert_eq(&trusted(&[&key('1'), &key('2')]).verifier_keys(ORIGIN).join("\n"));
    assert_eq!(Checkpoint::read(&note), Ok(checkpoint()));
    assert_eq!(Checkpoint::believed(&note, ORIGIN, &trusted(&[&key('1')])), Ok(checkpoint()));
    let empty = Checkpoint { size: 0, root: Hash::empty(), ..checkpoint() };
    let largest = Checkpoint { size: u64::MAX, ..checkpoint() };
    for checkpoint in [empty, largest] {
        let note = checkpoint.sign(&key('1'));
        assert_eq!(Checkpoint::believed(&note, ORIGIN, &trusted(&[&key('1')])), Ok(checkpoint));
    }
}

/// The example in the documentation of golang.org/x/mod/sumdb/note.
#[test]
fn notes_of_others_are_understood() {
    let keys = TrustedKeys::read("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    let note = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let read = |note: &str| Note::read(note).expect("a note").signed_by("PeterNeumann", &keys);
    assert_eq!(read(note), Ok(()));
    assert_eq!(read(&note.replace("don't", "do")), Err(NotBelieved::Forged));
    assert_eq!(read(&note.replace("— PeterNeumann", "— EnochRoot")), Err(NotBelieved::UnknownKey));
    let verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(keys.verifier_keys("PeterNeumann"), [verifier]);
}

#[test]
fn a_note_of_which_any_byte_is_another_is_not_believed() {
    let keys = trusted(&[&key('1')]);
    let note = checkpoint().sign(&key('1'));
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::believed(&text, ORIGIN, &keys).is_err(), "byte {at}, bit {bit}: {text}");
        }
        if note.is_char_boundary(at) {
            assert!(Checkpoint::believed(&note[..at], ORIGIN, &keys).is_err(), "cut at {at}");
            for more in ["\n", " ", "x", "\r", "\0"] {
                let text = format!("{}{more}{}", &note[..at], &note[at..]);
                assert!(Checkpoint::believed(&text, ORIGIN, &keys).is_err(), "{more:?} at {at}: {text}");
            }
        }
    }
    for more in ["\n", "x", "\n— x y\n"] {
        assert!(
            Checkpoint::believed(&format!("{note}{more}"), ORIGIN, &keys).is_err(),
            "{more:?} at the end"
        );
    }
}

#[test]
fn only_notes_about_this_log_by_keys_that_are_known_are_believed() {
    let (old, new, other) = (key('1'), key('2'), key('3'));
    let note = checkpoint().sign(&old);
    let believed = |note: &str, keys: &[&SigningKey]| {
        Checkpoint::believed(note, ORIGIN, &trusted(keys)).map_err(|error| error.to_string())
    };
    // Keys change one after the other, and what an older one has signed is believed while it is known.
    assert_eq!(believed(&note, &[&new, &old]), Ok(checkpoint()));
    assert_eq!(believed(&checkpoint().sign(&new), &[&new, &old]), Ok(checkpoint()));
    let error = believed(&note, &[&new]).expect_err("unknown");
    expect!["none of the known keys has signed this checkpoint"].assert_eq(&error);
    assert!(believed(&note, &[]).is_err());
    let about = Checkpoint { origin: "eventcenter/audit/team-b".to_owned(), ..checkpoint() };
    let error = believed(&about.sign(&old), &[&old]).expect_err("another log");
    expect![[r#"this checkpoint is about "eventcenter/audit/team-b", not about "eventcenter/audit/team-a""#]]
        .assert_eq(&error);
    // The same text, signed under another name.
    let renamed = note.replace("— eventcenter/audit/team-a", "— eventcenter/audit/team-b");
    assert!(believed(&renamed, &[&old]).is_err());
    // Their signature with our id.
    let signed = |key: &SigningKey| key.sign(checkpoint().text().as_bytes());
    let id = id(ORIGIN, &Hash::try_from(old.public()).expect("a key").0);
    let line = STANDARD.encode([id.as_slice(), &signed(&other)].concat());
    let forged = format!("{}\n— {ORIGIN} {line}\n", checkpoint().text());
    let error = believed(&forged, &[&old]).expect_err("forged");
    expect!["the signature of this checkpoint is forged"].assert_eq(&error);
}

#[test]
fn several_may_have_signed() {
    let (old, new) = (key('1'), key('2'));
    let line = |key: &SigningKey| {
        let note = checkpoint().sign(key);
        note.lines().last().expect("a line").to_owned()
    };
    let witness = format!("— witness.example+x {}", "AAAA");
    let foreign = format!("— witness.example {}", STANDARD.encode([7; 80]));
    let note = |lines: &[&str]| format!("{}\n{}\n", checkpoint().text(), lines.join("\n"));
    let both = note(&[&line(&old), &foreign, &line(&new)]);
    for keys in [vec![&old], vec![&new], vec![&old, &new]] {
        assert_eq!(Checkpoint::believed(&both, ORIGIN, &trusted(&keys)), Ok(checkpoint()));
    }
    let forged = line(&new).replace(&line(&new)[line(&new).len() - 12..], "AAAAAAAAAAA=");
    let one_forged = note(&[&line(&old), &forged]);
    let keys = trusted(&[&old, &new]);
    assert_eq!(Checkpoint::believed(&one_forged, ORIGIN, &keys), Err(NotBelieved::Forged));
    assert_eq!(Checkpoint::believed(&one_forged, ORIGIN, &trusted(&[&old])), Ok(checkpoint()));
    assert!(matches!(Checkpoint::read(&note(&[&line(&old), &witness])), Err(NotBelieved::Malformed(_))));
}

#[test]
fn what_has_another_form_is_no_checkpoint() {
    let note = checkpoint().sign(&key('1'));
    let root = STANDARD.encode(checkpoint().root.0);
    let huge = format!("{note}{}", "— x AAAAAAAA\n".repeat(2000));
    let check = |text: &str, expected: expect_test::Expect| {
        let error = Checkpoint::read(text).expect_err("no checkpoint");
        expected.assert_eq(&error.to_string());
    };
    check("", expect!["this is no signed checkpoint: it has no signatures"]);
    check(&huge, expect!["this is no signed checkpoint: it is too long"]);
    check(
        &note.replace("\n300", "\r\n300"),
        expect!["this is no signed checkpoint: it has characters that cannot be seen"],
    );
    check(note.trim_end(), expect!["this is no signed checkpoint: its last line has no end"]);
    check(
        &note.replace("\n300\n", "\n0300\n"),
        expect!["this is no signed checkpoint: the second line is no size"],
    );
    check(
        &note.replace("\n300\n", "\n+300\n"),
        expect!["this is no signed checkpoint: the second line is no size"],
    );
    check(
        &note.replace("\n300\n", "\n18446744073709551616\n"),
        expect!["this is no signed checkpoint: the second line is no size"],
    );
    check(&note.replace(&root, "AAAA"), expect!["this is no signed checkpoint: the third line is no root"]);
    check(
        &note.replace(&format!("{root}\n"), ""),
        expect!["this is no signed checkpoint: the third line is no root"],
    );
    check(
        &note.replace("\n300", "\n\n300"),
        expect!["this is no signed checkpoint: the second line is no size"],
    );
    check(
        &note.replace(ORIGIN, "two words"),
        expect!["this is no signed checkpoint: a signature has another form"],
    );
    check(&note.replace("— ", "- "), expect!["this is no signed checkpoint: a signature has another form"]);
    let extended = Checkpoint::read(&note.replace(&root, &format!("{root}\nextension"))).expect("extended");
    assert_eq!(extended, checkpoint(), "extensions are passed over");
}

#[test]
fn keys_are_read_in_both_forms() {
    let (one, two) = (key('1'), key('2'));
    let verifier = &trusted(&[&two]).verifier_keys(ORIGIN)[0];
    let text = format!("nonsense {}\n\t{verifier} {}", one.public(), one.public());
    assert_eq!(TrustedKeys::read(&text), trusted(&[&one, &two]));
    let (name, rest) = verifier.split_once('+').expect("a name");
    let wrong_id = format!("{name}x+{rest}");
    let wrong_kind = verifier.replace("+AZ", "+BZ");
    for text in ["", "a+b+c", "++", &wrong_id, &one.public()[2..], &wrong_kind[..wrong_kind.len() - 4]] {
        assert!(TrustedKeys::read(text).is_empty(), "{text}");
    }
}

#[test]
fn an_installation_is_named_without_surprises() {
    for name in ["eventcenter", "prod.example.com", "https://example.com/eventcenter", "a"] {
        assert!(is_installation(name), "{name}");
    }
    for name in ["", "two words", "a+b", "a\nb", "é", &"a".repeat(201)] {
        assert!(!is_installation(name), "{name}");
    }
    let name = origin("https://example.com", &LogName::platform());
    assert_eq!(name, "https://example.com/audit/_platform");
}
