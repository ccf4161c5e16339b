//! Sends admission reviews, as the API server would, directly to the webhook: its throughput without the API server.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use eventcenter::api::EventTopic;
use futures::future::try_join_all;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Api, Client, Config, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::declaration::{Violation, configure, evolve, topic};
use crate::load::{Load, Writer};
use crate::protocol::Report;

/// The maximum number of stored EventTopics in the reviews.
const MAX_TOPICS: u32 = 500;

/// A review and its expected response.
struct Review {
    body: Vec<u8>,
    allowed: bool,
}

/// The reviews for the webhook at a path.
struct Reviews {
    path: String,
    reviews: Vec<Review>,
}

#[derive(Deserialize)]
struct ReviewResponse {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    allowed: bool,
}

#[derive(Deserialize)]
struct TopicList {
    items: Vec<Value>,
}

/// Sends [`Load::count`] reviews, with one connection per writer.
pub(crate) async fn run(client: Client, load: &Load, configuration: &str) -> Result<Report> {
    let webhook = find_webhook(&client, configuration).await?;
    let request =
        Request::new(EventTopic::url_path(&(), None)).list(&ListParams::default().limit(MAX_TOPICS))?;
    let stored: TopicList = client.request(request).await.context("listing EventTopics")?;
    ensure!(!stored.items.is_empty(), "there are no EventTopics to review");
    let reviews = (0..).zip(stored.items).map(|(number, stored)| review(number, stored));
    let reviews = reviews.collect::<Result<Vec<_>>>()?;
    let (_, path) = split_url(&webhook)?;
    let reviews = Arc::new(Reviews { path: path.to_owned(), reviews });
    let client = connect(&webhook).await?;
    // Opens a connection for each writer before the measurement.
    let first_reviews = (0..load.writers).map(|number| send(client.clone(), Arc::clone(&reviews), number));
    try_join_all(first_reviews).await?;
    let send = move |writer: Writer, number| send(writer.client, Arc::clone(&reviews), number);
    load.run(client, None, send).await
}

/// The webhook for EventTopics.
async fn find_webhook(client: &Client, configuration: &str) -> Result<ValidatingWebhook> {
    let found = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(configuration).await;
    let found = found.with_context(|| format!("reading ValidatingWebhookConfiguration {configuration}"))?;
    let plural = EventTopic::plural(&()).into_owned();
    let has_rule = |webhook: &ValidatingWebhook| {
        let mut resources =
            webhook.rules.iter().flatten().filter_map(|rule| rule.resources.as_ref()).flatten();
        resources.any(|resource| *resource == plural)
    };
    let mut webhooks = found.webhooks.into_iter().flatten();
    webhooks.find(has_rule).with_context(|| format!("{configuration} has no rule for {plural}"))
}

/// Splits the webhook's URL into its origin (scheme, host and port) and its path.
fn split_url(webhook: &ValidatingWebhook) -> Result<(&str, &str)> {
    let url = webhook.client_config.url.as_deref().context("the webhook has no URL")?;
    let (scheme, rest) = url.split_once("://").with_context(|| format!("{url} has no scheme"))?;
    let host = rest.find('/').unwrap_or(rest.len());
    Ok(url.split_at(scheme.len() + "://".len() + host))
}

/// A client that trusts the webhook's caBundle, as the API server does.
async fn connect(webhook: &ValidatingWebhook) -> Result<Client> {
    let (server, _) = split_url(webhook)?;
    let ca_bundle = webhook.client_config.ca_bundle.as_ref().context("the webhook has no caBundle yet")?;
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "webhook", "cluster": {"server": server, "certificate-authority-data": ca_bundle}}],
        "users": [{"name": "webhook", "user": {}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "webhook"}}],
        "current-context": "webhook",
    }))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Ok(Client::try_from(config.context("configuring the client of the webhook")?)?)
}

async fn send(client: Client, reviews: Arc<Reviews>, number: u32) -> Result<()> {
    let index = usize::try_from(number)? % reviews.reviews.len();
    let review = reviews.reviews.get(index).context("no reviews")?;
    let request = Request::new(&reviews.path).create(&PostParams::default(), review.body.clone())?;
    let ReviewResponse { response } = client.request(request).await.context("sending a review")?;
    ensure!(response.allowed == review.allowed, "review {index}: unexpected response");
    Ok(())
}

/// A review based on a stored EventTopic, with its managed fields. Of eight reviews, four are updates (alternately of the
/// configuration and of the schema), three are valid new topics, and one is a new topic that is refused.
fn review(number: u32, stored: Value) -> Result<Review> {
    let mut changed = stored.clone();
    if number % 2 == 1 {
        if number % 4 == 1 || !evolve(&mut changed) {
            configure(&mut changed);
        }
        changed["metadata"]["generation"] = json!(2);
        return Ok(Review { body: body("UPDATE", &changed, stored)?, allowed: true });
    }
    let name = format!("new-{number:05}");
    changed["spec"] = topic(&name, number)["spec"].take();
    changed["metadata"]["name"] = json!(name);
    let allowed = !number.is_multiple_of(8);
    if !allowed {
        Violation::of(number / 8).apply(&mut changed);
    }
    Ok(Review { body: body("CREATE", &changed, Value::Null)?, allowed })
}

/// An AdmissionReview with all fields of the API server's.
fn body(operation: &str, object: &Value, old: Value) -> Result<Vec<u8>> {
    let (group, version) = (EventTopic::group(&()), EventTopic::version(&()));
    let kind = json!({"group": group, "version": version, "kind": EventTopic::kind(&())});
    let resource = json!({"group": group, "version": version, "resource": EventTopic::plural(&())});
    let metadata = &object["metadata"];
    let options = if operation == "CREATE" { "CreateOptions" } else { "PatchOptions" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": metadata["uid"],
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "operation": operation,
            "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": options, "fieldManager": "bench"},
        },
    });
    Ok(serde_json::to_vec(&review)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DynamicObject;
    use kube::core::admission::{AdmissionRequest, AdmissionReview, Operation};

    #[test]
    fn reviews_are_valid_admission_reviews() {
        let stored = |number| {
            let mut stored = topic("t-00001", number);
            stored["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000001");
            stored["metadata"]["namespace"] = json!("team-001");
            stored
        };
        let mut operations = Vec::new();
        for number in 0..8 {
            let review = review(number, stored(number)).expect("a review");
            let read: AdmissionReview<DynamicObject> =
                serde_json::from_slice(&review.body).expect("a review");
            let request: AdmissionRequest<DynamicObject> = read.try_into().expect("with a request");
            let object = request.object.expect("with an object");
            let old = request.old_object.map(|old| old.data);
            assert!(old.is_none_or(|old| old["spec"] != object.data["spec"]), "unchanged spec");
            let topic: EventTopic = object.try_parse().expect("an EventTopic");
            assert_eq!(topic.metadata.namespace.as_deref(), Some("team-001"));
            operations.push((request.operation == Operation::Create, review.allowed));
        }
        let count = |expected| operations.iter().filter(|operation| **operation == expected).count();
        assert_eq!((count((true, true)), count((true, false)), count((false, true))), (3, 1, 4));
    }

    #[test]
    fn a_url_is_split_into_origin_and_path() {
        let webhook = |url: &str| -> ValidatingWebhook {
            serde_json::from_value(json!({
                "name": "a", "admissionReviewVersions": [], "sideEffects": "None", "clientConfig": {"url": url},
            }))
            .expect("a webhook")
        };
        let with_path = webhook("https://127.0.0.1:8443/validate");
        assert_eq!(split_url(&with_path).expect("a URL"), ("https://127.0.0.1:8443", "/validate"));
        assert_eq!(split_url(&webhook("https://a")).expect("a URL"), ("https://a", ""));
        assert!(split_url(&webhook("a")).is_err());
    }
}
