//! The webhook's part of approvals, played by a test: with the webhook's key it says who asked and who decided. Where no
//! webhook is asked that is the only way to be believed.

use std::collections::BTreeMap;

use ::kube::api::{Patch, PatchParams, PostParams};
use ::kube::{Api, Client, ResourceExt};
use eventcenter::api::{
    ApprovalAction, ApprovalTarget, Approver, ChangeApproval, ChangeApprovalSpec, Decision, EventTopic, Kind,
    REQUEST,
};
use eventcenter::domain::Revisioned;
use eventcenter::domain::approval::decision::statement;
use eventcenter::domain::approval::request::{RequestContext, Requester, seal_request};
use eventcenter::domain::approval::{ChangeRequest, Rules, SpecHash};
use eventcenter::domain::signature::{PublicKeys, SigningKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde_json::json;
use xtask::kubectl::NAMESPACE;

use super::{unique, until};

/// Whoever has the key that requests and decisions are sealed with.
pub(crate) struct Witness {
    key: SigningKey,
    client: Client,
}

/// One person's decision.
#[derive(Clone, Debug)]
pub(crate) struct Deciding<'a> {
    /// Who.
    pub(crate) by: &'a str,
    /// In which groups.
    pub(crate) groups: &'a [&'a str],
    /// What is to be done.
    pub(crate) action: ApprovalAction,
    /// What is decided.
    pub(crate) decision: Decision,
    /// Why.
    pub(crate) comment: Option<&'a str>,
    /// Whether RBAC gave the right to this name and these groups alone.
    pub(crate) revocable: bool,
}

impl<'a> Deciding<'a> {
    /// An approval of what is declared, by somebody in the group `approvers`.
    pub(crate) fn approve(by: &'a str) -> Self {
        Self {
            by,
            groups: &["approvers"],
            action: ApprovalAction::Apply,
            decision: Decision::Approve,
            comment: None,
            revocable: false,
        }
    }
}

impl Witness {
    /// The webhook of an API server: its key as it is there, or else a new one.
    pub(crate) async fn of(client: Client) -> Self {
        let secrets = Api::<Secret>::namespaced(client.clone(), NAMESPACE);
        let name = "eventcenter-seal-webhook";
        let seed = until(async || {
            let stored = secrets.get_opt(name).await.map_err(|error| error.to_string())?;
            let seed = stored.and_then(|secret| secret.data?.remove("seed"));
            if let Some(seed) = seed {
                return String::from_utf8(seed.0).map_err(|error| error.to_string());
            }
            let secret = json!({"metadata": {"name": name}, "stringData": {"seed": new_seed()}});
            let secret = serde_json::from_value(secret).expect("a Secret");
            drop(secrets.create(&PostParams::default(), &secret).await);
            Err("it was not there".into())
        });
        let key = SigningKey::from_seed(&seed.await.expect("the webhook's key")).expect("a key");
        let witness = Self { key, client };
        witness.publish().await;
        witness
    }

    /// Somebody with a key that nobody knows.
    pub(crate) fn impostor(client: Client) -> Self {
        Self { key: SigningKey::from_seed(&new_seed()).expect("a key"), client }
    }

    /// Has the operator believe this key, whatever else is published at the same time.
    async fn publish(&self) {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        let name = "eventcenter-seals";
        let public = self.key.public_key();
        let published = until(async || {
            let stored = maps.get_opt(name).await.map_err(|error| error.to_string())?;
            let Some(stored) = stored else {
                let data = BTreeMap::from([("webhook".to_owned(), public.clone())]);
                let map = ConfigMap {
                    metadata: ::kube::core::ObjectMeta { name: Some(name.into()), ..Default::default() },
                    data: Some(data),
                    ..ConfigMap::default()
                };
                drop(maps.create(&PostParams::default(), &map).await);
                return Err("it was not there".into());
            };
            let known = stored.data.unwrap_or_default().remove("webhook").unwrap_or_default();
            if known.contains(&public) {
                return Ok(());
            }
            let patch = json!({
                "metadata": {"resourceVersion": stored.metadata.resource_version},
                "data": {"webhook": format!("{known}\n{public}")},
            });
            drop(maps.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await);
            Err(format!("{known} is believed"))
        });
        published.await.expect("the key is published");
    }

    fn topics(&self, namespace: &str) -> Api<EventTopic> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Seals that somebody has asked for what a topic declares now.
    pub(crate) async fn asked(&self, namespace: &str, name: &str, who: &str, rules: &Rules) -> EventTopic {
        self.asked_by(namespace, name, Requester { username: who, groups: &[] }, rules, None).await
    }

    /// The same, by somebody with groups; `before` as the resource was, for annotations that count if they change.
    pub(crate) async fn asked_by(
        &self,
        namespace: &str,
        name: &str,
        requester: Requester<'_>,
        rules: &Rules,
        before: Option<&EventTopic>,
    ) -> EventTopic {
        let topics = self.topics(namespace);
        let topic = topics.get(name).await.expect("the topic is there");
        let sealed = self.request(&topic, requester, rules, before);
        let patch = json!({"metadata": {"annotations": {REQUEST: sealed.to_annotation()}}});
        topics.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("it is stamped")
    }

    fn request(
        &self,
        topic: &EventTopic,
        requester: Requester<'_>,
        rules: &Rules,
        before: Option<&EventTopic>,
    ) -> ChangeRequest {
        let (subject, hash) = (Revisioned::of(topic), SpecHash::of(&topic.spec));
        let context =
            RequestContext { subject: &subject, hash: &hash, requester, rules, pending: None, now: now() };
        seal_request(&context, before, topic, &self.key).expect("it may be asked")
    }

    /// Seals that somebody decides on a topic as it is now.
    pub(crate) async fn decides(&self, namespace: &str, name: &str, deciding: Deciding<'_>) -> String {
        let topic = self.topics(namespace).get(name).await.expect("the topic is there");
        self.makes(namespace, self.decision(&topic, deciding)).await
    }

    /// A sealed decision on a topic as it is given.
    pub(crate) fn decision(&self, topic: &EventTopic, deciding: Deciding<'_>) -> ChangeApproval {
        let Deciding { by, groups, action, decision, comment, revocable } = deciding;
        let approver = Approver {
            username: by.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            revocable,
        };
        let at = now();
        let target = ApprovalTarget {
            kind: Kind::of::<EventTopic>(),
            name: topic.name_any(),
            uid: topic.uid(),
            generation: topic.metadata.generation,
        };
        let spec = ChangeApprovalSpec {
            target,
            action,
            spec_hash: SpecHash::of(&topic.spec).to_string(),
            decision,
            comment: comment.map(ToOwned::to_owned),
            approver: Some(approver.clone()),
            at: Some(at),
            seal: None,
        };
        let mut approval = ChangeApproval::new(&format!("{}-{}", topic.name_any(), unique()), spec);
        let namespace = topic.namespace().unwrap_or_default();
        approval.metadata.namespace = Some(namespace.clone());
        approval.spec.seal = Some(self.key.seal(&statement(&namespace, &approval, &approver, at)));
        approval
    }

    /// Stores a decision, and returns its name.
    pub(crate) async fn makes(&self, namespace: &str, mut approval: ChangeApproval) -> String {
        approval.metadata.namespace = None;
        let approvals = Api::<ChangeApproval>::namespaced(self.client.clone(), namespace);
        let made = approvals.create(&PostParams::default(), &approval).await.expect("it is stored");
        made.name_any()
    }

    /// The controllers' public keys, as they are published.
    pub(crate) async fn controllers(&self) -> PublicKeys {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        let data = maps.get("eventcenter-seals").await.expect("it is there").data.unwrap_or_default();
        PublicKeys::parse(data.get("controllers").map_or("", String::as_str))
    }
}

fn new_seed() -> String {
    (0..10).map(|_| unique()).collect::<String>()[..64].to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the webhook has a clock")]
fn now() -> Timestamp {
    Timestamp::now()
}
