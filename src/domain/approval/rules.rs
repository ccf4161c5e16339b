//! What a tenant demands.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use jiff::{SignedDuration, Timestamp};

use super::person;
use crate::api::{self, ApprovalMode, GovernedChange, GovernedKind};
use crate::domain::Refusal;
use crate::domain::topic::quantity;

/// Which changes of a tenant's resources need whose approval. Without rules nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What becomes of a change until it is approved.
    pub mode: ApprovalMode,
    rules: Vec<Rule>,
    valid_for: SignedDuration,
    automation: BTreeSet<String>,
    robots: BTreeSet<String>,
    break_glass: BTreeSet<String>,
}

/// Which changes need how many approvals, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The changes.
    pub changes: BTreeSet<GovernedChange>,
    kinds: BTreeSet<GovernedKind>,
    /// How many different people have to approve.
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
        }
    }
}

impl Rules {
    /// Reads what a Tenant declares.
    ///
    /// # Errors
    /// A time that cannot be read.
    pub fn read(declared: Option<&api::Approval>) -> Result<Self, Refusal> {
        let Some(declared) = declared else { return Ok(Self::default()) };
        let text = declared.valid_for.as_deref().unwrap_or("7d");
        let valid_for = quantity::time(text).filter(|time| *time > 0).ok_or_else(|| {
            Refusal::at(
                Reason::InvalidResource,
                "spec.approval.validFor",
                format!(
                    "{text:?} is not a time that an approval can count: write a number and its \
                     unit (s, m, h, d or w), such as 7d"
                ),
            )
        })?;
        let set = |names: &[String]| names.iter().cloned().collect();
        let rules = declared.rules.iter().map(|rule| Rule {
            changes: rule.changes.iter().copied().collect(),
            kinds: rule.kinds.iter().copied().collect(),
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
        })
    }

    /// Whether changes of this kind may need approval at all.
    #[must_use]
    pub fn govern(&self, kind: GovernedKind) -> bool {
        self.rules.iter().any(|rule| rule.is_about(kind))
    }

    /// The rules that these changes of a resource touch.
    #[must_use]
    pub fn touched(&self, kind: GovernedKind, changes: &BTreeSet<GovernedChange>) -> Vec<&Rule> {
        let touches = |rule: &&Rule| {
            let any = rule.changes.contains(&GovernedChange::Any) && !changes.is_empty();
            rule.is_about(kind) && (any || !rule.changes.is_disjoint(changes))
        };
        self.rules.iter().filter(touches).collect()
    }

    /// All groups that any rule names.
    #[must_use]
    pub fn approvers(&self) -> BTreeSet<&str> {
        self.rules.iter().flat_map(|rule| &rule.groups).map(String::as_str).collect()
    }

    /// Those of a user's groups that the rules name, in order: nothing else of them is kept.
    #[must_use]
    pub fn of_interest(&self, groups: &[String]) -> Vec<String> {
        let named: BTreeSet<&str> =
            self.approvers().into_iter().chain(self.break_glass.iter().map(String::as_str)).collect();
        let kept: BTreeSet<&String> = groups.iter().filter(|group| named.contains(group.as_str())).collect();
        kept.into_iter().cloned().collect()
    }

    /// Whether a user applies what others have written.
    #[must_use]
    pub fn is_automation(&self, username: &str) -> bool {
        self.automation.contains(username)
    }

    /// Whether a user may approve as far as who it is goes: people may, and service accounts that are listed.
    #[must_use]
    pub fn is_admitted(&self, username: &str) -> bool {
        person::service_account(username).is_none() || self.robots.contains(username)
    }

    /// Whether somebody in these groups may have a change take effect at once.
    #[must_use]
    pub fn may_break_glass(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.break_glass.contains(group))
    }

    /// When a decision made then no longer counts.
    #[must_use]
    pub fn lapse(&self, at: Timestamp) -> Timestamp {
        at.checked_add(self.valid_for).unwrap_or(Timestamp::MAX)
    }
}

impl Rule {
    fn is_about(&self, kind: GovernedKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// What of a change this rule is about, for people.
    #[must_use]
    pub fn about(&self, changes: &BTreeSet<GovernedChange>) -> String {
        let named: Vec<String> = self
            .changes
            .iter()
            .filter(|change| changes.contains(*change))
            .map(|change| format!("{change:?}"))
            .collect();
        if named.is_empty() { "Any".into() } else { named.join(", ") }
    }

    /// Who may approve, for people.
    #[must_use]
    pub fn by_whom(&self) -> String {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        match groups.as_slice() {
            [one] => format!("group {one}"),
            several => format!("one of the groups {}", several.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
