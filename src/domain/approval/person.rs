//! When two names are one person.

/// Whether two names may stand for the same person.
///
/// Kubernetes' name of a user depends on how the user logs in, and who wrote a commit is known by another name
/// again: `alice`, `Alice@example.com`, `oidc:alice@example.com` and `Alice Doe <alice@example.com>` are taken to be
/// one. Where it is not certain that two are different people, they are not: that costs another approver at
/// worst.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Name::read(one), Name::read(other));
    match (&one.domain, &other.domain) {
        (Some(a), Some(b)) => one.local == other.local && a == b,
        _ => one.local == other.local,
    }
}

/// The namespace of a service account; none if this is not the name of one.
#[must_use]
pub fn service_account(username: &str) -> Option<&str> {
    let (namespace, _) = username.trim().strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    Some(namespace)
}

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

struct Name {
    local: String,
    domain: Option<String>,
}

impl Name {
    fn read(name: &str) -> Self {
        let name = name.trim();
        // A service account is its whole name, to the letter.
        if name.starts_with("system:") {
            return Self { local: name.to_owned(), domain: None };
        }
        // A commit's author: `Alice Doe <alice@example.com>`.
        let name = match (name.rfind('<'), name.ends_with('>')) {
            (Some(start), true) => &name[start + 1..name.len() - 1],
            _ => name,
        };
        // What an authenticator puts in front: `oidc:alice`, `https://issuer.example#alice`.
        let name = name.rsplit(['#', ':', '/', '\\']).next().unwrap_or(name).trim();
        let folded = name.to_lowercase();
        match folded.split_once('@') {
            Some((local, domain)) => Self { local: plain(local), domain: Some(domain.trim().to_owned()) },
            None => Self { local: plain(&folded), domain: None },
        }
    }
}

/// `alice+work` has the mailbox of `alice`.
fn plain(local: &str) -> String {
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
            assert!(same(one, other) && same(other, one), "{one} is {other}");
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
            assert!(!same(one, other), "{one} is not {other}");
        }
    }

    #[test]
    fn service_accounts_have_a_namespace() {
        assert_eq!(service_account("system:serviceaccount:argocd:a"), Some("argocd"));
        assert_eq!(service_account("alice"), None);
    }
}
