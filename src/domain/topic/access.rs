//! Who may use a Kafka topic: which ACLs to make and which to take away.
//!
//! An ACL of ours is one that the status names (`status.acls`): it is written there before it is
//! made, so a kill in between leaves none that nobody takes away again. An ACL that is neither
//! declared nor named there was made by somebody else: it is told, and left alone.

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

/// Whether Kafka allows exactly what `spec.access` declares. Absent where nothing is declared.
pub const ACCESS_IN_FORCE: &str = "AccessInForce";

/// The most ACLs that one resource may declare. Its status names each, and Kubernetes stores at most
/// 1.5 MiB.
pub const MOST_ACLS: usize = 1_000;

/// How many ACLs of others a status names.
const MOST_FOREIGN: usize = 20;

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
            operation: word(ours.operation).into(),
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

fn word(operation: AccessOperation) -> &'static str {
    match operation {
        AccessOperation::Read => "Read",
        AccessOperation::Write => "Write",
        AccessOperation::Describe => "Describe",
        AccessOperation::DescribeConfigs => "DescribeConfigs",
    }
}

/// The ACLs that a resource declares. Read and Write include Describe in Kafka, so nothing is added.
#[must_use]
pub fn declared(topic: &EventTopic) -> BTreeSet<TopicAcl> {
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

/// Holds `spec.access` against what the API server cannot check. A group that is not the tenant's
/// would let its users into the consumer groups of others.
///
/// # Errors
/// The first rule that is broken, with the way out.
pub fn check(topic: &EventTopic, tenant: &TenantFacts) -> Result<(), Refusal> {
    let invalid = |detail: String| Err(Refusal::at(Reason::InvalidResource, "spec.access", detail));
    for access in &topic.spec.access {
        let principal = &access.principal;
        if principal.contains('\0') {
            return invalid("a principal has a NUL character, which Kafka cannot be given: remove it".into());
        }
        if let Some(group) = access.groups.iter().find(|group| !is_of(group, tenant)) {
            return invalid(format!(
                "group {group} of {principal} does not begin with {}, the prefix of tenant {}, so it \
                 could be another tenant's: write {}{group}, or remove it",
                tenant.prefix, tenant.name, tenant.prefix
            ));
        }
    }
    match declared(topic).len() {
        number if number > MOST_ACLS => invalid(format!(
            "that makes {number} ACLs, and {MOST_ACLS} is the most: name groups by how they begin (a \
             `*` at the end), or give fewer users access by this resource"
        )),
        _ => Ok(()),
    }
}

fn is_of(group: &str, tenant: &TenantFacts) -> bool {
    group.starts_with(tenant.prefix.as_ref())
}

/// What is allowed and seldom meant, a sentence each.
#[must_use]
pub fn warnings(topic: &EventTopic) -> Vec<String> {
    let everybody = topic.spec.access.iter().filter(|access| access.principal == "User:*");
    everybody
        .map(|access| {
            let operations: Vec<_> = access.operations.iter().map(|operation| word(*operation)).collect();
            format!(
                "spec.access: User:* allows {} to everybody who can log in to Kafka: name the users, unless that is meant",
                operations.join(", ")
            )
        })
        .collect()
}

/// The ACLs that are ours by the status. No name follows from a status: what is not the tenant's,
/// whoever wrote it there, is not ours.
#[must_use]
pub fn ours(topic: &EventTopic, tenant: &TenantFacts) -> BTreeSet<TopicAcl> {
    let acls = topic.status.iter().flat_map(|status| &status.acls);
    let can_be_sent = |text: &str| text.len() <= 255 && !text.contains('\0');
    acls.filter(|acl| {
        can_be_sent(&acl.principal)
            && acl.group.as_deref().is_none_or(|group| can_be_sent(group) && is_of(group, tenant))
    })
    .cloned()
    .collect()
}

/// Whether a resource has, or had, anything to do with access.
#[must_use]
pub fn concerns(topic: &EventTopic) -> bool {
    !topic.spec.access.is_empty() || topic.status.as_ref().is_some_and(|status| !status.acls.is_empty())
}

/// Whether the access that this very declaration asks for was in force before.
#[must_use]
pub fn is_applied(topic: &EventTopic) -> bool {
    let conditions = topic.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    condition::find(conditions, ACCESS_IN_FORCE).is_some_and(|access| {
        access.observed_generation == topic.metadata.generation
            && (access.status == "True" || access.reason == Reason::Drifted.as_str())
    })
}

/// What is known when access is planned.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Kafka topic.
    pub topic: &'a TopicName,
    /// The ACLs that Kafka has on the topic itself, and on the groups that are declared or ours.
    pub kafka: &'a BTreeSet<AclBinding>,
    /// The ACLs that are ours.
    pub ours: &'a BTreeSet<TopicAcl>,
    /// Whether this very declaration was in force before: then what is missing was taken away by
    /// somebody else.
    pub applied: bool,
    /// Whether what Kafka shows can be trusted: nothing was changed a moment ago.
    pub settled: bool,
}

/// What to do about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be made.
    pub create: BTreeSet<TopicAcl>,
    /// To be taken away.
    pub delete: BTreeSet<TopicAcl>,
    /// What the status names before anything is made or taken away.
    pub ahead: BTreeSet<TopicAcl>,
    /// What it names when all is done.
    pub after: BTreeSet<TopicAcl>,
    /// ACLs of the topic that are others'; none if what Kafka shows cannot be trusted just now.
    pub foreign: Option<Vec<String>>,
    /// What somebody took away.
    pub drift: Option<Drift>,
}

/// Compares the ACLs that are declared with those that Kafka has. A consumer group's ACL that
/// `is_wanted_by_others` is not taken away.
#[must_use]
pub fn plan(
    declared: &BTreeSet<TopicAcl>,
    policy: DriftPolicy,
    facts: &Facts<'_>,
    is_wanted_by_others: impl Fn(&TopicAcl) -> bool,
) -> Plan {
    let Facts { topic, kafka, ours, applied, settled } = *facts;
    let is_there = |acl: &TopicAcl| kafka.contains(&AclBinding::of(acl, topic));
    let mut create: BTreeSet<_> = declared.iter().filter(|acl| !settled || !is_there(acl)).cloned().collect();
    // One that is not shown may still be there.
    let gone_for_good = |acl: &TopicAcl| settled && !is_there(acl);
    let serves_others = |acl: &TopicAcl| acl.group.is_some() && is_wanted_by_others(acl);
    let delete =
        ours.difference(declared).filter(|acl| !gone_for_good(acl) && !serves_others(acl)).cloned().collect();
    let mut drift = None;
    if applied && settled && !create.is_empty() {
        let action = match policy {
            DriftPolicy::Correct => DriftAction::Corrected,
            DriftPolicy::Report => DriftAction::Reported,
        };
        drift = Some(Drift { action, differences: create.iter().map(missing).collect() });
        if action == DriftAction::Reported {
            create.clear();
        }
    }
    let known: BTreeSet<AclBinding> = ours.union(declared).map(|acl| AclBinding::of(acl, topic)).collect();
    let foreign = kafka
        .difference(&known)
        .filter(|acl| matches!(&acl.resource, ResourcePattern::Topic(name) if name == topic.as_ref()))
        .map(ToString::to_string);
    Plan {
        create,
        delete,
        ahead: ours.union(declared).cloned().collect(),
        after: declared.clone(),
        foreign: settled.then(|| foreign.take(MOST_FOREIGN).collect()),
        drift,
    }
}

fn missing(acl: &TopicAcl) -> String {
    match &acl.group {
        None => format!("{} lost {}: its ACL is gone", acl.principal, word(acl.operation)),
        Some(group) => format!("{} lost group {group}: its ACL is gone", acl.principal),
    }
}

/// What there is to say of a topic's access after a visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessReport {
    /// The ACLs that are ours.
    pub acls: BTreeSet<TopicAcl>,
    /// ACLs of the topic that are others'; none leaves what is known.
    pub foreign: Option<Vec<String>>,
    /// What somebody took away.
    pub drift: Option<Drift>,
    /// Why the declared access is not in effect.
    pub failure: Option<Failure>,
}

impl AccessReport {
    /// What keeps the topic from being ready. That Kafka enforces nothing at all does not: the same
    /// declarations serve a developer's cluster.
    #[must_use]
    pub fn obstacle(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| failure.refusal.reason != Reason::AuthorizerMissing)
    }

    /// Whether Kafka enforces nothing at all.
    #[must_use]
    pub fn is_unenforced(&self) -> bool {
        self.failure.is_some() && self.obstacle().is_none()
    }
}

/// What is said where Kafka has no authorizer.
#[must_use]
pub fn unenforced() -> Refusal {
    Refusal::new(
        Reason::AuthorizerMissing,
        "Kafka has no authorizer, so everybody may use the topic: set authorizer.class.name on the brokers, or remove \
         spec.access",
    )
}

/// What becomes of the ACLs when their resource goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclCleanup {
    /// There are none, or they are somebody else's business.
    Nothing,
    /// Take these away.
    Withdraw(Identity, BTreeSet<TopicAcl>),
    /// They stay in Kafka, for this reason.
    Keep(String),
    /// Nothing, until something is changed.
    Wait(Refusal),
}

/// Decides that. `ours` are the ACLs that no other resource wants, with the topic they were made
/// for, or why that is not known.
#[must_use]
pub fn plan_acl_cleanup(
    topic: &EventTopic,
    management_mode: &Result<ManagementMode, Refusal>,
    ours: Result<(Identity, BTreeSet<TopicAcl>), Refusal>,
) -> AclCleanup {
    let number = topic.status.as_ref().map_or(0, |status| status.acls.len());
    match (management_mode, ours) {
        _ if number == 0 => AclCleanup::Nothing,
        (Ok(ManagementMode::Unmanaged), _) => AclCleanup::Nothing,
        (Ok(ManagementMode::Paused), _) => AclCleanup::Wait(Refusal::new(
            Reason::Paused,
            "deletion waits because the resource is paused and its access would be taken away: remove the annotation \
             eventcenter.io/paused to go on, or set eventcenter.io/managed: \"false\" to leave the ACLs in Kafka",
        )),
        (Err(refusal), _) => AclCleanup::Wait(refusal.clone()),
        (Ok(ManagementMode::Managed), Err(refusal)) => AclCleanup::Keep(format!(
            "{number} of its ACLs stay in Kafka, because it is not known whose they are now ({refusal})"
        )),
        (Ok(ManagementMode::Managed), Ok((identity, ours))) => AclCleanup::Withdraw(identity, ours),
    }
}

#[cfg(test)]
mod tests;
