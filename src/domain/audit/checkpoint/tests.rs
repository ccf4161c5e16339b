use expect_test::expect;

use super::*;

const ORIGIN: &str = "eventcenter/audit/team-a";

fn key(digit: char) -> SigningKey {
    SigningKey::from_seed(&digit.to_string().repeat(64)).expect("a key")
}

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: ORIGIN.to_owned(), size: 300, root: Hash::leaf(b"x") }
}

fn trusted(keys: &[&SigningKey]) -> TrustedKeys {
    TrustedKeys::parse(&keys.iter().map(|key| key.public_key()).collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_format_of_a_note_is_stable() {
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
    assert_eq!(Checkpoint::parse_unverified(&note), Ok(checkpoint()));
    assert_eq!(Checkpoint::verify(&note, ORIGIN, &trusted(&[&key('1')])), Ok(checkpoint()));
    let empty = Checkpoint { size: 0, root: Hash::empty(), ..checkpoint() };
    let largest = Checkpoint { size: u64::MAX, ..checkpoint() };
    for checkpoint in [empty, largest] {
        let note = checkpoint.sign(&key('1'));
        assert_eq!(Checkpoint::verify(&note, ORIGIN, &trusted(&[&key('1')])), Ok(checkpoint));
    }
}

/// The example in the documentation of golang.org/x/mod/sumdb/note.
#[test]
fn notes_of_other_implementations_are_parsed() {
    let keys = TrustedKeys::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    let note = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\
        \n\
        — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let verify =
        |note: &str| SignedNote::parse(note).expect("a note").verify_signature("PeterNeumann", &keys);
    assert_eq!(verify(note), Ok(()));
    assert_eq!(verify(&note.replace("don't", "do")), Err(CheckpointError::InvalidSignature));
    assert_eq!(verify(&note.replace("— PeterNeumann", "— EnochRoot")), Err(CheckpointError::UntrustedKey));
    let verifier = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(keys.verifier_keys("PeterNeumann"), [verifier]);
}

#[test]
fn a_note_with_any_changed_byte_is_rejected() {
    let keys = trusted(&[&key('1')]);
    let note = checkpoint().sign(&key('1'));
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            assert!(Checkpoint::verify(&text, ORIGIN, &keys).is_err(), "byte {at}, bit {bit}: {text}");
        }
        if note.is_char_boundary(at) {
            assert!(Checkpoint::verify(&note[..at], ORIGIN, &keys).is_err(), "cut at {at}");
            for more in ["\n", " ", "x", "\r", "\0"] {
                let text = format!("{}{more}{}", &note[..at], &note[at..]);
                assert!(Checkpoint::verify(&text, ORIGIN, &keys).is_err(), "{more:?} at {at}: {text}");
            }
        }
    }
    for more in ["\n", "x", "\n— x y\n"] {
        assert!(Checkpoint::verify(&format!("{note}{more}"), ORIGIN, &keys).is_err(), "{more:?} at the end");
    }
}

#[test]
fn only_notes_of_this_log_with_a_trusted_signature_are_accepted() {
    let (old, new, other) = (key('1'), key('2'), key('3'));
    let note = checkpoint().sign(&old);
    let verify = |note: &str, keys: &[&SigningKey]| {
        Checkpoint::verify(note, ORIGIN, &trusted(keys)).map_err(|error| error.to_string())
    };
    // After a key rotation, notes signed by the old key are accepted as long as it is trusted.
    assert_eq!(verify(&note, &[&new, &old]), Ok(checkpoint()));
    assert_eq!(verify(&checkpoint().sign(&new), &[&new, &old]), Ok(checkpoint()));
    let error = verify(&note, &[&new]).expect_err("an untrusted key");
    expect!["it is not signed by a trusted key"].assert_eq(&error);
    assert!(verify(&note, &[]).is_err());
    let other_log = Checkpoint { origin: "eventcenter/audit/team-b".to_owned(), ..checkpoint() };
    let error = verify(&other_log.sign(&old), &[&old]).expect_err("another log");
    expect![[r#"the origin is "eventcenter/audit/team-b", expected is "eventcenter/audit/team-a""#]]
        .assert_eq(&error);
    // The same signature under another key name.
    let renamed = note.replace("— eventcenter/audit/team-a", "— eventcenter/audit/team-b");
    assert!(verify(&renamed, &[&old]).is_err());
    // A signature of another key with the id of a trusted key.
    let signed = |key: &SigningKey| key.sign(checkpoint().text().as_bytes());
    let id = key_id(ORIGIN, &hex_key(&old.public_key()).expect("a key"));
    let line = STANDARD.encode([id.as_slice(), &signed(&other)].concat());
    let forged = format!("{}\n— {ORIGIN} {line}\n", checkpoint().text());
    let error = verify(&forged, &[&old]).expect_err("forged");
    expect!["the signature is invalid"].assert_eq(&error);
}

#[test]
fn a_note_may_have_several_signatures() {
    let (old, new) = (key('1'), key('2'));
    let line = |key: &SigningKey| {
        let note = checkpoint().sign(key);
        note.lines().last().expect("a line").to_owned()
    };
    let malformed = format!("— witness.example+x {}", "AAAA");
    let foreign = format!("— witness.example {}", STANDARD.encode([7; 80]));
    let note = |lines: &[&str]| format!("{}\n{}\n", checkpoint().text(), lines.join("\n"));
    let both = note(&[&line(&old), &foreign, &line(&new)]);
    for keys in [vec![&old], vec![&new], vec![&old, &new]] {
        assert_eq!(Checkpoint::verify(&both, ORIGIN, &trusted(&keys)), Ok(checkpoint()));
    }
    let forged = line(&new).replace(&line(&new)[line(&new).len() - 12..], "AAAAAAAAAAA=");
    let one_forged = note(&[&line(&old), &forged]);
    let keys = trusted(&[&old, &new]);
    assert_eq!(Checkpoint::verify(&one_forged, ORIGIN, &keys), Err(CheckpointError::InvalidSignature));
    assert_eq!(Checkpoint::verify(&one_forged, ORIGIN, &trusted(&[&old])), Ok(checkpoint()));
    assert!(matches!(
        Checkpoint::parse_unverified(&note(&[&line(&old), &malformed])),
        Err(CheckpointError::Malformed(_))
    ));
}

#[test]
fn malformed_notes_are_rejected() {
    let note = checkpoint().sign(&key('1'));
    let root = STANDARD.encode(checkpoint().root.0);
    let huge = format!("{note}{}", "— x AAAAAAAA\n".repeat(2000));
    let check = |text: &str, expected: expect_test::Expect| {
        let error = Checkpoint::parse_unverified(text).expect_err("not a checkpoint");
        expected.assert_eq(&error.to_string());
    };
    check("", expect!["not a signed checkpoint: the note has no signature"]);
    check(&huge, expect!["not a signed checkpoint: the note is too long"]);
    check(
        &note.replace("\n300", "\r\n300"),
        expect!["not a signed checkpoint: the note contains control characters"],
    );
    check(note.trim_end(), expect!["not a signed checkpoint: the last line is incomplete"]);
    check(
        &note.replace("\n300\n", "\n0300\n"),
        expect!["not a signed checkpoint: the second line is not a size"],
    );
    check(
        &note.replace("\n300\n", "\n+300\n"),
        expect!["not a signed checkpoint: the second line is not a size"],
    );
    check(
        &note.replace("\n300\n", "\n18446744073709551616\n"),
        expect!["not a signed checkpoint: the second line is not a size"],
    );
    check(
        &note.replace(&root, "AAAA"),
        expect!["not a signed checkpoint: the third line is not a root hash"],
    );
    check(
        &note.replace(&format!("{root}\n"), ""),
        expect!["not a signed checkpoint: the third line is not a root hash"],
    );
    check(
        &note.replace("\n300", "\n\n300"),
        expect!["not a signed checkpoint: the second line is not a size"],
    );
    check(
        &note.replace(ORIGIN, "two words"),
        expect!["not a signed checkpoint: a signature line is malformed"],
    );
    check(&note.replace("— ", "- "), expect!["not a signed checkpoint: a signature line is malformed"]);
    let extended =
        Checkpoint::parse_unverified(&note.replace(&root, &format!("{root}\nextension"))).expect("extended");
    assert_eq!(extended, checkpoint(), "extensions are ignored");
}

#[test]
fn keys_are_parsed_in_both_formats() {
    let (one, two) = (key('1'), key('2'));
    let verifier = &trusted(&[&two]).verifier_keys(ORIGIN)[0];
    let text = format!("nonsense {}\n\t{verifier} {}", one.public_key(), one.public_key());
    assert_eq!(TrustedKeys::parse(&text), trusted(&[&one, &two]));
    let (name, rest) = verifier.split_once('+').expect("a name");
    let wrong_id = format!("{name}x+{rest}");
    let wrong_type = verifier.replace("+AZ", "+BZ");
    for text in ["", "a+b+c", "++", &wrong_id, &one.public_key()[2..], &wrong_type[..wrong_type.len() - 4]] {
        assert!(TrustedKeys::parse(text).is_empty(), "{text}");
    }
}

#[test]
fn names_of_installations_are_validated() {
    for name in ["eventcenter", "prod.example.com", "https://example.com/eventcenter", "a"] {
        assert!(is_valid_installation(name), "{name}");
    }
    for name in ["", "two words", "a+b", "a\nb", "é", &"a".repeat(201)] {
        assert!(!is_valid_installation(name), "{name}");
    }
    let name = origin("https://example.com", &LogName::platform());
    assert_eq!(name, "https://example.com/audit/_platform");
}
