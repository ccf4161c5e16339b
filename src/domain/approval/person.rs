//! Names of people: user names that Kubernetes knows, and authors of commits.

/// A name without the parts that do not distinguish people.
///
/// The user name that Kubernetes knows depends on the authenticator, and a commit's author has yet another form: `alice`,
/// `Alice@example.com`, `oidc:alice@example.com` and `Alice Doe <alice@example.com>` differ only in such parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// The login, or the part of an address before the `@`, without a tag.
    pub local: String,
    /// The domain of an address, in lower case.
    pub domain: Option<String>,
    /// The whole login or address in lower case, without a tag. The number in an address that hides the real one stays.
    pub key: String,
}

impl PersonName {
    /// Parses any name. A malformed one gives something that at most its like resembles.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        let name = name.trim();
        // Names of the system are compared as they are.
        if name.starts_with(SYSTEM_PREFIX) {
            return Self { local: name.to_owned(), domain: None, key: name.to_owned() };
        }
        // The author of a commit: `Alice Doe <alice@example.com>`.
        let name = match (name.rfind('<'), name.ends_with('>')) {
            (Some(start), true) => &name[start + 1..name.len() - 1],
            _ => name,
        };
        // The prefix of an authenticator: `oidc:alice`, `https://issuer.example#alice`.
        let name = name.rsplit(['#', ':', '/', '\\']).next().unwrap_or(name).trim();
        let folded = name.to_lowercase();
        let Some((local, domain)) = folded.split_once('@') else {
            let local = without_tag(&folded);
            return Self { key: local.to_owned(), local: local.to_owned(), domain: None };
        };
        let domain = domain.trim().trim_end_matches('.').to_owned();
        let (local, mailbox) = match is_noreply_host(&domain) {
            true => (login_of_noreply(local), local.trim()),
            false => (without_tag(local), without_tag(local)),
        };
        Self { key: format!("{mailbox}@{domain}"), local: local.to_owned(), domain: Some(domain) }
    }

    /// Whether this is an address that does not tell whose it is, such as `1234+alice@users.noreply.github.com`.
    #[must_use]
    pub fn is_noreply(&self) -> bool {
        matches!(self.local.as_str(), "noreply" | "no-reply")
            || self.domain.as_deref().is_some_and(is_noreply_host)
    }
}

/// The namespace of a service account; `None` if the user is not a service account.
#[must_use]
pub fn service_account_namespace(username: &str) -> Option<&str> {
    service_account(username).map(|(namespace, _)| namespace)
}

/// The name of a service account without its namespace; `None` if the user is not a service account.
#[must_use]
pub fn service_account_name(username: &str) -> Option<&str> {
    service_account(username).map(|(_, name)| name)
}

/// The beginning of the names that Kubernetes reserves for itself.
pub const SYSTEM_PREFIX: &str = "system:";

fn service_account(username: &str) -> Option<(&str, &str)> {
    username.trim().strip_prefix("system:serviceaccount:")?.split_once(':')
}

fn is_noreply_host(domain: &str) -> bool {
    domain.split('.').any(|label| matches!(label, "noreply" | "no-reply"))
}

/// `1234+alice` and `1234-alice` are the login `alice` with the number of the account.
fn login_of_noreply(local: &str) -> &str {
    let login = local.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(['+', '-']);
    without_tag(login.unwrap_or(local))
}

/// `alice+work` has the mailbox of `alice`.
fn without_tag(local: &str) -> &str {
    local.split('+').next().unwrap_or(local).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn names_are_reduced_to_what_distinguishes_people() {
        let mut table = String::new();
        for name in [
            "alice",
            "ALICE ",
            "Alice@Example.com",
            "oidc:alice@example.com",
            "https://issuer.example/#alice",
            "EXAMPLE\\alice",
            "Alice Doe <alice@example.com>",
            "alice+ci@example.com",
            "alice@example.com.",
            "1234+alice@users.noreply.github.com",
            "1234-alice@users.noreply.gitlab.com",
            "alice@noreply.example.org",
            "noreply@github.com",
            "system:admin",
            "system:serviceaccount:argocd:a",
            "",
        ] {
            let person = PersonName::parse(name);
            let noreply = if person.is_noreply() { ", noreply" } else { "" };
            table.push_str(&format!("{name}: {} as {}{noreply}\n", person.local, person.key));
        }
        expect![[r#"
            alice: alice as alice
            ALICE : alice as alice
            Alice@Example.com: alice as alice@example.com
            oidc:alice@example.com: alice as alice@example.com
            https://issuer.example/#alice: alice as alice
            EXAMPLE\alice: alice as alice
            Alice Doe <alice@example.com>: alice as alice@example.com
            alice+ci@example.com: alice as alice@example.com
            alice@example.com.: alice as alice@example.com
            1234+alice@users.noreply.github.com: alice as 1234+alice@users.noreply.github.com, noreply
            1234-alice@users.noreply.gitlab.com: alice as 1234-alice@users.noreply.gitlab.com, noreply
            alice@noreply.example.org: alice as alice@noreply.example.org, noreply
            noreply@github.com: noreply as noreply@github.com, noreply
            system:admin: system:admin as system:admin
            system:serviceaccount:argocd:a: system:serviceaccount:argocd:a as system:serviceaccount:argocd:a
            :  as 
        "#]]
        .assert_eq(&table);
    }

    #[test]
    fn service_accounts_have_a_namespace_and_a_name() {
        assert_eq!(service_account_namespace("system:serviceaccount:argocd:a"), Some("argocd"));
        assert_eq!(service_account_name("system:serviceaccount:argocd:a"), Some("a"));
        assert_eq!(service_account_namespace("alice"), None);
        assert_eq!(service_account_name("system:admin"), None);
    }
}
