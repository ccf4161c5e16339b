//! Requests, printed and verified.

use super::*;
use crate::api::EventTopic;
use crate::domain::approval::testing::{at, groups, hash, key, orders, rules};
use crate::domain::testing::topic;
use expect_test::{Expect, expect};

const RULES: &str = "{breakGlass: [oncall], automation: ['system:serviceaccount:argocd:a'], \
                     rules: [{changes: [Any], groups: [approvers]}]}";
const ARGO: &str = "system:serviceaccount:argocd:a";

fn annotated(annotations: &[(&str, &str)]) -> EventTopic {
    let mut topic = topic("{}");
    let annotations = annotations.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    topic.metadata.annotations = Some(annotations.collect());
    topic
}

/// Somebody asks for a content, on top of what waits.
fn ask(
    username: &str,
    names: &[&str],
    old: Option<&EventTopic>,
    new: &EventTopic,
    waiting: Option<&ChangeRequest>,
) -> Result<ChangeRequest, Refusal> {
    let (subject, rules, hash, groups) = (orders(), rules(RULES), hash("new"), groups(names));
    let requester = Requester { username, groups: &groups };
    let asked = RequestContext {
        subject: &subject,
        hash: &hash,
        requester,
        field_manager: None,
        rules: &rules,
        is_withdrawal: false,
        pending: waiting,
        now: at(0),
    };
    seal_request(&asked, old, new, &key('1'))
}

fn print(asked: Result<ChangeRequest, Refusal>) -> String {
    match asked {
        Err(refusal) => refusal.to_string(),
        Ok(request) => {
            let glass = request.claims.break_glass.as_ref();
            let glass =
                glass.map(|glass| format!("; {} of {:?} because {}", glass.by, glass.groups, glass.reason));
            format!("{}{}", request.claims, glass.unwrap_or_default())
        }
    }
}

fn check(asked: Result<ChangeRequest, Refusal>, expected: Expect) {
    expected.assert_eq(&print(asked));
}

fn waiting(requesters: &[&str], authors: &[&str]) -> ChangeRequest {
    let mut request = ask("nobody", &[], None, &annotated(&[]), None).expect("a request");
    request.claims.requesters = groups(requesters);
    request.claims.authors = groups(authors);
    request
}

#[test]
fn the_requester_is_recorded() {
    let request = ask("alice", &["approvers"], None, &annotated(&[]), None).expect("a request");
    expect![[r#"
        {
          "hash": "80270e39ab5a8e50f949b1287e9432cef723e843964056ef04e1f185a4d3b301",
          "uid": "u1",
          "generation": 3,
          "requesters": [
            "alice"
          ],
          "at": "2026-01-06T12:00:00Z"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&request.claims).expect("JSON"));
    check(ask("alice", &[], None, &annotated(&[(AUTHORED_BY, " bob ")]), None), expect!["alice for bob"]);
    check(ask("alice", &[], None, &annotated(&[(AUTHORED_BY, "  ")]), None), expect!["alice"]);
}

#[test]
fn automation_names_the_author() {
    check(
        ask(ARGO, &[], None, &annotated(&[]), None),
        expect![
            "ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: system:serviceaccount:argocd:a applies changes written by others and must name the author: have the pipeline set the annotation from the commit"
        ],
    );
    check(
        ask(ARGO, &[], None, &annotated(&[(AUTHORED_BY, " ")]), None),
        expect![
            "ApprovalNotAllowed: metadata.annotations[eventcenter.io/authored-by]: system:serviceaccount:argocd:a applies changes written by others and must name the author: have the pipeline set the annotation from the commit"
        ],
    );
    check(
        ask(ARGO, &[], None, &annotated(&[(AUTHORED_BY, "Bob <bob@example.com>")]), None),
        expect!["system:serviceaccount:argocd:a for Bob <bob@example.com>"],
    );
}

#[test]
fn the_requester_of_a_further_change_is_added() {
    let before = waiting(&["alice"], &["carol"]);
    check(ask("bob", &[], None, &annotated(&[]), Some(&before)), expect!["alice, bob for carol"]);
    check(
        ask("bob", &[], None, &annotated(&[(AUTHORED_BY, "dave")]), Some(&before)),
        expect!["alice, bob for carol, dave"],
    );
    check(
        ask("alice", &[], None, &annotated(&[(AUTHORED_BY, "carol")]), Some(&before)),
        expect!["alice for carol"],
    );
    check(ask("bob", &[], None, &annotated(&[]), None), expect!["bob"]);
}

#[test]
fn requesters_and_authors_are_not_independent_approvers() {
    let request = waiting(&["alice", "system:serviceaccount:ci:a"], &["Carol <carol@example.com>"]);
    let mut table = String::new();
    for name in [
        "alice",
        "ALICE@example.com",
        "carol",
        "carol@example.org",
        "bob",
        "system:serviceaccount:ci:a",
        "system:serviceaccount:ci:b",
        "system:serviceaccount:cd:a",
    ] {
        table.push_str(&format!("{name}: {}\n", request.is_independent_of(name, &Rules::default())));
    }
    expect![[r#"
        alice: false
        ALICE@example.com: false
        carol: false
        carol@example.org: false
        bob: true
        system:serviceaccount:ci:a: false
        system:serviceaccount:ci:b: false
        system:serviceaccount:cd:a: true
    "#]]
    .assert_eq(&table);
    assert!(waiting(&[], &[]).is_independent_of("alice", &Rules::default()));
}

#[test]
fn glass_is_broken_in_the_very_request() {
    let burning = || annotated(&[(BREAK_GLASS, "it burns")]);
    check(
        ask("alice", &["oncall", "others"], None, &burning(), None),
        expect![[r#"alice; alice of ["oncall"] because it burns"#]],
    );
    check(
        ask("alice", &["oncall"], Some(&annotated(&[])), &burning(), None),
        expect![[r#"alice; alice of ["oncall"] because it burns"#]],
    );
    check(ask("alice", &["others"], None, &burning(), None), expect!["alice"]);
    check(ask("alice", &["oncall"], Some(&burning()), &burning(), None), expect!["alice"]);
    let padded = annotated(&[(BREAK_GLASS, " it burns ")]);
    check(ask("alice", &["oncall"], Some(&burning()), &padded, None), expect!["alice"]);
    let other = annotated(&[(BREAK_GLASS, "it still burns")]);
    check(
        ask("alice", &["oncall"], Some(&burning()), &other, None),
        expect![[r#"alice; alice of ["oncall"] because it still burns"#]],
    );
    check(ask("alice", &["oncall"], None, &annotated(&[(BREAK_GLASS, " ")]), None), expect!["alice"]);
}

#[test]
fn break_glass_applies_to_one_spec() {
    let mut before = waiting(&["alice"], &[]);
    before.claims.break_glass =
        Some(BreakGlass { by: "alice".into(), groups: groups(&["oncall"]), reason: "it burns".into() });
    let burning = annotated(&[(BREAK_GLASS, "it burns")]);
    check(ask("bob", &[], Some(&burning), &burning, Some(&before)), expect!["alice, bob"]);
}

#[test]
fn more_people_than_work_on_one_change() {
    let names: Vec<String> = (0..MAX_PEOPLE).map(|n| format!("user{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(
        ask("user0", &[], None, &annotated(&[]), Some(&waiting(&names, &[]))).map(|mut request| {
            request.claims.requesters.truncate(1);
            request
        }),
        expect!["user0"],
    );
    check(
        ask("one.more", &[], None, &annotated(&[]), Some(&waiting(&names, &[]))),
        expect![
            "ApprovalNotAllowed: spec: more than 32 people have changed the spec since it was last approved: withdraw the change (eventctl withdraw) and start again"
        ],
    );
    let (requesters, authors) = names.split_at(20);
    check(
        ask("one.more", &[], None, &annotated(&[]), Some(&waiting(requesters, authors))),
        expect![
            "ApprovalNotAllowed: spec: more than 32 people have changed the spec since it was last approved: withdraw the change (eventctl withdraw) and start again"
        ],
    );
}

/// The resource that a sealed request stands in, and which it is.
struct Stored {
    request: ChangeRequest,
    subject: Revisioned,
    hash: SpecHash,
}

fn stored() -> Stored {
    let request = ask("alice", &["oncall"], None, &annotated(&[(BREAK_GLASS, "it burns")]), None);
    Stored { request: request.expect("a request"), subject: orders(), hash: hash("new") }
}

/// As at the creation, before there is a uid.
fn created() -> Stored {
    let (mut subject, rules, hash) = (orders(), rules(RULES), hash("new"));
    (subject.uid, subject.generation, subject.created) = (None, 0, None);
    let requester = Requester { username: "alice", groups: &[] };
    let asked = RequestContext {
        subject: &subject,
        hash: &hash,
        requester,
        field_manager: None,
        rules: &rules,
        is_withdrawal: false,
        pending: None,
        now: at(0),
    };
    let request = seal_request(&asked, None, &annotated(&[]), &key('1')).expect("a request");
    (subject.uid, subject.generation, subject.created) = (Some("u1".into()), 1, Some(at(1)));
    Stored { request, subject, hash }
}

/// Whether it is believed after this was done to it.
fn is_believed(mut stored: Stored, tamper: impl FnOnce(&mut Stored)) -> bool {
    tamper(&mut stored);
    let resource = annotated(&[(REQUEST, &stored.request.to_annotation())]);
    let keys = PublicKeys::parse(&key('1').public_key());
    let verified = ChangeRequest::verified(&resource, &stored.subject, &stored.hash, &keys);
    assert!(verified.as_ref().is_none_or(|verified| *verified == stored.request));
    verified.is_some()
}

#[test]
fn seals_for_this_resource_are_trusted() {
    assert!(is_believed(stored(), |_| {}));
    assert!(is_believed(stored(), |stored| stored.subject.created = None));
}

#[test]
fn seals_for_other_resources_are_not_trusted() {
    assert!(!is_believed(stored(), |stored| stored.subject.uid = Some("u2".into())));
    assert!(!is_believed(stored(), |stored| stored.subject.uid = None));
    assert!(!is_believed(stored(), |stored| stored.subject.object.namespace = "other".into()));
    assert!(!is_believed(stored(), |stored| stored.subject.object.name = "other".into()));
    assert!(!is_believed(stored(), |stored| stored.hash = hash("other")));
}

#[test]
fn unsealed_annotations_are_not_trusted() {
    assert!(!is_believed(stored(), |stored| stored.request.seal = "v1.x.y".into()));
    assert!(!is_believed(stored(), |stored| {
        stored.request.seal = key('2').seal(&statement(&stored.subject.object, &stored.request.claims));
    }));
    assert!(!is_believed(stored(), |stored| stored.request.claims.requesters = groups(&["bob"])));
    assert!(!is_believed(stored(), |stored| stored.request.claims.authors = groups(&["bob"])));
    assert!(!is_believed(stored(), |stored| stored.request.claims.at = at(1)));
    assert!(!is_believed(stored(), |stored| stored.request.claims.break_glass = None));
    assert!(!is_believed(stored(), |stored| stored.request.claims.uid = None));
    assert!(!is_believed(stored(), |stored| {
        stored.request.claims.hash = hash("other").to_string();
        stored.hash = hash("other");
    }));
    let keys = PublicKeys::parse(&key('1').public_key());
    for text in ["", "{}", "nonsense", "{\"seal\": 1}"] {
        let resource = annotated(&[(REQUEST, text)]);
        assert_eq!(ChangeRequest::verified(&resource, &orders(), &hash("new"), &keys), None, "{text}");
    }
    assert_eq!(ChangeRequest::verified(&annotated(&[]), &orders(), &hash("new"), &keys), None);
}

/// Whoever kept the annotation puts it back, with the content that it speaks of, while the webhook is away.
#[test]
fn a_restored_spec_was_not_requested_again() {
    assert!(!is_believed(stored(), |stored| stored.subject.generation = 5));
    assert!(!is_believed(stored(), |stored| stored.subject.generation = 2));
    assert!(is_believed(stored(), |stored| stored.subject.generation = 4), "which takes two changes");
}

#[test]
fn a_seal_at_creation_is_trusted_for_a_resource_created_then() {
    let made = |seconds: i64| move |stored: &mut Stored| stored.subject.created = Some(at(seconds));
    assert!(is_believed(created(), |_| {}));
    assert!(is_believed(created(), made(60)));
    assert!(is_believed(created(), made(-60)));
    assert!(!is_believed(created(), made(61)), "made again");
    assert!(!is_believed(created(), made(-61)));
    assert!(!is_believed(created(), |stored| stored.subject.generation = 2));
    assert!(is_believed(created(), |stored| {
        (stored.subject.uid, stored.subject.generation, stored.subject.created) = (None, 0, None);
    }));
}

#[test]
fn participants_remain_known_after_later_changes() {
    let is_authentic = |stored: &Stored, subject: &Revisioned| {
        let resource = annotated(&[(REQUEST, &stored.request.to_annotation())]);
        ChangeRequest::authentic(&resource, subject, &PublicKeys::parse(&key('1').public_key())).is_some()
    };
    let mut later = orders();
    later.generation = 9;
    assert!(is_authentic(&stored(), &later));
    assert!(is_authentic(&created(), &Revisioned { created: Some(at(0)), ..later.clone() }));
    assert!(!is_authentic(&created(), &later), "made again under the same name");
    assert!(!is_authentic(&stored(), &Revisioned { uid: Some("u2".into()), ..later.clone() }));
    assert!(!is_authentic(
        &stored(),
        &Revisioned { object: ObjectRef::new::<EventTopic>("shop", "other"), ..later.clone() }
    ));
    let mut forged = stored();
    forged.request.claims.requesters = groups(&["bob"]);
    assert!(!is_authentic(&forged, &later));
}
