//! What the tasks of a tenant may use.

use std::collections::BTreeSet;

use eventcenter_sdk::name::TenantName;

use crate::api;
use crate::domain::callback::HostPolicy;

/// The ServiceAccount that every namespace has, which a pod uses that names none.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// What the tasks of a tenant may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRules {
    /// Name of the tenant.
    pub tenant: TenantName,
    /// Patterns of images; empty allows all.
    pub images: Vec<String>,
    /// ServiceAccounts, besides `default` for pods.
    pub service_accounts: BTreeSet<String>,
    /// Maximum number of concurrent runs; `None` is unlimited.
    pub concurrent_runs: Option<usize>,
    /// The hosts that calls may reach.
    pub hosts: HostPolicy,
}

impl TaskRules {
    /// Reads `spec.tasks` of a Tenant.
    #[must_use]
    pub fn of(tenant: TenantName, declared: Option<&api::TaskLimits>, hosts: HostPolicy) -> Self {
        let declared = declared.cloned().unwrap_or_default();
        Self {
            tenant,
            images: declared.images,
            service_accounts: declared.service_accounts.into_iter().collect(),
            concurrent_runs: declared.concurrent_runs.and_then(|limit| usize::try_from(limit).ok()),
            hosts,
        }
    }

    /// Whether a pod may use a ServiceAccount.
    #[must_use]
    pub fn allows_service_account_of_pod(&self, name: &str) -> bool {
        name == DEFAULT_SERVICE_ACCOUNT || self.allows_service_account(name)
    }

    /// Whether the tenant lists a ServiceAccount.
    #[must_use]
    pub fn allows_service_account(&self, name: &str) -> bool {
        self.service_accounts.contains(name)
    }

    /// Whether a container may use an image.
    #[must_use]
    pub fn allows_image(&self, image: &str) -> bool {
        self.images.is_empty() || self.images.iter().any(|pattern| matches_pattern(pattern, image))
    }
}

/// Whether a text matches a pattern, in which each `*` stands for any characters.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    // The last piece is at the end; the earliest place of each of the others leaves most for those behind it.
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(place) => text = &text[place + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, expected) in [
            ("busybox", "busybox", true),
            ("busybox", "busybox:1", false),
            ("busybox:*", "busybox:1", true),
            ("registry.example.com/shop/*", "registry.example.com/shop/a:1", true),
            ("registry.example.com/shop/*", "registry.example.com/other/a", false),
            ("*/shop/*@sha256:*", "r.example.com/shop/a@sha256:ab", true),
            ("*/shop/*@sha256:*", "r.example.com/shop/a:1", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*", "", true),
            ("a*b*b", "ab", false),
        ] {
            assert_eq!(matches_pattern(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn an_empty_list_allows_every_image_and_the_default_account_only() {
        let rules = crate::domain::task::testing::rules();
        assert!(rules.allows_image("anything"));
        assert!(rules.allows_service_account_of_pod("default") && !rules.allows_service_account("default"));
    }
}
