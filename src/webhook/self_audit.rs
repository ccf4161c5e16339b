//! Records what the webhook does on its own behalf.

use crate::domain::audit::{self, Action, Actor, Event, LogName, Target, Via};
use crate::store::Recorder;

/// Records what the webhook does with its certificates and keys.
#[derive(Clone, Debug)]
pub(super) struct SelfAudit {
    recorder: Recorder,
    actor: Actor,
    namespace: String,
}

impl SelfAudit {
    pub(super) fn new(recorder: Recorder, instance: &str, namespace: &str) -> Self {
        let actor = Actor { user: instance.to_owned(), groups: Vec::new(), via: Via::Controllers };
        Self { recorder, actor, namespace: namespace.to_owned() }
    }

    /// Records an action on a Secret of the operator's namespace.
    pub(super) async fn record_secret(&self, action: Action, secret: &str, message: String) {
        self.record(action, "Secret", Some(&self.namespace), secret, message).await;
    }

    /// Records an action on a cluster-scoped object.
    pub(super) async fn record_cluster_scoped(
        &self,
        action: Action,
        kind: &str,
        name: &str,
        message: String,
    ) {
        self.record(action, kind, None, name, message).await;
    }

    async fn record(&self, action: Action, kind: &str, namespace: Option<&str>, name: &str, message: String) {
        let target = Target {
            kind: kind.to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: name.to_owned(),
            uid: None,
        };
        let event = Event::new(LogName::platform(), self.actor.clone(), action, audit::Outcome::Succeeded);
        self.recorder.enqueue(Event { target: Some(target), message: Some(message), ..event }).await;
    }
}
