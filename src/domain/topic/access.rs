//! Access to a Kafka topic: which ACLs to create and which to delete.
//!
//! The operator owns the ACLs listed in `status.acls`. An ACL is listed there before it is created, so that none is left
//! behind if the operator stops in between. All other ACLs are foreign: they are reported and never changed.

use std::collections::BTreeSet;
use std::fmt;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::TopicName;

use super::Identity;
use super::plan::Drift;
use crate::api::{AccessOperation, DriftAction, DriftPolicy, EventTopic, TopicAcl};
use crate::domain::condition;
use crate::domain::management::ManagementMode;
use crate::domain::tenant::TenantFacts;
use crate::domain::{Failure, Refusal};

/// Condition: whether Kafka has the ACLs that `spec.access` declares. Absent if none are declared.
pub const ACCESS_IN_FORCE: &str = "AccessInForce";

/// Maximum number of ACLs per resource. The status lists each of them, and Kubernetes stores at most 1.5 MiB.
pub const MAX_ACLS: usize = 1_000;

/// Maximum number of foreign ACLs in a status.
const MAX_FOREIGN_ACLS: usize = 20;

/// The resource of an ACL (KIP-290).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourcePattern {
    /// One topic.
    Topic(String),
    /// One consumer group.
    Group(String),
    /// All consumer groups with this prefix.
    PrefixedGroup(String),
}

impl ResourcePattern {
    /// The consumer groups of a declaration: all with a prefix if it ends in `*`.
    #[must_use]
    pub fn group(declared: &str) -> Self {
        match declared.strip_suffix('*') {
            Some(prefix) => Self::PrefixedGroup(prefix.to_owned()),
            None => Self::Group(declared.to_owned()),
        }
    }
}

/// An ACL in Kafka.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclBinding {
    /// The resource.
    pub resource: ResourcePattern,
    /// The principal, such as `User:billing`.
    pub principal: String,
    /// The client's host; `*` for any.
    pub host: String,
    /// Kafka's name of the operation.
    pub operation: String,
    /// Whether it allows or denies the operation.
    pub allows: bool,
}

impl AclBinding {
    /// The ACL in Kafka for a declared one of this topic.
    #[must_use]
    pub fn of(ours: &TopicAcl, topic: &TopicName) -> Self {
        let resource = match &ours.group {
            Some(group) => ResourcePattern::group(group),
            None => ResourcePattern::Topic(topic.to_string()),
        };
        Self {
            resource,
            principal: ours.principal.clone(),
            host: "*".into(),
            operation: operation_name(ours.operation).into(),
            allows: true,
        }
    }
}

impl fmt::Display for AclBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allows { "Allow" } else { "Deny" };
        write!(f, "{} {verb} {} from {}", self.principal, self.operation, self.host)
    }
}

fn operation_name(operation: AccessOperation) -> &'static str {
    match operation {
        AccessOperation::Read => "Read",
        AccessOperation::Write => "Write",
        AccessOperation::Describe => "Describe",
        AccessOperation::DescribeConfigs => "DescribeConfigs",
    }
}

/// The ACLs that a resource declares. In Kafka, Read and Write imply Describe, so nothing is added.
#[must_use]
pub fn declared_acls(topic: &EventTopic) -> BTreeSet<TopicAcl> {
    let one = |principal: &str, operation, group| TopicAcl { principal: principal.into(), operation, group };
    let access = topic.spec.access.iter().flat_map(|access| {
        let on_topic = access.operations.iter().map(|operation| one(&access.principal, *operation, None));
        let groups = access
            .groups
            .iter()
            .map(|group| one(&access.principal, AccessOperation::Read, Some(group.clone())));
        on_topic.chain(groups)
    });
    access.collect()
}

/// Checks what the API server cannot check of `spec.access`: a group without the tenant's prefix could give access to
/// another tenant's consumer group.
///
/// # Errors
/// The first violated rule, with the remedy.
pub fn check(topic: &EventTopic, tenant: &TenantFacts) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::at(Reason::InvalidResource, "spec.access", detail));
    for access in &topic.spec.access {
        let principal = &access.principal;
        if principal.contains('\0') {
            return invalid(
                "a principal contains a NUL character, which Kafka does not accept: remove it".into(),
            );
        }
        if let Some(group) = access.groups.iter().find(|group| !has_prefix(group, tenant)) {
            return invalid(format!(
                "group {group} of {principal} does not begin with {}, the prefix of tenant {}, so it \
                 could be another tenant's: write {}{group}, or remove it",
                tenant.prefix, tenant.name, tenant.prefix
            ));
        }
    }
    match declared_acls(topic).len() {
        number if number > MAX_ACLS => invalid(format!(
            "{number} ACLs exceed the maximum of {MAX_ACLS}: use group prefixes (a trailing `*`), or grant access to fewer users in this resource"
        )),
        _ => Ok(()),
    }
}

fn has_prefix(group: &str, tenant: &TenantFacts) -> bool {
    group.starts_with(tenant.prefix.as_ref())
}

/// Warnings about settings that are allowed but rarely intended.
#[must_use]
pub fn warnings(topic: &EventTopic) -> Vec<String> {
    let everybody = topic.spec.access.iter().filter(|access| access.principal == "User:*");
    everybody
        .map(|access| {
            let operations: Vec<_> = access.operations.iter().map(|operation| operation_name(*operation)).collect();
            format!(
                "spec.access: User:* allows {} to every authenticated Kafka user: list the users, unless this is intended",
                operations.join(", ")
            )
        })
        .collect()
}

/// The ACLs in the status that the operator owns. The status gives no right to names without the tenant's prefix,
/// whichever client wrote it.
#[must_use]
pub fn owned_acls(topic: &EventTopic, tenant: &TenantFacts) -> BTreeSet<TopicAcl> {
    let acls = topic.status.iter().flat_map(|status| &status.acls);
    let can_be_sent = |text: &str| text.len() <= 255 && !text.contains('\0');
    acls.filter(|acl| {
        can_be_sent(&acl.principal)
            && acl.group.as_deref().is_none_or(|group| can_be_sent(group) && has_prefix(group, tenant))
    })
    .cloned()
    .collect()
}

/// Whether a resource declares ACLs or owns some.
#[must_use]
pub fn manages_access(topic: &EventTopic) -> bool {
    !topic.spec.access.is_empty() || topic.status.as_ref().is_some_and(|status| !status.acls.is_empty())
}

/// Whether the access of the current generation was applied before.
#[must_use]
pub fn is_applied(topic: &EventTopic) -> bool {
    let conditions = topic.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    condition::find(conditions, ACCESS_IN_FORCE).is_some_and(|access| {
        access.observed_generation == topic.metadata.generation
            && (access.status == "True" || access.reason == Reason::Drifted.as_str())
    })
}

/// The input of [`plan()`].
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Kafka topic.
    pub topic: &'a TopicName,
    /// The ACLs in Kafka: those of the topic, and those of the declared and owned groups.
    pub existing: &'a BTreeSet<AclBinding>,
    /// The ACLs that the operator owns.
    pub owned: &'a BTreeSet<TopicAcl>,
    /// Whether the current generation was applied before. Then a missing ACL is drift.
    pub is_applied: bool,
    /// Whether `existing` is up to date. False shortly after a change, because brokers may still return the old state.
    pub is_settled: bool,
}

/// Changes of ACLs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// ACLs to create.
    pub create: BTreeSet<TopicAcl>,
    /// ACLs to delete.
    pub delete: BTreeSet<TopicAcl>,
    /// ACLs to list in the status before the changes.
    pub status_before: BTreeSet<TopicAcl>,
    /// ACLs to list in the status after the changes.
    pub status_after: BTreeSet<TopicAcl>,
    /// Foreign ACLs of the topic. `None` if that is unknown.
    pub foreign: Option<Vec<String>>,
    /// Drift, if there is any.
    pub drift: Option<Drift>,
}

/// Compares the declared ACLs with those in Kafka. The ACL of a consumer group that another resource uses is not
/// deleted.
#[must_use]
pub fn plan(
    declared: &BTreeSet<TopicAcl>,
    policy: DriftPolicy,
    facts: &Facts<'_>,
    is_wanted_elsewhere: impl Fn(&TopicAcl) -> bool,
) -> Plan {
    let Facts { topic, existing, owned, is_applied, is_settled } = *facts;
    let exists = |acl: &TopicAcl| existing.contains(&AclBinding::of(acl, topic));
    let mut create: BTreeSet<_> =
        declared.iter().filter(|acl| !is_settled || !exists(acl)).cloned().collect();
    // Unless the state is settled, an ACL that is not returned may still exist.
    let is_already_deleted = |acl: &TopicAcl| is_settled && !exists(acl);
    let is_shared = |acl: &TopicAcl| acl.group.is_some() && is_wanted_elsewhere(acl);
    let delete = owned
        .difference(declared)
        .filter(|acl| !is_already_deleted(acl) && !is_shared(acl))
        .cloned()
        .collect();
    let mut drift = None;
    if is_applied && is_settled && !create.is_empty() {
        let action = match policy {
            DriftPolicy::Correct => DriftAction::Corrected,
            DriftPolicy::Report => DriftAction::Reported,
        };
        drift = Some(Drift {
            action,
            recreated: None,
            differences: create.iter().map(describe_missing).collect(),
        });
        if action == DriftAction::Reported {
            create.clear();
        }
    }
    let known: BTreeSet<AclBinding> = owned.union(declared).map(|acl| AclBinding::of(acl, topic)).collect();
    let foreign = existing
        .difference(&known)
        .filter(|acl| matches!(&acl.resource, ResourcePattern::Topic(name) if name == topic.as_ref()))
        .map(ToString::to_string);
    Plan {
        create,
        delete,
        status_before: owned.union(declared).cloned().collect(),
        status_after: declared.clone(),
        foreign: is_settled.then(|| foreign.take(MAX_FOREIGN_ACLS).collect()),
        drift,
    }
}

fn describe_missing(acl: &TopicAcl) -> String {
    match &acl.group {
        None => format!("{} lost {}: its ACL was deleted", acl.principal, operation_name(acl.operation)),
        Some(group) => format!("{} lost group {group}: its ACL was deleted", acl.principal),
    }
}

/// The result of reconciling access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessReport {
    /// The ACLs that the operator owns.
    pub acls: BTreeSet<TopicAcl>,
    /// Foreign ACLs of the topic. `None` leaves the status unchanged.
    pub foreign: Option<Vec<String>>,
    /// Drift, if there is any.
    pub drift: Option<Drift>,
    /// Why the declared access is not in effect.
    pub failure: Option<Failure>,
}

impl AccessReport {
    /// The failure that prevents readiness. A Kafka without an authorizer does not, so that the same declarations work on
    /// a developer's cluster.
    #[must_use]
    pub fn blocking_failure(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| failure.refusal.reason != Reason::AuthorizerMissing)
    }

    /// Whether Kafka has no authorizer.
    #[must_use]
    pub fn is_unenforced(&self) -> bool {
        self.failure.is_some() && self.blocking_failure().is_none()
    }
}

/// The refusal for a Kafka without an authorizer.
#[must_use]
pub fn authorizer_missing() -> Refusal {
    Refusal::new(
        Reason::AuthorizerMissing,
        "Kafka has no authorizer, so every client may use the topic: set authorizer.class.name on the brokers, or remove \
         spec.access",
    )
}

/// What happens to the ACLs of a deleted resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclCleanup {
    /// Nothing: the resource owns none or is unmanaged.
    None,
    /// They are deleted.
    Delete(Identity, BTreeSet<TopicAcl>),
    /// They stay in Kafka, for this reason.
    Keep(String),
    /// The deletion is on hold until a user acts.
    Hold(Refusal),
}

/// Plans the cleanup of the ACLs of a deleted resource. `ours` are the ACLs that no other resource uses, with their
/// topic, or the reason why they are unknown.
#[must_use]
pub fn plan_acl_cleanup(
    topic: &EventTopic,
    management_mode: &Result<ManagementMode, Refusal>,
    ours: Result<(Identity, BTreeSet<TopicAcl>), Refusal>,
) -> AclCleanup {
    let number = topic.status.as_ref().map_or(0, |status| status.acls.len());
    match (management_mode, ours) {
        _ if number == 0 => AclCleanup::None,
        (Ok(ManagementMode::Unmanaged), _) => AclCleanup::None,
        (Ok(ManagementMode::Paused), _) => AclCleanup::Hold(Refusal::new(
            Reason::Paused,
            "deletion is on hold because the resource is paused and its ACLs would be deleted: remove the annotation \
             eventcenter.io/paused to continue, or set eventcenter.io/managed: \"false\" to keep the ACLs in Kafka",
        )),
        (Err(refusal), _) => AclCleanup::Hold(refusal.clone()),
        (Ok(ManagementMode::Managed), Err(refusal)) => AclCleanup::Keep(format!(
            "{number} of its ACLs stay in Kafka, because their owner is unknown ({refusal})"
        )),
        (Ok(ManagementMode::Managed), Ok((identity, ours))) => AclCleanup::Delete(identity, ours),
    }
}

#[cfg(test)]
mod tests;
