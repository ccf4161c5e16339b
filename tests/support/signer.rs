//! The webhook's part of approvals: signs requests and decisions with the webhook's key, where no webhook is installed.

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

/// Signs requests and decisions with a key.
pub(crate) struct WebhookSigner {
    key: SigningKey,
    client: Client,
}

/// The decision of a user.
#[derive(Clone, Debug)]
pub(crate) struct DecisionInput<'a> {
    /// The name of the user.
    pub(crate) by: &'a str,
    /// Their groups.
    pub(crate) groups: &'a [&'a str],
    /// The action to decide on.
    pub(crate) action: ApprovalAction,
    /// The decision.
    pub(crate) decision: Decision,
    /// The hash of the existing data that is taken over.
    pub(crate) takeover_hash: Option<&'a str>,
    /// The reason.
    pub(crate) comment: Option<&'a str>,
    /// Whether the user has the right only by this name and these groups.
    pub(crate) revocable: bool,
}

impl<'a> DecisionInput<'a> {
    /// Approves the declared spec, as a user in the group `approvers`.
    pub(crate) fn approve(by: &'a str) -> Self {
        Self {
            by,
            groups: &["approvers"],
            action: ApprovalAction::Apply,
            decision: Decision::Approve,
            takeover_hash: None,
            comment: None,
            revocable: false,
        }
    }
}

impl WebhookSigner {
    /// With the webhook's key of this API server. Creates the key if there is none.
    pub(crate) async fn new(client: Client) -> Self {
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
            Err("it did not exist".into())
        });
        let key = SigningKey::from_seed(&seed.await.expect("the webhook's key")).expect("a key");
        let signer = Self { key, client };
        signer.publish().await;
        signer
    }

    /// With a key that is not published.
    pub(crate) fn with_unknown_key(client: Client) -> Self {
        Self { key: SigningKey::from_seed(&new_seed()).expect("a key"), client }
    }

    /// Publishes the key beside those that are published already.
    async fn publish(&self) {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        let name = "eventcenter-seals";
        let public = self.key.public_key();
        let polled = until(async || {
            let stored = maps.get_opt(name).await.map_err(|error| error.to_string())?;
            let Some(stored) = stored else {
                let data = BTreeMap::from([("webhook".to_owned(), public.clone())]);
                let map = ConfigMap {
                    metadata: ::kube::core::ObjectMeta { name: Some(name.into()), ..Default::default() },
                    data: Some(data),
                    ..ConfigMap::default()
                };
                drop(maps.create(&PostParams::default(), &map).await);
                return Err("it did not exist".into());
            };
            let published = stored.data.unwrap_or_default().remove("webhook").unwrap_or_default();
            if published.contains(&public) {
                return Ok(());
            }
            let patch = json!({
                "metadata": {"resourceVersion": stored.metadata.resource_version},
                "data": {"webhook": format!("{published}\n{public}")},
            });
            drop(maps.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await);
            Err(format!("published: {published}"))
        });
        polled.await.expect("the key is published");
    }

    fn topics(&self, namespace: &str) -> Api<EventTopic> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Signs that a user requested the current spec of a topic.
    pub(crate) async fn sign_request(
        &self,
        namespace: &str,
        name: &str,
        user: &str,
        rules: &Rules,
    ) -> EventTopic {
        self.sign_request_of(namespace, name, Requester { username: user, groups: &[] }, rules, None).await
    }

    /// The same for a user with groups. `before` is the resource before the request, because some annotations count only if they
    /// change.
    pub(crate) async fn sign_request_of(
        &self,
        namespace: &str,
        name: &str,
        requester: Requester<'_>,
        rules: &Rules,
        before: Option<&EventTopic>,
    ) -> EventTopic {
        let topics = self.topics(namespace);
        let topic = topics.get(name).await.expect("the topic exists");
        let signed = self.request(&topic, requester, rules, before);
        let patch = json!({"metadata": {"annotations": {REQUEST: signed.to_annotation()}}});
        topics
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .expect("the annotation is accepted")
    }

    fn request(
        &self,
        topic: &EventTopic,
        requester: Requester<'_>,
        rules: &Rules,
        before: Option<&EventTopic>,
    ) -> ChangeRequest {
        let (subject, hash) = (Revisioned::of(topic), SpecHash::of(&topic.spec));
        let context = RequestContext {
            subject: &subject,
            hash: &hash,
            requester,
            field_manager: None,
            rules,
            is_withdrawal: false,
            pending: None,
            now: now(),
        };
        seal_request(&context, before, topic, &self.key).expect("the user may request the change")
    }

    /// Signs a decision on the current spec of a topic, and stores it. Returns its name.
    pub(crate) async fn decide(&self, namespace: &str, name: &str, input: DecisionInput<'_>) -> String {
        let topic = self.topics(namespace).get(name).await.expect("the topic exists");
        let pending = topic.status.as_ref().and_then(|status| status.pending.as_ref());
        let seen = pending.and_then(|pending| pending.takeover_hash.as_deref());
        let input = DecisionInput { takeover_hash: input.takeover_hash.or(seen), ..input };
        self.store(namespace, self.decision(&topic, input)).await
    }

    /// A signed decision on the given topic.
    pub(crate) fn decision(&self, topic: &EventTopic, input: DecisionInput<'_>) -> ChangeApproval {
        let DecisionInput { by, groups, action, decision, takeover_hash, comment, revocable } = input;
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
            takeover_hash: takeover_hash.map(ToOwned::to_owned),
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

    /// Stores a decision. Returns its name.
    pub(crate) async fn store(&self, namespace: &str, mut approval: ChangeApproval) -> String {
        approval.metadata.namespace = None;
        let approvals = Api::<ChangeApproval>::namespaced(self.client.clone(), namespace);
        let stored =
            approvals.create(&PostParams::default(), &approval).await.expect("the decision is stored");
        stored.name_any()
    }

    /// The published public keys of the controllers.
    pub(crate) async fn controller_keys(&self) -> PublicKeys {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), NAMESPACE);
        let data =
            maps.get("eventcenter-seals").await.expect("the ConfigMap exists").data.unwrap_or_default();
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
