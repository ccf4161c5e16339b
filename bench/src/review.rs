//! Reviews as the API server sends them, straight to the webhook: what it can take when the API server
//! is not in front of it.

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

use crate::declaration::{Overreach, configure, evolve, topic};
use crate::load::{Load, Target, Writer};
use crate::protocol::Report;

/// How many stored EventTopics the reviews are about.
const TOPICS: u32 = 500;

/// A question, and what the answer has to be.
struct Review {
    body: Vec<u8>,
    allowed: bool,
}

/// The webhook, and what it is asked.
struct Questions {
    path: String,
    reviews: Vec<Review>,
}

#[derive(Deserialize)]
struct Answer {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    allowed: bool,
}

#[derive(Deserialize)]
struct Stored {
    items: Vec<Value>,
}

/// Sends as many reviews as there are topics to be done, over a connection for each writer.
pub(crate) async fn run(client: Client, load: &Load, configuration: &str) -> Result<Report> {
    let webhook = webhook(&client, configuration).await?;
    let there = Request::new(EventTopic::url_path(&(), None)).list(&ListParams::default().limit(TOPICS))?;
    let stored: Stored = client.request(there).await.context("listing EventTopics")?;
    ensure!(!stored.items.is_empty(), "there are no EventTopics to review");
    let reviews = (0..).zip(stored.items).map(|(number, stored)| review(number, stored));
    let reviews = reviews.collect::<Result<Vec<_>>>()?;
    let (_, path) = split(&webhook)?;
    let questions = Arc::new(Questions { path: path.to_owned(), reviews });
    let client = connect(&webhook).await?;
    // A connection for each writer, so that none has to be made while time is taken.
    try_join_all((0..load.writers).map(|number| ask(client.clone(), Arc::clone(&questions), number))).await?;
    let ask = move |writer: Writer, number| ask(writer.client, Arc::clone(&questions), number);
    load.run(client, Target::Gone, true, ask).await
}

/// The webhook that is asked about EventTopics.
async fn webhook(client: &Client, configuration: &str) -> Result<ValidatingWebhook> {
    let found = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(configuration).await;
    let found = found.with_context(|| format!("reading ValidatingWebhookConfiguration {configuration}"))?;
    let plural = EventTopic::plural(&()).into_owned();
    let is_asked = |webhook: &ValidatingWebhook| {
        let mut resources =
            webhook.rules.iter().flatten().filter_map(|rule| rule.resources.as_ref()).flatten();
        resources.any(|resource| *resource == plural)
    };
    let mut webhooks = found.webhooks.into_iter().flatten();
    webhooks.find(is_asked).with_context(|| format!("{configuration} is not about {plural}"))
}

/// Its scheme, host and port, and its path.
fn split(webhook: &ValidatingWebhook) -> Result<(&str, &str)> {
    let url = webhook.client_config.url.as_deref().context("the webhook is not called at a URL")?;
    let (scheme, place) = url.split_once("://").with_context(|| format!("{url} has no scheme"))?;
    let host = place.find('/').unwrap_or(place.len());
    Ok(url.split_at(scheme.len() + "://".len() + host))
}

/// A client that trusts whom the API server trusts.
async fn connect(webhook: &ValidatingWebhook) -> Result<Client> {
    let (server, _) = split(webhook)?;
    let trusted = webhook.client_config.ca_bundle.as_ref().context("the webhook has no caBundle yet")?;
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "webhook", "cluster": {"server": server, "certificate-authority-data": trusted}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "nobody"}}],
        "current-context": "webhook",
    }))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Ok(Client::try_from(config.context("reading where the webhook is")?)?)
}

async fn ask(client: Client, questions: Arc<Questions>, number: u32) -> Result<()> {
    let index = usize::try_from(number)? % questions.reviews.len();
    let review = questions.reviews.get(index).context("there are some")?;
    let request = Request::new(&questions.path).create(&PostParams::default(), review.body.clone())?;
    let answer: Answer = client.request(request).await.context("sending a review")?;
    ensure!(answer.response.allowed == review.allowed, "review {index} was not to be answered like that");
    Ok(())
}

/// A review that begins with what is stored, managed fields and all: of eight, four are updates (of the
/// configuration and of the schema in turn), three are new topics, one is a new one that is refused.
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
        Overreach::of(number / 8).apply(&mut changed);
    }
    Ok(Review { body: body("CREATE", &changed, Value::Null)?, allowed })
}

/// An AdmissionReview with all fields that an API server sends.
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
    fn reviews_are_reviews() {
        let stored = |number| {
            let mut stored = topic("t-00001", number);
            stored["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000001");
            stored["metadata"]["namespace"] = json!("team-001");
            stored
        };
        let mut operations = Vec::new();
        for number in 0..8 {
            let review = review(number, stored(number)).expect("it can be made");
            let read: AdmissionReview<DynamicObject> =
                serde_json::from_slice(&review.body).expect("a review");
            let request: AdmissionRequest<DynamicObject> = read.try_into().expect("with a request");
            let object = request.object.expect("with an object");
            let old = request.old_object.map(|old| old.data);
            assert!(old.is_none_or(|old| old["spec"] != object.data["spec"]), "nothing changes");
            let topic: EventTopic = object.try_parse().expect("an EventTopic");
            assert_eq!(topic.metadata.namespace.as_deref(), Some("team-001"));
            operations.push((request.operation == Operation::Create, review.allowed));
        }
        let count = |what| operations.iter().filter(|operation| **operation == what).count();
        assert_eq!((count((true, true)), count((true, false)), count((false, true))), (3, 1, 4));
    }

    #[test]
    fn a_url_is_a_server_and_a_path() {
        let webhook = |url: &str| -> ValidatingWebhook {
            serde_json::from_value(json!({
                "name": "a", "admissionReviewVersions": [], "sideEffects": "None", "clientConfig": {"url": url},
            }))
            .expect("a webhook")
        };
        let both = webhook("https://127.0.0.1:8443/validate");
        assert_eq!(split(&both).expect("a URL"), ("https://127.0.0.1:8443", "/validate"));
        assert_eq!(split(&webhook("https://a")).expect("a URL"), ("https://a", ""));
        assert!(split(&webhook("a")).is_err());
    }
}
