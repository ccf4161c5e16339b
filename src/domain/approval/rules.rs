//! The approval rules of a tenant.

use std::collections::BTreeSet;
use std::fmt;

use eventcenter_sdk::Reason;
use jiff::{SignedDuration, Timestamp};

use super::identity::Identities;
use super::person;
use crate::api::{self, ApprovalMode, GovernedChange, Kind};
use crate::domain::Refusal;
use crate::domain::quantity;

/// Which changes of a tenant's resources need whose approval. The default has no rules, so that no change needs approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How the webhook treats a change that still needs approval.
    pub mode: ApprovalMode,
    rules: Vec<Rule>,
    valid_for: SignedDuration,
    automation: BTreeSet<String>,
    robots: BTreeSet<String>,
    break_glass: BTreeSet<String>,
    identities: Identities,
}

/// One rule: which changes need how many approvals, and from which groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The changes it covers.
    pub changes: BTreeSet<GovernedChange>,
    kinds: BTreeSet<Kind>,
    /// The number of different people who have to approve.
    pub approvals: usize,
    /// The groups whose members may approve.
    pub groups: BTreeSet<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: ApprovalMode::default(),
            rules: Vec::new(),
            valid_for: SignedDuration::from_hours(7 * 24),
            automation: BTreeSet::new(),
            robots: BTreeSet::new(),
            break_glass: BTreeSet::new(),
            identities: Identities::default(),
        }
    }
}

impl Rules {
    /// Parses `spec.approval` of a Tenant.
    ///
    /// # Errors
    /// `validFor` is not a duration, a rule names a kind whose changes need no approval, or an identity is ambiguous.
    pub fn parse(declared: Option<&api::Approval>) -> Result<Self, Refusal> {
        let Some(declared) = declared else { return Ok(Self::default()) };
        let text = declared.valid_for.as_deref().unwrap_or("7d");
        let valid_for = quantity::parse_millis(text).filter(|time| *time > 0).ok_or_else(|| {
            Refusal::at(
                Reason::InvalidResource,
                "spec.approval.validFor",
                format!(
                    "{text:?} is not a duration: write a number and its unit (s, m, h, d or w), such \
                     as 7d"
                ),
            )
        })?;
        for (index, rule) in declared.rules.iter().enumerate() {
            if let Some(kind) = rule.kinds.iter().find(|kind| !kind.is_governed()) {
                return Err(Refusal::at(
                    Reason::InvalidResource,
                    format!("spec.approval.rules[{index}].kinds"),
                    format!(
                        "changes of {kind}s need no approval: name another kind, or omit kinds to cover all"
                    ),
                ));
            }
        }
        let set = |names: &[String]| names.iter().cloned().collect();
        let rules = declared.rules.iter().map(|rule| Rule {
            changes: rule.changes.iter().copied().collect(),
            kinds: rule.kinds.iter().cloned().collect(),
            approvals: usize::try_from(rule.approvals).unwrap_or(1).max(1),
            groups: set(&rule.groups),
        });
        Ok(Self {
            mode: declared.mode,
            rules: rules.collect(),
            valid_for: SignedDuration::from_millis(valid_for),
            automation: set(&declared.automation),
            robots: set(&declared.robots),
            break_glass: set(&declared.break_glass),
            identities: Identities::parse(&declared.identities, &declared.automation)?,
        })
    }

    /// Whether a rule covers this kind.
    #[must_use]
    pub fn govern(&self, kind: &Kind) -> bool {
        self.rules.iter().any(|rule| rule.covers_kind(kind))
    }

    /// The rules that cover any of these changes of a resource.
    #[must_use]
    pub fn matching(&self, kind: &Kind, changes: &BTreeSet<GovernedChange>) -> Vec<&Rule> {
        let matches = |rule: &&Rule| {
            let any = rule.changes.contains(&GovernedChange::Any) && !changes.is_empty();
            rule.covers_kind(kind) && (any || !rule.changes.is_disjoint(changes))
        };
        self.rules.iter().filter(matches).collect()
    }

    /// The groups that any rule names.
    #[must_use]
    pub fn approver_groups(&self) -> BTreeSet<&str> {
        self.rules.iter().flat_map(|rule| &rule.groups).map(String::as_str).collect()
    }

    /// Those of a user's groups that the rules name, sorted. Other groups are not stored.
    #[must_use]
    pub fn relevant_groups(&self, groups: &[String]) -> Vec<String> {
        let named: BTreeSet<&str> =
            self.approver_groups().into_iter().chain(self.break_glass.iter().map(String::as_str)).collect();
        let relevant: BTreeSet<&String> =
            groups.iter().filter(|group| named.contains(group.as_str())).collect();
        relevant.into_iter().cloned().collect()
    }

    /// Whether a user applies changes written by others.
    #[must_use]
    pub fn is_automation(&self, username: &str) -> bool {
        self.automation.contains(username)
    }

    /// The users that apply changes written by others.
    pub fn automation(&self) -> impl Iterator<Item = &str> {
        self.automation.iter().map(String::as_str)
    }

    /// The people whom the tenant has declared with several names.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Whether a user is a person, or a service account that may approve.
    #[must_use]
    pub fn accepts_approver(&self, username: &str) -> bool {
        person::service_account_namespace(username).is_none() || self.robots.contains(username)
    }

    /// Whether a member of these groups may activate a change without approval.
    #[must_use]
    pub fn may_break_glass(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.break_glass.contains(group))
    }

    /// When an approval of this time expires.
    #[must_use]
    pub fn expiry(&self, approved_at: Timestamp) -> Timestamp {
        approved_at.checked_add(self.valid_for).unwrap_or(Timestamp::MAX)
    }
}

impl Rule {
    fn covers_kind(&self, kind: &Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(kind)
    }

    /// What these changes still lack by this rule, if that is so many approvals.
    #[must_use]
    pub fn missing(&self, changes: &BTreeSet<GovernedChange>, count: usize) -> Option<MissingApprovals> {
        let covered: Vec<GovernedChange> =
            self.changes.iter().filter(|change| changes.contains(*change)).copied().collect();
        let changes = if covered.is_empty() { vec![GovernedChange::Any] } else { covered };
        (count > 0).then(|| MissingApprovals {
            changes,
            count,
            groups: self.groups.iter().cloned().collect(),
        })
    }
}

/// The approvals that one rule still lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingApprovals {
    /// The changes that need them.
    pub changes: Vec<GovernedChange>,
    /// How many are missing.
    pub count: usize,
    /// The groups whose members can give them.
    pub groups: Vec<String>,
}

impl MissingApprovals {
    /// How many are missing and who can give them: `1 more from group approvers`.
    #[must_use]
    pub fn count_and_groups(&self) -> String {
        match self.groups.as_slice() {
            [one] => format!("{} more from group {one}", self.count),
            several => format!("{} more from one of the groups {}", self.count, several.join(", ")),
        }
    }
}

/// `ReduceRetention needs 1 more from group approvers`.
impl fmt::Display for MissingApprovals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<String> = self.changes.iter().map(|change| format!("{change:?}")).collect();
        let verb = if changes.len() == 1 { "needs" } else { "need" };
        write!(f, "{} {verb} {}", changes.join(", "), self.count_and_groups())
    }
}

#[cfg(test)]
mod tests;
