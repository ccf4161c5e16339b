//! Authors, parsed.

use super::*;
use crate::domain::approval::testing::rules;
use expect_test::{Expect, expect};

const RULES: &str = "{rules: [{changes: [Any], groups: [approvers]}], \
                     automation: ['system:serviceaccount:argocd:argocd-application-controller', deployer@ci.example], \
                     identities: [{user: carol, aliases: [7+cdoe@users.noreply.github.com, 'cårol@shop.example']}]}";

/// Parses each line, escaped as in Rust.
fn check(authors: &[&str], expected: Expect) {
    let rules = rules(RULES);
    let lines = authors.iter().map(|text| match Author::parse(text, &rules) {
        Ok(author) => format!("{text:?}: {author}\n"),
        Err(error) => format!("{text:?}: {error}\n"),
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn one_person() {
    check(
        &[
            "Alice Doe <alice@example.com>",
            " Alice Doe <alice@example.com>\n",
            "alice@example.com",
            "<alice@example.com>",
            "alice",
            "a.b-c_d+tag@sub.example.com",
            "o'brien@example.com",
            "7",
            "Ålice Dœ (she) <alice@example.com>",
            "A\u{30A}lice <alice@example.com>",
            "\"Doe, Alice\" <alice@example.com>",
            "alice@example.com <Alice@example.com>",
        ],
        expect![[r#"
            "Alice Doe <alice@example.com>": Alice Doe <alice@example.com>
            " Alice Doe <alice@example.com>\n": Alice Doe <alice@example.com>
            "alice@example.com": alice@example.com
            "<alice@example.com>": <alice@example.com>
            "alice": alice
            "a.b-c_d+tag@sub.example.com": a.b-c_d+tag@sub.example.com
            "o'brien@example.com": o'brien@example.com
            "7": 7
            "Ålice Dœ (she) <alice@example.com>": Ålice Dœ (she) <alice@example.com>
            "A\u{30a}lice <alice@example.com>": Ålice <alice@example.com>
            "\"Doe, Alice\" <alice@example.com>": "Doe, Alice" <alice@example.com>
            "alice@example.com <Alice@example.com>": alice@example.com <Alice@example.com>
        "#]],
    );
}

#[test]
fn lists() {
    check(
        &[
            "alice@example.com, bob@example.com",
            "alice,bob",
            "alice;bob",
            "Alice <alice@example.com>, Bob <bob@example.com>",
            "Alice <alice@example.com> Bob <bob@example.com>",
            "bob@example.com, Alice <alice@example.com>",
            "bob@example.com <alice@example.com>",
            "Alice <alice@example.com,bob@example.com>",
            "\"Doe\", \"Alice\" <alice@example.com>",
            "Alice <alice@example.com>,",
            "Alice <<alice@example.com>>",
        ],
        expect![[r#"
            "alice@example.com, bob@example.com": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "alice,bob": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "alice;bob": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "Alice <alice@example.com>, Bob <bob@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "Alice <alice@example.com> Bob <bob@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "bob@example.com, Alice <alice@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "bob@example.com <alice@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "Alice <alice@example.com,bob@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "\"Doe\", \"Alice\" <alice@example.com>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
            "Alice <alice@example.com>,": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Alice <<alice@example.com>>": it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display name with a comma is quoted)
        "#]],
    );
}

#[test]
fn neither_form() {
    check(
        &[
            "",
            " ",
            "Alice Doe",
            "Alice Doe <>",
            "Alice <alice@example.com",
            "alice@example.com>",
            "Alice <alice@example.com> x",
            "Al>ice <alice@example.com>",
            "<alice @example.com>",
        ],
        expect![[r#"
            "": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            " ": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Alice Doe": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Alice Doe <>": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Alice <alice@example.com": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "alice@example.com>": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Alice <alice@example.com> x": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "Al>ice <alice@example.com>": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
            "<alice @example.com>": it has neither form of an author: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice
        "#]],
    );
    assert_eq!(Author::parse(&"a".repeat(513), &Rules::default()), Err(AuthorError::TooLong));
}

#[test]
fn invisible_characters() {
    check(
        &[
            "ali\u{200B}ce@example.com",
            "ali\u{200D}ce",
            "Alice\u{202E} <alice@example.com>",
            "Ali\u{AD}ce <alice@example.com>",
            "\u{FEFF}alice",
            "ali\u{0}ce",
            "alice\nbob",
            "alice\u{A0}bob",
            "alice\u{3164}",
            "alice\u{E0041}",
            "alice\u{2028}",
            "alice\u{FE0F}",
        ],
        expect![[r#"
            "ali\u{200b}ce@example.com": it contains the invisible character U+200B: remove it, or write the address alone
            "ali\u{200d}ce": it contains the invisible character U+200D: remove it, or write the address alone
            "Alice\u{202e} <alice@example.com>": it contains the invisible character U+202E: remove it, or write the address alone
            "Ali\u{ad}ce <alice@example.com>": it contains the invisible character U+00AD: remove it, or write the address alone
            "\u{feff}alice": it contains the invisible character U+FEFF: remove it, or write the address alone
            "ali\0ce": it contains the invisible character U+0000: remove it, or write the address alone
            "alice\nbob": it contains the invisible character U+000A: remove it, or write the address alone
            "alice\u{a0}bob": it contains the invisible character U+00A0: remove it, or write the address alone
            "aliceㅤ": it contains the invisible character U+3164: remove it, or write the address alone
            "alice\u{e0041}": it contains the invisible character U+E0041: remove it, or write the address alone
            "alice\u{2028}": it contains the invisible character U+2028: remove it, or write the address alone
            "alice\u{fe0f}": it contains the invisible character U+FE0F: remove it, or write the address alone
        "#]],
    );
}

#[test]
fn addresses_and_logins_of_nobody() {
    check(
        &[
            "ålice@example.com",
            "a\u{30A}lice@example.com",
            "alice@exаmple.com",
            "alice@example.com.",
            "alice.",
            ".alice",
            "al..ice",
            "alice@",
            "@example.com",
            "-",
            "Alice <->",
            "+tag@example.com",
            "alice@-",
            "alice@one@two",
            "alice/bob",
            "alice|bob",
            "alice&bob",
            "alice/carol",
            "alice:7+cdoe@users.noreply.github.com",
            "oidc:alice",
            "alice@[127.0.0.1]",
            "root@host.(none)",
            "system:admin",
            "System:serviceaccount:ci:bot",
            "CI <system:serviceaccount:ci:bot>",
        ],
        expect![[r#"
            "ålice@example.com": its address or login contains 'å': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "a\u{30a}lice@example.com": its address or login contains '\u{30a}': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice@exаmple.com": its address or login contains 'а': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice@example.com.": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "alice.": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            ".alice": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "al..ice": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "alice@": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "@example.com": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "-": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "Alice <->": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "+tag@example.com": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "alice@-": its address or login is incomplete: write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, with a letter or digit around every dot
            "alice@one@two": its address or login contains '@': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice/bob": its address or login contains '/': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice|bob": its address or login contains '|': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice&bob": its address or login contains '&': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice/carol": its address or login contains '/': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice:7+cdoe@users.noreply.github.com": its address or login contains ':': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "oidc:alice": its address or login contains ':': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "alice@[127.0.0.1]": its address or login contains '[': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "root@host.(none)": its address or login contains '(': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "system:admin": it is a user of Kubernetes itself and no person: name the author of the commit
            "System:serviceaccount:ci:bot": it is a user of Kubernetes itself and no person: name the author of the commit
            "CI <system:serviceaccount:ci:bot>": it is a user of Kubernetes itself and no person: name the author of the commit
        "#]],
    );
}

#[test]
fn noreply_addresses_and_automation() {
    check(
        &[
            "12345+alice@users.noreply.github.com",
            "alice@users.noreply.github.com",
            "12345-alice@users.noreply.gitlab.com",
            "alice@noreply.codeberg.org",
            "alice@NoReply.example.org",
            "GitHub <noreply@github.com>",
            "49699333+dependabot[bot]@users.noreply.github.com",
            "7+cdoe@users.noreply.github.com",
            "Carol <7+CDoe@users.noreply.github.com>",
            "8+cdoe@users.noreply.github.com",
            "cårol@shop.example",
            "carol@users.noreply.github.com",
            "argocd-application-controller",
            "Argo <argocd-application-controller@example.com>",
            "system:serviceaccount:argocd:argocd-application-controller",
            "deployer@ci.example",
            "deployer",
        ],
        expect![[r#"
            "12345+alice@users.noreply.github.com": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "alice@users.noreply.github.com": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "12345-alice@users.noreply.gitlab.com": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "alice@noreply.codeberg.org": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "alice@NoReply.example.org": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "GitHub <noreply@github.com>": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "49699333+dependabot[bot]@users.noreply.github.com": its address or login contains '[': write one name, as in Alice Doe <alice@example.com>, alice@example.com or alice, in ASCII letters, digits and . _ + - ' = ~, or list the name as an alias in spec.approval.identities of the Tenant
            "7+cdoe@users.noreply.github.com": 7+cdoe@users.noreply.github.com
            "Carol <7+CDoe@users.noreply.github.com>": Carol <7+CDoe@users.noreply.github.com>
            "8+cdoe@users.noreply.github.com": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "cårol@shop.example": cårol@shop.example
            "carol@users.noreply.github.com": a noreply address does not tell whose it is: commit with another address, or list this one as an alias in spec.approval.identities of the Tenant
            "argocd-application-controller": it is a name of automation (spec.approval.automation) and no person: have the pipeline name the author of the commit
            "Argo <argocd-application-controller@example.com>": it is a name of automation (spec.approval.automation) and no person: have the pipeline name the author of the commit
            "system:serviceaccount:argocd:argocd-application-controller": it is a user of Kubernetes itself and no person: name the author of the commit
            "deployer@ci.example": it is a name of automation (spec.approval.automation) and no person: have the pipeline name the author of the commit
            "deployer": it is a name of automation (spec.approval.automation) and no person: have the pipeline name the author of the commit
        "#]],
    );
}

proptest::proptest! {
    /// No text makes the parser fail otherwise, and an accepted one is one line of at most one address.
    #[test]
    fn any_text_is_parsed(text in "\\PC{0,40}|[a-c<>@,;.+\" \u{200B}-]{0,24}") {
        if let Ok(author) = Author::parse(&text, &rules(RULES)) {
            let author = author.to_string();
            assert!(author.matches('<').count() <= 1 && author.matches('>').count() <= 1, "{author:?}");
            assert_eq!(Author::parse(&author, &rules(RULES)).map(|again| again.to_string()), Ok(author));
        }
    }
}
