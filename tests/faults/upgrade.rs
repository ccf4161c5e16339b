//! What an older version has stored is taken over at the start.

use anyhow::Result;
use eventcenter::api::{KAFKA_TOPIC_LABEL, REVISION_LABEL};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::fixture::FaultFixture;

/// Registered schemas were owned by the resource, and deleted with it.
#[tokio::test]
async fn registered_schemas_are_released_from_their_resource() -> Result<()> {
    let t = FaultFixture::new("upgrade").await?;
    let operator = t.parts.start_operator("a", &[])?;
    let spec = "eventTypes: [{name: Order.Created.v1, schema: {type: object}}]";
    let topic = t.topic("orders").apply_and_wait(spec).await;
    operator.kill()?;
    let uid = topic.metadata.uid.unwrap_or_default();
    let revisions = Api::<ControllerRevision>::namespaced(t.kube.client(), &t.namespace);
    let registered = ListParams::default().labels(&format!("{REVISION_LABEL}={uid}"));
    let name = revisions.list(&registered).await?.items.remove(0).name_any();
    let owner = json!({
        "apiVersion": "eventcenter.io/v1alpha1", "kind": "EventTopic", "name": "orders", "uid": uid,
    });
    let older = json!({"metadata": {"labels": {KAFKA_TOPIC_LABEL: null}, "ownerReferences": [owner]}});
    revisions.patch(&name, &PatchParams::default(), &Patch::Merge(older)).await?;

    let _operator = t.parts.start_operator("a", &[])?;
    t.eventually("the revision has no owner", async || {
        let revision = revisions.get(&name).await.map_err(|error| error.to_string())?;
        match revision.owner_references().is_empty() && revision.labels().contains_key(KAFKA_TOPIC_LABEL) {
            true => Ok(()),
            false => Err(format!("{:?}", revision.metadata)),
        }
    })
    .await;
    Ok(())
}
