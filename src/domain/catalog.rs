//! An index of all declarations: the tenant of each namespace, the clusters, the owner of each Kafka topic and event
//! type, and the usage of each tenant.
//!
//! The controllers and the webhook each maintain a `Catalog` from their watches and query it before they apply or admit
//! anything. It stores of a topic only what affects other resources.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TenantName, TopicName};
use kube::ResourceExt;

use super::approval::SpecHash;
use super::cluster::Clusters;
use super::event_type::{self, TenantType};
use super::ownership::{Claim, Claims};
use super::quota::{Amount, Ledger};
use super::task::{self, TaskIndex};
use super::tenant::{TenantFacts, Tenants};
use super::topic::access::{self, AclCleanup, plan_acl_cleanup};
use super::topic::deletion::{DeletionPlan, plan_deletion};
use super::topic::validate::{self, Neighbours, claimed};
use super::topic::{FormerOwners, Grants, Identity, Permission, SchemaHistory, identity, quota};
use super::{ObjectRef, Refusal};
use crate::api::{EventTopic, Kind, Tenant, TopicAcl, Usage, WhenSuspended};
use crate::domain::management::{ManagementMode, management_mode};

/// The indexes, updated together so that they are always consistent.
#[derive(Debug, Default)]
pub struct Catalog {
    tenants: Tenants,
    clusters: Clusters,
    topics: BTreeSet<ObjectRef>,
    claims: Claims<Identity>,
    types: Claims<TenantType>,
    ledger: Ledger,
    grants: Grants,
    former_owners: FormerOwners,
    tasks: TaskIndex,
    changed: bool,
}

/// What has to be reconciled after a change of tenants.
#[derive(Debug)]
pub struct TenantChange {
    /// The namespaces whose tenant has changed.
    pub namespaces: HashSet<String>,
    /// The topics in them, and the topics that these affect.
    pub topics: Vec<ObjectRef>,
}

impl Catalog {
    /// The tenants.
    #[must_use]
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The Kafka clusters.
    #[must_use]
    pub fn clusters(&self) -> &Clusters {
        &self.clusters
    }

    /// The owners of Kafka topics.
    #[must_use]
    pub fn claims(&self) -> &Claims<Identity> {
        &self.claims
    }

    /// The owners of event types.
    #[must_use]
    pub fn types(&self) -> &Claims<TenantType> {
        &self.types
    }

    /// The usage of the tenants.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What a topic is validated against.
    #[must_use]
    pub fn neighbours(&self) -> Neighbours<'_> {
        Neighbours {
            tenants: &self.tenants,
            clusters: &self.clusters,
            claims: &self.claims,
            types: &self.types,
            ledger: &self.ledger,
        }
    }

    /// Whether a topic is declared.
    #[must_use]
    pub fn has_topic(&self, topic: &ObjectRef) -> bool {
        self.topics.contains(topic)
    }

    /// The tasks and templates.
    #[must_use]
    pub fn tasks(&self) -> &TaskIndex {
        &self.tasks
    }

    /// The tasks and templates, to change them.
    pub fn tasks_mut(&mut self) -> &mut TaskIndex {
        &mut self.tasks
    }

    /// What a task is validated against.
    #[must_use]
    pub fn task_neighbours(&self) -> task::Neighbours<'_> {
        task::Neighbours { tenants: &self.tenants, tasks: &self.tasks }
    }

    /// Adds or updates a topic. Returns the other topics to reconcile.
    pub fn upsert(&mut self, topic: &EventTopic) -> Vec<ObjectRef> {
        self.changed = true;
        let claim = Claim::of(topic);
        self.topics.insert(claim.resource.clone());
        let identity = claimed(topic, &self.tenants, &self.clusters);
        let mut affected = self.claims.set(&claim, identity.clone());
        let recorded = self.recorded_identity(topic).filter(|recorded| Some(recorded) != identity.as_ref());
        // The owner waits for the removal of the records of others.
        let owned = [self.former_owners.set(&claim.resource, recorded), identity.clone()];
        let owners = owned.iter().flatten().filter_map(|identity| self.claims.owner(identity));
        affected.extend(owners.filter(|owner| **owner != claim.resource).cloned());
        let unmanaged = matches!(management_mode(topic), Ok(ManagementMode::Unmanaged));
        let tenant = self.tenants.of_namespace(&claim.resource.namespace).ok().filter(|_| !unmanaged);
        // A topic that is being deleted or is stopped no longer declares access.
        let stays = topic.metadata.deletion_timestamp.is_none()
            && tenant.is_some_and(|tenant| tenant.suspended != Some(WhenSuspended::Stop));
        let access = match tenant.filter(|tenant| tenant.approval.govern(&Kind::of::<EventTopic>())) {
            Some(tenant) => active_access(topic, tenant),
            None => access::declared_acls(topic),
        };
        self.grants.upsert(&claim.resource, identity.clone().filter(|_| stays), access);
        let types = tenant.into_iter().flat_map(|tenant| {
            let declared =
                topic.spec.event_types.iter().filter_map(|declared| event_type::parse(declared).ok());
            declared.map(|id| TenantType { tenant: tenant.name.clone(), id })
        });
        affected.extend(self.types.set(&claim, types));
        if let (Some(tenant), Some(identity)) = (tenant, &identity)
            && self.claims.owner(identity) == Some(&claim.resource)
            && quota::granted(topic) != Amount::ZERO
        {
            self.ledger.take_over(&tenant.name, &(identity.cluster.clone(), identity.topic.clone()));
        }
        let count = tenant.map(|tenant| (&tenant.name, quota::requested(topic), quota::granted(topic)));
        affected.extend(self.ledger.upsert(&claim, count));
        affected
    }

    /// Removes a topic. Returns the other topics to reconcile.
    pub fn remove(&mut self, topic: &ObjectRef) -> Vec<ObjectRef> {
        self.changed = true;
        self.topics.remove(topic);
        self.grants.remove(topic);
        let recorded = self.former_owners.set(topic, None);
        let mut affected = self.claims.remove(topic);
        affected.extend(recorded.and_then(|identity| self.claims.owner(&identity).cloned()));
        affected.extend(self.types.remove(topic));
        affected.extend(self.ledger.remove(topic));
        affected
    }

    /// Replaces all topics, after a relist. Returns the topics to reconcile.
    pub fn replace_all<'a>(&mut self, topics: impl Iterator<Item = &'a EventTopic>) -> Vec<ObjectRef> {
        let mut present = HashSet::new();
        let mut affected = Vec::new();
        for topic in topics {
            present.insert(ObjectRef::of(topic));
            affected.extend(self.upsert(topic));
        }
        self.changed = true;
        let removed: Vec<ObjectRef> =
            self.topics.iter().filter(|known| !present.contains(*known)).cloned().collect();
        for resource in removed {
            affected.extend(self.remove(&resource));
        }
        affected
    }

    /// Replaces the tenants. Returns what has to be reconciled.
    pub fn set_tenants<'a>(
        &mut self,
        tenants: Tenants,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> TenantChange {
        let before = std::mem::replace(&mut self.tenants, tenants);
        let namespaces: HashSet<String> =
            self.tenants.changed_namespaces(&before).into_iter().map(String::from).collect();
        let mut affected = Vec::new();
        for topic in topics {
            let resource = ObjectRef::of(topic);
            if namespaces.contains(&*resource.namespace) {
                affected.extend(self.upsert(topic));
                affected.push(resource);
            }
        }
        TenantChange { namespaces, topics: affected }
    }

    /// Replaces the clusters. Returns the topics to reconcile: those whose Kafka topic or refusal has changed.
    pub fn set_clusters<'a>(
        &mut self,
        clusters: Clusters,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> Vec<ObjectRef> {
        if self.clusters == clusters {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.clusters, clusters);
        let mut affected = Vec::new();
        for topic in topics {
            let old_identity = identity::identity(topic, &self.tenants, &before);
            if old_identity != identity::identity(topic, &self.tenants, &self.clusters) {
                affected.extend(self.upsert(topic));
                affected.push(ObjectRef::of(topic));
            }
        }
        affected
    }

    /// The tenant whose approval rules cover a resource; `None` if no rule covers its kind.
    #[must_use]
    pub fn governing_tenant<K: kube::Resource<DynamicType = ()>>(
        &self,
        resource: &K,
    ) -> Option<Arc<TenantFacts>> {
        let tenant = self.tenants.of_namespace(&resource.namespace().unwrap_or_default()).ok()?;
        tenant.approval.govern(&Kind::of::<K>()).then(|| Arc::clone(tenant))
    }

    /// Checks a topic without a reservation.
    ///
    /// # Errors
    /// As [`validate::permission`].
    pub fn check(&self, topic: &EventTopic) -> Result<Permission, Refusal> {
        validate::permission(topic, &self.neighbours())
    }

    /// Checks a topic and reserves the quota that it is granted.
    ///
    /// # Errors
    /// As [`validate::permission`].
    pub fn reserve(&mut self, topic: &EventTopic) -> Result<Permission, Refusal> {
        let permission = validate::permission(topic, &self.neighbours());
        match &permission {
            Ok(Permission::Managed(..)) => {
                self.ledger.reserve(&ObjectRef::of(topic), quota::requested(topic))
            }
            Err(refusal) if refusal.reason == Reason::TenantQuotaExceeded => {
                self.changed = true;
                self.ledger.hold(&ObjectRef::of(topic));
            }
            _ => {}
        }
        permission
    }

    /// Whether a resource does not own the Kafka topic whose active spec it records: it is not managed, or another resource
    /// owns the topic.
    #[must_use]
    pub fn has_lost_ownership(&self, topic: &EventTopic) -> bool {
        let this = ObjectRef::of(topic);
        self.recorded_identity(topic).is_some_and(|identity| {
            matches!(management_mode(topic), Ok(ManagementMode::Unmanaged))
                || self.claims.owner(&identity).is_some_and(|owner| *owner != this)
        })
    }

    /// The other resources that may still record an active spec of a Kafka topic.
    pub fn other_recorders<'a>(
        &'a self,
        identity: &'a Identity,
        this: &'a ObjectRef,
    ) -> impl Iterator<Item = &'a ObjectRef> {
        self.former_owners
            .of(identity)
            .chain(self.claims.claimants(identity))
            .filter(move |other| *other != this)
    }

    /// The Kafka topic of the active spec that a resource records; `None` if it records none.
    fn recorded_identity(&self, topic: &EventTopic) -> Option<Identity> {
        let status = topic.status.as_ref().filter(|status| status.approved.is_some())?;
        let in_status = || {
            let (cluster, topic) = (status.cluster.as_ref()?, status.topic_name.as_ref()?);
            Some(Identity { cluster: cluster.parse().ok()?, topic: topic.parse().ok()? })
        };
        in_status().or_else(|| identity::identity(topic, &self.tenants, &self.clusters).ok())
    }

    /// Where the registered schemas of a resource's Kafka topic are stored; `None` if it has no valid Kafka topic.
    #[must_use]
    pub fn schema_history(&self, topic: &EventTopic) -> Option<SchemaHistory> {
        let tenant = self.tenants.of_namespace(&topic.namespace().unwrap_or_default()).ok()?;
        let identity = identity::identity(topic, &self.tenants, &self.clusters).ok()?;
        Some(SchemaHistory::of(&identity, tenant, &self.tenants))
    }

    /// Counts the Kafka topic that a deleted or unmanaged resource leaves behind, until the topics in Kafka are counted again.
    pub fn leave_behind(&mut self, topic: &EventTopic) {
        let Ok(tenant) = self.tenants.of_namespace(&topic.namespace().unwrap_or_default()) else { return };
        let Some(status) = &topic.status else { return };
        let (Some(cluster), Some(name)) = (&status.cluster, &status.topic_name) else { return };
        let (Ok(cluster), Ok(name)) = (cluster.parse(), name.parse()) else { return };
        let identity = Identity { cluster, topic: name };
        let this = ObjectRef::of(topic);
        if self.claims.owner(&identity).is_none_or(|owner| *owner == this) {
            self.changed = true;
            let kafka_topic = (identity.cluster, identity.topic);
            self.ledger.leave_behind(&tenant.name, kafka_topic, quota::granted(topic));
        }
    }

    /// The Kafka topics in a cluster that count towards a quota although no resource manages them, with their tenants.
    #[must_use]
    pub fn unmanaged(&self, cluster: &ClusterName, names: &[String]) -> Vec<(TenantName, TopicName)> {
        let may_use = |tenant: &TenantFacts| match tenant.clusters.is_empty() {
            true => self.clusters.default() == Some(cluster),
            false => tenant.clusters.contains(cluster),
        };
        let limited: Vec<&Arc<TenantFacts>> =
            self.tenants.in_force().filter(|tenant| tenant.limits.are_counted() && may_use(tenant)).collect();
        let count = |name: &String| {
            let tenant = limited.iter().find(|tenant| name.starts_with(tenant.prefix.as_ref()))?;
            let identity = Identity { cluster: cluster.clone(), topic: name.parse().ok()? };
            self.claims.owner(&identity).is_none().then(|| (tenant.name.clone(), identity.topic))
        };
        names.iter().filter_map(count).collect()
    }

    /// Replaces the Kafka topics in a cluster that no resource manages. Returns the topics to reconcile.
    pub fn replace_unmanaged(
        &mut self,
        cluster: &ClusterName,
        topics: impl IntoIterator<Item = (TenantName, TopicName, Amount)>,
    ) -> Vec<ObjectRef> {
        self.changed = true;
        self.ledger.replace_unmanaged(cluster, topics)
    }

    /// Plans the deletion of a topic.
    #[must_use]
    pub fn plan_deletion(&self, topic: &EventTopic) -> DeletionPlan {
        let this = ObjectRef::of(topic);
        let identity = identity::identity(topic, &self.tenants, &self.clusters);
        let (owner, heir) = match &identity {
            Ok(identity) => (self.claims.owner(identity), self.claims.heir(identity, &this)),
            Err(_) => (None, None),
        };
        plan_deletion(topic, &management_mode(topic), identity.clone(), owner, heir, &this)
    }

    /// Plans the ACL cleanup of a topic that is being deleted.
    #[must_use]
    pub fn plan_acl_cleanup(&self, topic: &EventTopic) -> AclCleanup {
        let identity = identity::identity(topic, &self.tenants, &self.clusters);
        let ours = identity.map(|identity| {
            let ours = self.removable_acls(topic, &identity);
            (identity, ours)
        });
        plan_acl_cleanup(topic, &management_mode(topic), ours)
    }

    /// The ACLs that the operator created for a topic.
    #[must_use]
    pub fn acls(&self, topic: &EventTopic) -> BTreeSet<TopicAcl> {
        let namespace = topic.namespace().unwrap_or_default();
        self.tenants
            .of_namespace(&namespace)
            .map(|tenant| access::owned_acls(topic, tenant))
            .unwrap_or_default()
    }

    /// The ACLs to delete when a topic is deleted or stopped: those that no other topic declares.
    #[must_use]
    pub fn removable_acls(&self, topic: &EventTopic, identity: &Identity) -> BTreeSet<TopicAcl> {
        let mut ours = self.acls(topic);
        ours.retain(|acl| !self.is_wanted_elsewhere(identity, acl, &ObjectRef::of(topic)));
        ours
    }

    /// Whether another topic also declares this ACL.
    #[must_use]
    pub fn is_wanted_elsewhere(&self, identity: &Identity, acl: &TopicAcl, this: &ObjectRef) -> bool {
        self.grants.is_wanted_elsewhere(identity, acl, this, &self.claims)
    }

    /// The Kafka topics of a cluster that have an owner, with the owners.
    #[must_use]
    pub fn owned(&self, cluster: &ClusterName) -> Vec<(TopicName, ObjectRef)> {
        let owned = self.claims.owned().filter(|(identity, _)| identity.cluster == *cluster);
        owned.map(|(identity, owner)| (identity.topic.clone(), owner.clone())).collect()
    }

    /// The Kafka topics of a cluster that have an EventTopic, including unmanaged ones.
    #[must_use]
    pub fn registered<'a>(
        &self,
        cluster: &ClusterName,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> HashSet<TopicName> {
        let claimed = self.claims.owned().map(|(identity, _)| identity.clone());
        let unmanaged =
            topics.filter(|topic| matches!(management_mode(*topic), Ok(ManagementMode::Unmanaged)));
        let unmanaged =
            unmanaged.filter_map(|topic| identity::identity(topic, &self.tenants, &self.clusters).ok());
        let registered = claimed.chain(unmanaged).filter(|identity| identity.cluster == *cluster);
        registered.map(|identity| identity.topic).collect()
    }

    /// The EventTopics in a tenant's namespaces, also of a tenant that is not Ready.
    pub fn topics_of<'a>(&'a self, tenant: &'a Tenant) -> impl Iterator<Item = &'a ObjectRef> {
        tenant.spec.namespaces.iter().flat_map(|namespace| self.topics_in(namespace))
    }

    /// The EventTopics in a namespace.
    pub fn topics_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a ObjectRef> {
        let first = ObjectRef::new::<EventTopic>(namespace, "");
        self.topics.range(first..).take_while(move |resource| *resource.namespace == *namespace)
    }

    /// The usage of a tenant; `None` if it is not Ready.
    #[must_use]
    pub fn usage(&self, tenant: &Tenant) -> Option<Usage> {
        let facts = self.tenants.by_name(&tenant.name_any())?;
        Some(self.ledger.usage(&facts.name))
    }

    /// The tenant that owns a namespace, for logs.
    #[must_use]
    pub fn tenant_of(&self, namespace: &str) -> Option<String> {
        self.tenants.of_namespace(namespace).ok().map(|tenant| tenant.name.to_string())
    }

    /// Whether topics were added, changed or removed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// The access that keeps shared ACLs alive: the declared access if the spec is active, otherwise the existing ACLs.
/// Access that is pending approval keeps no ACL alive. The seal of the active spec is not verified: a forged one can only
/// keep an existing ACL alive, never create one.
fn active_access(topic: &EventTopic, tenant: &TenantFacts) -> BTreeSet<TopicAcl> {
    let approved = topic.status.as_ref().and_then(|status| status.approved.as_ref());
    if approved.is_some_and(|approved| approved.hash == SpecHash::of(&topic.spec).as_str()) {
        access::declared_acls(topic)
    } else {
        access::owned_acls(topic, tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccessOperation;
    use crate::domain::testing::{catalog, topic};

    const RULES: &str = "{namespaces: [shop], approval: {rules: [{changes: [Any], groups: [approvers]}]}}";
    const READS: &str = "[{principal: 'User:a', operations: [Read], groups: [shop.g]}]";

    #[test]
    fn access_pending_approval_keeps_no_acl_alive() {
        let in_force = |catalog: &Catalog| {
            let this = topic("name: leaving");
            let identity =
                identity::identity(&this, catalog.tenants(), catalog.clusters()).expect("it has a tenant");
            let group = Some("shop.g".to_owned());
            let acl = TopicAcl { principal: "User:a".into(), operation: AccessOperation::Read, group };
            catalog.is_wanted_elsewhere(&identity, &acl, &ObjectRef::of(&this))
        };
        let clusters = [("main", true)];
        let mut free = catalog(&[("shop", "{namespaces: [shop]}")], &clusters);
        free.upsert(&topic(&format!("{{name: other, access: {READS}}}")));
        assert!(free.governing_tenant(&topic("name: other")).is_none() && in_force(&free));

        let mut ruled = catalog(&[("shop", RULES)], &clusters);
        let mut other = topic(&format!("{{name: other, access: {READS}}}"));
        ruled.upsert(&other);
        assert!(ruled.governing_tenant(&other).is_some() && !in_force(&ruled), "it is pending");
        other.status.get_or_insert_default().approved = Some(crate::api::ApprovedSpec {
            hash: SpecHash::of(&other.spec).to_string(),
            generation: 1,
            revision: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            seal: String::new(),
        });
        ruled.upsert(&other);
        assert!(in_force(&ruled), "it is approved");
        // Existing access stays while its removal is pending.
        other.status.get_or_insert_default().acls = access::declared_acls(&other).into_iter().collect();
        other.spec.access.clear();
        ruled.upsert(&other);
        assert!(in_force(&ruled));
    }

    #[test]
    fn a_check_reserves_nothing() {
        let mut catalog =
            catalog(&[("shop", "{namespaces: [shop], quotas: {topics: 1}}")], &[("main", true)]);
        let (older, younger) = (topic("name: a"), topic("name: b"));
        catalog.upsert(&older);
        catalog.upsert(&younger);
        assert!(matches!(catalog.check(&older), Ok(Permission::Managed(..))));
        catalog.remove(&ObjectRef::of(&older));
        assert!(matches!(catalog.reserve(&younger), Ok(Permission::Managed(..))));
        assert_eq!(catalog.ledger().usage(&"shop".parse().expect("a name")).topics, 1);
    }
}
