use super::*;
use crate::kubernetes::{WebhookClient, WebhookEndpoint};
use WebhookConfigurationKind::{Mutating, Validating};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("in range")
}

fn issued(second: i64, secret: u8) -> PathToken {
    PathToken::issue(at(second), [secret; SECRET_BYTES])
}

/// A configuration with these paths.
fn configuration(paths: &[&str]) -> WebhookConfiguration {
    let webhooks = paths.iter().map(|path| WebhookClient {
        name: "topics".into(),
        authorities: Vec::new(),
        endpoint: WebhookEndpoint::Service { path: (*path).to_owned() },
    });
    WebhookConfiguration {
        kind: Validating,
        name: "eventcenter".into(),
        resource_version: "7".into(),
        webhooks: webhooks.collect(),
    }
}

fn path(token: &PathToken) -> String {
    format!("/validate/{}", token.to_path_segment())
}

/// The next step at the second 100 of a configuration with these paths, with the secret 9 for a new token.
fn step(paths: &[&str], renew_before: i64) -> PathStep {
    next(&configuration(paths), at(renew_before), at(100), [9; SECRET_BYTES])
}

fn new_path() -> PathStep {
    PathStep::Write(path(&issued(100, 9)))
}

#[test]
fn a_path_without_a_token_of_its_own_gets_one() {
    let token = issued(50, 1).to_path_segment();
    for without in
        ["", "/", "/validate", "/validate/", "/validate/guess", &format!("/mutate/{token}"), &token]
    {
        assert_eq!(step(&[without], 0), new_path(), "{without}");
    }
    assert_eq!(step(&[&format!("/validate/{token}/x")], 0), new_path());
}

#[test]
fn a_webhook_that_was_added_gets_the_token_of_the_others() {
    let (old, new) = (path(&issued(40, 1)), path(&issued(50, 2)));
    assert_eq!(step(&[&new, ""], 0), PathStep::Write(new.clone()));
    assert_eq!(step(&[&old, &new], 0), PathStep::Write(new.clone()), "the newest of several");
    assert_eq!(step(&[&new, &new], 0), PathStep::Wait(at(3_650)));
}

#[test]
fn a_token_is_replaced_when_it_is_older_than_the_certificate_or_an_hour() {
    let current = path(&issued(50, 1));
    assert_eq!(step(&[&current], 50), PathStep::Wait(at(3_650)));
    assert_eq!(step(&[&current], 51), new_path());
    assert_eq!(step(&[&current], 160), PathStep::Wait(at(160)), "renewal is due at a later time");
    assert_eq!(step(&[&path(&issued(-3_500, 1))], -4_000), new_path(), "it is an hour old");
    // The clock of the replica that issued it is ahead.
    assert_eq!(step(&[&path(&issued(130, 1))], 120), PathStep::Wait(at(3_730)));
    // A token is not older than the millisecond in which it was issued.
    let now = at(100) + Duration::from_micros(900);
    let PathStep::Write(written) = next(&configuration(&[&current]), now, now, [9; 32]) else {
        panic!("it is replaced")
    };
    assert_eq!(next(&configuration(&[&written]), now, now, [8; 32]), PathStep::Wait(at(3_700)));
}

#[test]
fn a_replaced_token_is_accepted_for_a_short_time() {
    let (old, new) = (issued(0, 1), issued(50, 2));
    let mut accepted = AcceptedTokens::default();
    assert!(!accepted.contains(Validating, &old, at(0)));
    accepted.observe(Validating, vec![old.clone()], at(0));
    accepted.observe(Mutating, vec![issued(0, 3)], at(0));
    assert!(accepted.contains(Validating, &old, at(10)));
    assert!(!accepted.contains(Mutating, &old, at(10)), "the token of the other configuration");
    assert!(!accepted.contains(Validating, &new, at(10)));

    accepted.observe(Validating, vec![new.clone()], at(50));
    assert!(accepted.contains(Validating, &new, at(79)) && accepted.contains(Validating, &old, at(79)));
    assert!(!accepted.contains(Validating, &old, at(80)));
    assert!(accepted.contains(Mutating, &issued(0, 3), at(80)), "the other configuration is unchanged");

    // The configuration is deleted.
    accepted.observe(Validating, Vec::new(), at(100));
    assert!(accepted.contains(Validating, &new, at(129)) && !accepted.contains(Validating, &new, at(130)));
    accepted.observe(Validating, Vec::new(), at(200));
    assert_eq!(accepted.replaced.len(), 0, "expired tokens are forgotten");
}

#[test]
fn only_the_two_webhooks_have_paths() {
    assert_eq!(split("/validate/x"), Some((Validating, "x")));
    assert_eq!(split("/mutate"), Some((Mutating, "")));
    for other in ["", "/", "/validatex", "/validate-x", "validate/x", "/metrics", "//validate/x"] {
        assert_eq!(split(other), None, "{other}");
    }
}
