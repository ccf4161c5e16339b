//! Names compared, with and without declared identities.

use super::*;
use expect_test::{Expect, expect};

fn identities(yaml: &str) -> Identities {
    parse(yaml).expect("identities")
}

fn parse(yaml: &str) -> Result<Identities, Refusal> {
    let declared: Vec<api::Identity> = serde_yaml::from_str(yaml).expect("identities");
    Identities::parse(
        &declared,
        &["system:serviceaccount:argocd:a".to_owned(), "Renovate@ci.example".to_owned()],
    )
}

#[test]
fn one_person_under_two_spellings() {
    for (one, other) in [
        ("alice", "alice"),
        ("alice", "ALICE"),
        ("alice ", "alice"),
        ("alice@example.com", "Alice@Example.com"),
        ("alice@example.com", "alice@example.org"),
        ("oidc:alice@example.com", "alice@example.com"),
        ("https://issuer.example/#alice", "alice"),
        ("Alice Doe <alice@gmail.example>", "alice@shop.example"),
        ("Alice Doe <alice@example.com>", "alice"),
        ("alice+ci@example.com", "alice@example.com"),
        ("EXAMPLE\\alice", "alice"),
        ("12345+alice@users.noreply.github.com", "alice@shop.example"),
        ("system:serviceaccount:argocd:a", "system:serviceaccount:argocd:a"),
    ] {
        let none = Identities::default();
        assert!(none.may_be_same(one, other) && none.may_be_same(other, one), "{one} is {other}");
    }
}

#[test]
fn two_people() {
    for (one, other) in [
        ("alice", "bob"),
        ("alice@example.com", "bob@example.com"),
        ("alice", "alice2"),
        ("system:serviceaccount:argocd:a", "system:serviceaccount:argocd:b"),
        ("system:serviceaccount:argocd:alice", "alice"),
        ("system:admin", "admin"),
    ] {
        let none = Identities::default();
        assert!(!none.may_be_same(one, other) && !none.may_be_same(other, one), "{one} is not {other}");
    }
}

#[test]
fn declared_names_are_one_person() {
    let identities = identities(
        "[{user: alice@shop.example, aliases: [7+adoe@users.noreply.github.com, al@home.example]}, {user: alice@bank.example}]",
    );
    let names = [
        "oidc:Alice@shop.example",
        "7+adoe@users.noreply.github.com",
        "Al <al@home.example>",
        "alice@bank.example",
        "alice@gmail.example",
        "alice",
        "adoe",
        "8+adoe@users.noreply.github.com",
        "bob",
    ];
    let mut table = String::new();
    for (index, one) in names.iter().enumerate() {
        let same = names[index + 1..].iter().filter(|other| {
            assert_eq!(identities.may_be_same(one, other), identities.may_be_same(other, one));
            identities.may_be_same(one, other)
        });
        let same: Vec<&str> = same.copied().collect();
        table.push_str(&format!("{one}: {}\n", same.join(", ")));
    }
    expect![[r#"
        oidc:Alice@shop.example: 7+adoe@users.noreply.github.com, Al <al@home.example>, alice@gmail.example, alice, adoe, 8+adoe@users.noreply.github.com
        7+adoe@users.noreply.github.com: Al <al@home.example>, alice@gmail.example, alice, adoe, 8+adoe@users.noreply.github.com
        Al <al@home.example>: alice@gmail.example, alice, adoe, 8+adoe@users.noreply.github.com
        alice@bank.example: alice@gmail.example, alice
        alice@gmail.example: alice
        alice: 
        adoe: 8+adoe@users.noreply.github.com
        8+adoe@users.noreply.github.com: 
        bob: 
    "#]].assert_eq(&table);
}

#[test]
fn exactly_the_declared_addresses_are_contained() {
    let identities =
        identities("[{user: 'oidc:alice', aliases: [Al <Al+1@home.example>, 7+x@users.noreply.github.com]}]");
    for name in ["alice", "Alice", "al@home.example", "7+X@users.noreply.github.com"] {
        assert!(identities.contains(name), "{name}");
    }
    for name in
        ["bob/alice", "bob:alice", "alice+bob", "<alice>", "x@users.noreply.github.com", "alice@home.example"]
    {
        assert!(!identities.contains(name), "{name}");
    }
}

#[test]
fn a_name_belongs_to_one_person() {
    let check = |yaml: &str, expected: Expect| {
        expected.assert_eq(&match parse(yaml) {
            Ok(_) => "accepted".into(),
            Err(refusal) => refusal.to_string(),
        });
    };
    check("[{user: a, aliases: [b, c]}, {user: d}]", expect!["accepted"]);
    check("[{user: a, aliases: [A, oidc:a]}]", expect!["accepted"]);
    check(
        "[{user: a, aliases: [x@one.example]}, {user: b, aliases: [X <x@One.example>]}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[1].aliases[0]: "X <x@One.example>" is already a name in spec.approval.identities[0], and a name belongs to one person: remove it from one of the two, or make them one entry"#
        ]],
    );
    check(
        "[{user: a, aliases: [b]}, {user: b}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[1].user: "b" is already a name in spec.approval.identities[0], and a name belongs to one person: remove it from one of the two, or make them one entry"#
        ]],
    );
    check(
        "[{user: b}, {user: a, aliases: [c, 'oidc:b']}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[1].aliases[1]: "oidc:b" is already a name in spec.approval.identities[0], and a name belongs to one person: remove it from one of the two, or make them one entry"#
        ]],
    );
    check(
        "[{user: a}, {user: 'ldap:a'}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[1].user: "ldap:a" is already a name in spec.approval.identities[0], and a name belongs to one person: remove it from one of the two, or make them one entry"#
        ]],
    );
    check(
        "[{user: ' '}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[0].user: " " is no name: write a user name or the address of an author"#
        ]],
    );
    check(
        "[{user: a, aliases: ['<>']}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[0].aliases[0]: "<>" is no name: write a user name or the address of an author"#
        ]],
    );
    check(
        "[{user: 'system:admin'}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[0].user: "system:admin" is a name of Kubernetes itself: name a person"#
        ]],
    );
    check(
        "[{user: a, aliases: ['system:serviceaccount:argocd:a']}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[0].aliases[0]: "system:serviceaccount:argocd:a" is listed in spec.approval.automation and so is no person: remove it from one of the two lists"#
        ]],
    );
    check(
        "[{user: renovate@ci.example}]",
        expect![[
            r#"InvalidResource: spec.approval.identities[0].user: "renovate@ci.example" is listed in spec.approval.automation and so is no person: remove it from one of the two lists"#
        ]],
    );
    check("[{user: a, aliases: ['system:serviceaccount:alice:cli']}]", expect!["accepted"]);
}
