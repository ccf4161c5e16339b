//! Which user names may belong to the same person.

/// Whether two names may belong to the same person.
///
/// The user name that Kubernetes knows depends on the authenticator, and a commit's author has yet another form: `alice`,
/// `Alice@example.com`, `oidc:alice@example.com` and `Alice Doe <alice@example.com>` count as one person. In doubt two names
/// are one person, which at worst requires another approver.
#[must_use]
pub fn may_be_same(one: &str, other: &str) -> bool {
    let (one, other) = (PersonName::parse(one), PersonName::parse(other));
    match (&one.domain, &other.domain) {
        (Some(a), Some(b)) => one.local == other.local && a == b,
        _ => one.local == other.local,
    }
}

/// The namespace of a service account; `None` if the user is not a service account.
#[must_use]
pub fn service_account_namespace(username: &str) -> Option<&str> {
    let (namespace, _) = username.trim().strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')?;
    Some(namespace)
}

const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A name without the parts that do not distinguish people.
struct PersonName {
    local: String,
    domain: Option<String>,
}

impl PersonName {
    fn parse(name: &str) -> Self {
        let name = name.trim();
        // Names of the system are compared as they are.
        if name.starts_with("system:") {
            return Self { local: name.to_owned(), domain: None };
        }
        // The author of a commit: `Alice Doe <alice@example.com>`.
        let name = match (name.rfind('<'), name.ends_with('>')) {
            (Some(start), true) => &name[start + 1..name.len() - 1],
            _ => name,
        };
        // The prefix of an authenticator: `oidc:alice`, `https://issuer.example#alice`.
        let name = name.rsplit(['#', ':', '/', '\\']).next().unwrap_or(name).trim();
        let folded = name.to_lowercase();
        match folded.split_once('@') {
            Some((local, domain)) => Self { local: strip_tag(local), domain: Some(domain.trim().to_owned()) },
            None => Self { local: strip_tag(&folded), domain: None },
        }
    }
}

/// `alice+work` has the mailbox of `alice`.
fn strip_tag(local: &str) -> String {
    local.split('+').next().unwrap_or(local).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_under_two_spellings() {
        for (one, other) in [
            ("alice", "alice"),
            ("alice", "ALICE"),
            ("alice ", "alice"),
            ("alice@example.com", "Alice@Example.com"),
            ("oidc:alice@example.com", "alice@example.com"),
            ("https://issuer.example/#alice", "alice"),
            ("Alice Doe <alice@example.com>", "alice@example.com"),
            ("Alice Doe <alice@example.com>", "alice"),
            ("alice+ci@example.com", "alice@example.com"),
            ("EXAMPLE\\alice", "alice"),
            ("system:serviceaccount:argocd:a", "system:serviceaccount:argocd:a"),
        ] {
            assert!(may_be_same(one, other) && may_be_same(other, one), "{one} is {other}");
        }
    }

    #[test]
    fn two_people() {
        for (one, other) in [
            ("alice", "bob"),
            ("alice@example.com", "alice@example.org"),
            ("alice", "alice2"),
            ("system:serviceaccount:argocd:a", "system:serviceaccount:argocd:b"),
            ("system:serviceaccount:argocd:alice", "alice"),
            ("system:admin", "admin"),
        ] {
            assert!(!may_be_same(one, other), "{one} is not {other}");
        }
    }

    #[test]
    fn service_accounts_have_a_namespace() {
        assert_eq!(service_account_namespace("system:serviceaccount:argocd:a"), Some("argocd"));
        assert_eq!(service_account_namespace("alice"), None);
    }
}
