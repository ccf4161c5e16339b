//! What all declarations together say: which namespace belongs to whom, which clusters there are,
//! who owns which Kafka topic and which event type, and who has how much.
//!
//! Both the controllers and the webhook keep a `Catalog` true by telling it of every resource that
//! they see come, change and go, and ask it before anything is admitted or done. It remembers of a
//! topic only what others have to know.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use eventcenter_sdk::Reason;
use eventcenter_sdk::name::{ClusterName, TopicName};
use kube::ResourceExt;

use super::approval::SpecHash;
use super::cluster::Clusters;
use super::event_type::{self, TenantType};
use super::ownership::{Claim, Claims};
use super::quota::Ledger;
use super::tenant::{TenantFacts, Tenants};
use super::topic::access::{self, AclCleanup, plan_acl_cleanup};
use super::topic::deletion::{DeletionPlan, plan_deletion};
use super::topic::validate::{self, Neighbours, claimed};
use super::topic::{Grants, Identity, Permission, identity, quota};
use super::{ObjectRef, Refusal};
use crate::api::{EventTopic, Kind, Tenant, TopicAcl, Usage, WhenSuspended};
use crate::domain::management::{ManagementMode, management_mode};

/// All declarations, changed together so that they never contradict each other.
#[derive(Debug, Default)]
pub struct Catalog {
    tenants: Tenants,
    clusters: Clusters,
    topics: BTreeSet<ObjectRef>,
    claims: Claims<Identity>,
    types: Claims<TenantType>,
    ledger: Ledger,
    grants: Grants,
    changed: bool,
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

    /// Who owns which Kafka topic.
    #[must_use]
    pub fn claims(&self) -> &Claims<Identity> {
        &self.claims
    }

    /// Who registers which event type.
    #[must_use]
    pub fn types(&self) -> &Claims<TenantType> {
        &self.types
    }

    /// Who has how much.
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

    /// A topic was made or changed. Returns the others that this concerns.
    pub fn upsert(&mut self, topic: &EventTopic) -> Vec<ObjectRef> {
        self.changed = true;
        let claim = Claim::of(topic);
        self.topics.insert(claim.resource.clone());
        let identity = claimed(topic, &self.tenants, &self.clusters);
        let mut concerned = self.claims.set(&claim, identity.clone());
        let unmanaged = matches!(management_mode(topic), Ok(ManagementMode::Unmanaged));
        let tenant = self.tenants.of_namespace(&claim.resource.namespace).ok().filter(|_| !unmanaged);
        // What goes, and what is stopped, wants access no more.
        let stays = topic.metadata.deletion_timestamp.is_none()
            && tenant.is_some_and(|tenant| tenant.suspended != Some(WhenSuspended::Stop));
        let access = match tenant.filter(|tenant| tenant.approval.govern(&Kind::of::<EventTopic>())) {
            Some(tenant) => wanted(topic, tenant),
            None => access::declared(topic),
        };
        self.grants.upsert(&claim.resource, identity.filter(|_| stays), access);
        let types = tenant.into_iter().flat_map(|tenant| {
            let declared =
                topic.spec.event_types.iter().filter_map(|declared| event_type::read(declared).ok());
            declared.map(|id| TenantType { tenant: tenant.name.clone(), id })
        });
        concerned.extend(self.types.set(&claim, types));
        let count = tenant.map(|tenant| (&tenant.name, quota::requested(topic), quota::granted(topic)));
        concerned.extend(self.ledger.upsert(&claim, count));
        concerned
    }

    /// A topic is gone. Returns the others that this concerns.
    pub fn remove(&mut self, topic: &ObjectRef) -> Vec<ObjectRef> {
        self.changed = true;
        self.topics.remove(topic);
        self.grants.remove(topic);
        let mut concerned = self.claims.remove(topic);
        concerned.extend(self.types.remove(topic));
        concerned.extend(self.ledger.remove(topic));
        concerned
    }

    /// These are all topics: those that are not among them went while nobody watched.
    pub fn replace_all<'a>(&mut self, topics: impl Iterator<Item = &'a EventTopic>) -> Vec<ObjectRef> {
        let mut present = HashSet::new();
        let mut concerned = Vec::new();
        for topic in topics {
            present.insert(ObjectRef::of(topic));
            concerned.extend(self.upsert(topic));
        }
        self.changed = true;
        let went: Vec<ObjectRef> =
            self.topics.iter().filter(|known| !present.contains(*known)).cloned().collect();
        for resource in went {
            concerned.extend(self.remove(&resource));
        }
        concerned
    }

    /// The tenants have changed. Returns the topics that this concerns.
    pub fn set_tenants<'a>(
        &mut self,
        tenants: Tenants,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> Vec<ObjectRef> {
        let before = std::mem::replace(&mut self.tenants, tenants);
        let moved: HashSet<String> = self.tenants.moved(&before).into_iter().map(String::from).collect();
        let mut concerned = Vec::new();
        for topic in topics {
            let resource = ObjectRef::of(topic);
            if moved.contains(&*resource.namespace) {
                concerned.extend(self.upsert(topic));
                concerned.push(resource);
            }
        }
        concerned
    }

    /// The clusters have changed. Returns the topics that this concerns: those that stand for
    /// something else than before, or may not for another reason.
    pub fn set_clusters<'a>(
        &mut self,
        clusters: Clusters,
        topics: impl Iterator<Item = &'a EventTopic>,
    ) -> Vec<ObjectRef> {
        if self.clusters == clusters {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.clusters, clusters);
        let mut concerned = Vec::new();
        for topic in topics {
            let stood_for = identity::identity(topic, &self.tenants, &before);
            if stood_for != identity::identity(topic, &self.tenants, &self.clusters) {
                concerned.extend(self.upsert(topic));
                concerned.push(ObjectRef::of(topic));
            }
        }
        concerned
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

    /// What may be done for a topic if it is to be done at all. Nothing is kept from others for it.
    ///
    /// # Errors
    /// As [`right`].
    pub fn check(&self, topic: &EventTopic) -> Result<Permission, Refusal> {
        validate::permission(topic, &self.neighbours())
    }

    /// Decides what may be done for a topic, and keeps what it is granted from others.
    ///
    /// # Errors
    /// As [`right`].
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

    /// What to do for a topic that is being deleted.
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

    /// What becomes of the access of a topic that is being deleted.
    #[must_use]
    pub fn plan_acl_cleanup(&self, topic: &EventTopic) -> AclCleanup {
        let identity = identity::identity(topic, &self.tenants, &self.clusters);
        let ours = identity.map(|identity| {
            let ours = self.withdrawn(topic, &identity);
            (identity, ours)
        });
        plan_acl_cleanup(topic, &management_mode(topic), ours)
    }

    /// The ACLs that the operator has made for a topic.
    #[must_use]
    pub fn acls(&self, topic: &EventTopic) -> BTreeSet<TopicAcl> {
        let namespace = topic.namespace().unwrap_or_default();
        self.tenants.of_namespace(&namespace).map(|tenant| access::ours(topic, tenant)).unwrap_or_default()
    }

    /// The ACLs that go when a topic may be used no more: those that nobody else wants.
    #[must_use]
    pub fn withdrawn(&self, topic: &EventTopic, identity: &Identity) -> BTreeSet<TopicAcl> {
        let mut ours = self.acls(topic);
        ours.retain(|acl| !self.others_want(identity, acl, &ObjectRef::of(topic)));
        ours
    }

    /// Whether an ACL of this resource serves another one too.
    #[must_use]
    pub fn others_want(&self, identity: &Identity, acl: &TopicAcl, this: &ObjectRef) -> bool {
        self.grants.others_want(identity, acl, this, &self.claims)
    }

    /// The Kafka topics in one cluster that a resource owns, and who.
    #[must_use]
    pub fn owned(&self, cluster: &ClusterName) -> Vec<(TopicName, ObjectRef)> {
        let owned = self.claims.owned().filter(|(identity, _)| identity.cluster == *cluster);
        owned.map(|(identity, owner)| (identity.topic.clone(), owner.clone())).collect()
    }

    /// The Kafka topics in one cluster that these resources stand for, also those that are left to others.
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

    /// The EventTopics in a tenant's namespaces, whether or not its declaration is in force.
    pub fn topics_of<'a>(&'a self, tenant: &'a Tenant) -> impl Iterator<Item = &'a ObjectRef> {
        tenant.spec.namespaces.iter().flat_map(|namespace| self.topics_in(namespace))
    }

    /// The EventTopics in a namespace.
    pub fn topics_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a ObjectRef> {
        let first = ObjectRef::new::<EventTopic>(namespace, "");
        self.topics.range(first..).take_while(move |resource| *resource.namespace == *namespace)
    }

    /// What a tenant has; none if its declaration is not in force.
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

    /// Whether topics came, changed or went since this was asked before.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

/// The access that counts beside that of others: what is declared, if it is in force, and otherwise what there is.
/// Access that waits for approval keeps nobody else's ACL alive. Whose note it is that says what is in force is
/// not looked at: a forged one keeps an ACL of others alive, and makes none.
fn wanted(topic: &EventTopic, tenant: &TenantFacts) -> BTreeSet<TopicAcl> {
    let approved = topic.status.as_ref().and_then(|status| status.approved.as_ref());
    if approved.is_some_and(|approved| approved.hash == SpecHash::of(&topic.spec).as_str()) {
        access::declared(topic)
    } else {
        access::ours(topic, tenant)
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
    fn access_that_waits_for_approval_keeps_no_others_alive() {
        let in_force = |catalog: &Catalog| {
            let this = topic("name: leaving");
            let identity =
                identity::identity(&this, catalog.tenants(), catalog.clusters()).expect("it has a tenant");
            let group = Some("shop.g".to_owned());
            let acl = TopicAcl { principal: "User:a".into(), operation: AccessOperation::Read, group };
            catalog.others_want(&identity, &acl, &ObjectRef::of(&this))
        };
        let clusters = [("main", true)];
        let mut free = catalog(&[("shop", "{namespaces: [shop]}")], &clusters);
        free.upsert(&topic(&format!("{{name: other, access: {READS}}}")));
        assert!(free.governing_tenant(&topic("name: other")).is_none() && in_force(&free));

        let mut ruled = catalog(&[("shop", RULES)], &clusters);
        let mut other = topic(&format!("{{name: other, access: {READS}}}"));
        ruled.upsert(&other);
        assert!(ruled.governing_tenant(&other).is_some() && !in_force(&ruled), "it waits");
        other.status.get_or_insert_default().approved = Some(crate::api::ApprovedSpec {
            hash: SpecHash::of(&other.spec).to_string(),
            generation: 1,
            revision: None,
            at: jiff::Timestamp::UNIX_EPOCH,
            seal: String::new(),
        });
        ruled.upsert(&other);
        assert!(in_force(&ruled), "it is approved");
        // What it has stays while a change waits that takes it away.
        other.status.get_or_insert_default().acls = access::declared(&other).into_iter().collect();
        other.spec.access.clear();
        ruled.upsert(&other);
        assert!(in_force(&ruled));
    }

    #[test]
    fn what_is_only_considered_takes_nothing_from_others() {
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
