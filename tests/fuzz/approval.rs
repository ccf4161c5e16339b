//! What approvals trust: annotations with requests, seals, public keys, and names of people.

use eventcenter::api::{DELETION_REQUEST, EventTopic, REQUEST};
use eventcenter::domain::Revisioned;
use eventcenter::domain::approval::author::Author;
use eventcenter::domain::approval::claims::{DeletionClaims, RequestClaims};
use eventcenter::domain::approval::identity::Identities;
use eventcenter::domain::approval::{ChangeRequest, DeletionRequest, Rules, SpecHash, person};
use eventcenter::domain::signature::{PublicKeys, SigningKey};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::harness::Target;

/// A topic with a sealed request, and the webhook's key that sealed it.
const TOPIC: &str = include_str!("../data/v0/event-topic.yaml");
const WEBHOOK_KEY: &str = "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737";

fn topic() -> EventTopic {
    serde_yaml::from_str(TOPIC).unwrap()
}

fn with_annotation(topic: &EventTopic, name: &str, value: &str) -> EventTopic {
    let mut topic = topic.clone();
    topic.annotations_mut().insert(name.to_owned(), value.to_owned());
    topic
}

#[test]
fn sealed_requests() {
    let (topic, keys) = (topic(), PublicKeys::parse(WEBHOOK_KEY));
    let (subject, hash) = (Revisioned::of(&topic), SpecHash::of(&topic.spec));
    let signed = ChangeRequest::verified(&topic, &subject, &hash, &keys).expect("it is sealed");
    Target::new("request", 60, 64 * 1024).fuzz(
        |input| {
            let topic = with_annotation(&topic, REQUEST, &String::from_utf8_lossy(input));
            let parsed = ChangeRequest::parse(&topic);
            (parsed, ChangeRequest::verified(&topic, &subject, &hash, &keys))
        },
        |_, (parsed, verified)| {
            if let Some(verified) = verified {
                assert_same_claims(&verified.claims, &signed.claims);
                let again = with_annotation(&topic, REQUEST, &verified.to_annotation());
                let again = ChangeRequest::verified(&again, &subject, &hash, &keys);
                assert_eq!(again.as_ref(), Some(&verified), "it is verified after it was written");
                assert_eq!(parsed, Some(verified));
            } else if let Some(parsed) = parsed {
                let again = with_annotation(&topic, REQUEST, &parsed.to_annotation());
                let _ = parsed.claims.to_string();
                let _ = parsed.is_independent_of("alice", &Rules::default());
                assert_eq!(ChangeRequest::parse(&again), Some(parsed));
            }
        },
    );
}

fn assert_same_claims(one: &RequestClaims, other: &RequestClaims) {
    assert_eq!(one, other, "nobody sealed these claims");
}

#[test]
fn sealed_deletions() {
    let key = SigningKey::from_seed(&"3".repeat(64)).unwrap();
    let (topic, keys) = (topic(), PublicKeys::parse(&key.public_key()));
    let (subject, hash) = (Revisioned::of(&topic), SpecHash::of(&topic.spec));
    let at = "2026-09-21T14:00:00Z".parse().unwrap();
    let signed = DeletionRequest::seal(&subject, &hash, "ann", at, &key);
    assert_eq!(signed.to_annotation(), include_str!("corpus/deletion/sealed"));
    Target::new("deletion", 60, 64 * 1024).fuzz(
        |input| {
            let topic = with_annotation(&topic, DELETION_REQUEST, &String::from_utf8_lossy(input));
            DeletionRequest::verified(&topic, &subject, &hash, &keys)
        },
        |_, verified| {
            let Some(verified) = verified else { return };
            let claims: &DeletionClaims = &verified.claims;
            assert_eq!(claims, &signed.claims, "nobody sealed these claims");
            let again = with_annotation(&topic, DELETION_REQUEST, &verified.to_annotation());
            assert_eq!(DeletionRequest::verified(&again, &subject, &hash, &keys), Some(verified));
        },
    );
}

/// An input is a seal; only one of the statement verifies. Hexadecimal digits may have either case.
#[test]
fn seals() {
    let key = SigningKey::from_seed(&"3".repeat(64)).unwrap();
    let keys = PublicKeys::parse(&key.public_key());
    let statement = json!({"statement": "Approved", "uid": "0f1e2d3c", "hash": "7515e24c"});
    let seal = key.seal(&statement);
    assert_eq!(seal, include_str!("corpus/seal/sealed"));
    Target::new("seal", 32, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            let other: Value = json!({"statement": "Approved", "uid": "0f1e2d3c", "hash": text});
            (keys.verify(&statement, &text), keys.verify(&other, &seal), key.is_named_by(&text))
        },
        |input, (verified, other, is_named)| {
            assert!(!verified || (input.eq_ignore_ascii_case(seal.as_bytes()) && is_named));
            assert_eq!(other, input == b"7515e24c", "the statement is another one");
        },
    );
}

#[test]
fn public_keys() {
    Target::new("public_keys", 40, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            (PublicKeys::parse(&text), PublicKeys::count_invalid(&text), text.split_whitespace().count())
        },
        |_, (keys, invalid, words)| {
            assert!(invalid <= words);
            assert_eq!(keys.is_empty(), invalid == words);
        },
    );
}

/// An input is two names, a line each.
#[test]
fn names_of_people() {
    let identities = Identities::default();
    Target::new("person", 16, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let (one, other) = text.split_once('\n').unwrap_or((&text, ""));
            let same = identities.may_be_same(one, other);
            (one.to_owned(), other.to_owned(), same)
        },
        |_, (one, other, same)| {
            assert_eq!(identities.may_be_same(&other, &one), same, "in either order");
            assert!(identities.may_be_same(&one, &one), "everybody is the same person as oneself");
            let _ = person::service_account_namespace(&one);
        },
    );
}

/// An input is the annotation that names an author.
#[test]
fn authors() {
    let rules = Rules::default();
    Target::new("author", 16, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let author = Author::parse(&text, &rules).map(|author| author.to_string());
            author.map_err(|error| error.to_string())
        },
        |_, author| {
            if let Ok(author) = author {
                assert!(!author.contains([',', ';']), "several people: {author}");
                let again = Author::parse(&author, &rules).expect("it was an author before");
                assert_eq!(again.to_string(), author);
            }
        },
    );
}
