//! What a resource has a right to, before Kafka is asked.

use eventcenter_sdk::Reason;
use kube::ResourceExt;

use super::claim::Resource;
use super::{Attention, Claims, Declared, Identity, attention, identity};
use crate::api::EventTopic;
use crate::domain::Refusal;
use crate::domain::cluster::Clusters;
use crate::domain::tenant::Tenants;

/// What the operator may do for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing for now.
    Paused,
    /// Nothing at all.
    Unmanaged,
    /// Give the Kafka topic what is declared.
    Managed(Identity, Declared),
}

/// Decides that from everything that is declared.
///
/// # Errors
/// A refusal with the way out: no tenant, a cluster that may not be used, a name that is not the
/// tenant's, another resource that owns the topic, a field that breaks a rule.
pub fn right(
    topic: &EventTopic,
    tenants: &Tenants,
    clusters: &Clusters,
    claims: &Claims,
) -> Result<Right, Refusal> {
    match attention(topic)? {
        Attention::Paused => return Ok(Right::Paused),
        Attention::Unmanaged => return Ok(Right::Unmanaged),
        Attention::Managed => {}
    }
    let identity = identity::identity(topic, tenants, clusters)?;
    let this = Resource::of(topic);
    match claims.owner(&identity) {
        Some(owner) if *owner != this => Err(Refusal::new(
            Reason::ResourceConflict,
            format!(
                "Kafka topic {} in cluster {} belongs to EventTopic {owner}, which is older: delete one of the two, or \
                 set another spec.topicName in a new EventTopic",
                identity.topic, identity.cluster
            ),
        )),
        _ => Ok(Right::Managed(identity, Declared::read(topic)?)),
    }
}

/// What a resource claims, if it may claim anything: one that is left to others claims nothing.
#[must_use]
pub fn claimed(topic: &EventTopic, tenants: &Tenants, clusters: &Clusters) -> Option<Identity> {
    match attention(topic) {
        Ok(Attention::Unmanaged) => None,
        _ => identity::identity(topic, tenants, clusters).ok(),
    }
}

impl Resource {
    /// The name of a resource.
    #[must_use]
    pub fn of(resource: &impl kube::Resource) -> Self {
        Self { namespace: resource.namespace().unwrap_or_default(), name: resource.name_any() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::Claim;
    use super::*;
    use crate::domain::testing::{clusters, tenants, topic};
    use expect_test::{Expect, expect};

    /// The right of a topic while an older one, if any is given, stands beside it.
    fn check(yaml: &str, older: Option<&str>, expected: Expect) {
        let (tenants, clusters) = (tenants(&[("shop", "{namespaces: [shop]}")]), clusters(&[("main", true)]));
        let mut claims = Claims::default();
        for topic in older.iter().map(|yaml| topic(yaml)).chain([topic(yaml)]) {
            claims.set(&Claim::of(&topic), claimed(&topic, &tenants, &clusters));
        }
        expected.assert_eq(&match right(&topic(yaml), &tenants, &clusters, &claims) {
            Ok(Right::Managed(identity, _)) => format!("managed {identity}"),
            Ok(right) => format!("{right:?}"),
            Err(refusal) => refusal.to_string(),
        });
    }

    #[test]
    fn the_older_of_two_owns_the_topic() {
        let older = "{name: a-older, topicName: shop.orders}";
        check("{}", None, expect!["managed shop.orders in main"]);
        check(
            "{}",
            Some(older),
            expect![
                "ResourceConflict: Kafka topic shop.orders in cluster main belongs to EventTopic shop/a-older, which is older: delete one of the two, or set another spec.topicName in a new EventTopic"
            ],
        );
        let released =
            r#"{name: a-older, topicName: shop.orders, annotations: {eventcenter.io/managed: "false"}}"#;
        check("{}", Some(released), expect!["managed shop.orders in main"]);
        let paused =
            r#"{name: a-older, topicName: shop.orders, annotations: {eventcenter.io/paused: "true"}}"#;
        check(
            "{}",
            Some(paused),
            expect![
                "ResourceConflict: Kafka topic shop.orders in cluster main belongs to EventTopic shop/a-older, which is older: delete one of the two, or set another spec.topicName in a new EventTopic"
            ],
        );
    }

    #[test]
    fn annotations_come_first() {
        check(
            r#"{namespace: nowhere, annotations: {eventcenter.io/managed: "false"}}"#,
            None,
            expect!["Unmanaged"],
        );
        check(
            r#"{namespace: nowhere, annotations: {eventcenter.io/paused: "true"}}"#,
            None,
            expect!["Paused"],
        );
        check(
            r#"{annotations: {eventcenter.io/paused: "yes"}}"#,
            None,
            expect![[
                r#"InvalidResource: metadata.annotations[eventcenter.io/paused]: the value is "true" or "false"; correct or remove it"#
            ]],
        );
    }
}
