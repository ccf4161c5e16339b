//! One review: an AdmissionReview in, an AdmissionReview out.
//!
//! Whatever goes wrong is a refusal. What is not known is not allowed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use eventcenter_sdk::Reason;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Status;
use kube::core::admission::AdmissionResponse;
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::cache::{Cache, Snapshot};
use super::metrics::{Answered, Metrics};
use super::record::record;
use super::request::{Operation, Request, Review, User};
use super::seal_keys::SealKeys;
use super::{approval, change_approval, event_topic, kafka_cluster, mutate, schema, tenant};
use crate::api::{ChangeApproval, EventTopic, GROUP, KafkaCluster, Tenant};
use crate::domain::Refusal;
use crate::domain::admission::{Change, Verdict};
use crate::kubernetes::KubeClient;
use crate::store::Recorder;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Whether a change is allowed.
    Validate,
    /// What is to be added to it.
    Mutate,
}

/// This was not an AdmissionReview.
#[derive(Debug, thiserror::Error)]
#[error("this is not an AdmissionReview of admission.k8s.io/v1: {0}")]
pub(super) struct NotAReview(String);

/// Answers reviews.
#[derive(Clone, Debug)]
pub(super) struct Reviewer {
    pub(super) cache: Arc<Cache>,
    pub(super) kubernetes: KubeClient,
    pub(super) metrics: Metrics,
    pub(super) seal_keys: Arc<SealKeys>,
    pub(super) recorder: Recorder,
    pub(super) clock: fn() -> Timestamp,
}

/// How a review ended.
pub(super) enum Outcome {
    Allowed(Vec<String>),
    Completed(json_patch::Patch),
    Refused(Vec<Refusal>),
    /// The resource, or the request about it, makes no sense.
    Unreadable(String),
    /// Not everything is known yet.
    Early,
}

impl Reviewer {
    /// The answer to a request's body.
    pub(super) async fn answer(&self, task: Task, body: &[u8]) -> Result<Vec<u8>, NotAReview> {
        let begun = Instant::now();
        let review = match serde_json::from_slice::<Review<'_>>(body) {
            Ok(review) => review,
            Err(error) => return unreadable(body, &error),
        };
        if (review.types.api_version.as_str(), review.types.kind.as_str()) != V1 {
            return Err(NotAReview(format!("{} {}", review.types.api_version, review.types.kind)));
        }
        let request = review.request.ok_or_else(|| NotAReview("there is no request".into()))?;
        let by = if request.dry_run { Cow::Owned(self.rehearsing()) } else { Cow::Borrowed(self) };
        let outcome = match task {
            Task::Validate => by.validate(&request).await,
            Task::Mutate => mutate::mutate(&request, &by).await,
        };
        let (outcome, id) = record(task, &request, outcome, self).await;
        let answer = response(&request, &outcome, id);
        self.note(task, &request, &outcome, begun.elapsed());
        serde_json::to_vec(&answer.into_review()).map_err(|error| NotAReview(error.to_string()))
    }

    /// Who answers where nothing is going to be stored.
    fn rehearsing(&self) -> Self {
        Self { seal_keys: Arc::new(self.seal_keys.rehearsal()), ..self.clone() }
    }

    async fn validate(&self, request: &Request<'_>) -> Outcome {
        match kind(request) {
            "EventTopic" => {
                let closer =
                    async |change: &Change<'_, EventTopic>, user: &User, this: &Self| match schema::topic(
                        change,
                        &this.kubernetes,
                    )
                    .await
                    {
                        refusals if refusals.is_empty() => approval::change(change, user, this).await,
                        refusals => Verdict { refusals, warnings: Vec::new() },
                    };
                self.judge(request, event_topic::judge, closer).await
            }
            "ChangeApproval" => {
                let closer = async |change: &Change<'_, ChangeApproval>, user: &User, this: &Self| {
                    change_approval::decide(change, user, this).await
                };
                self.judge(request, change_approval::judge, closer).await
            }
            "Tenant" => self.judge::<Tenant>(request, tenant::judge, nothing_more).await,
            "KafkaCluster" => self.judge::<KafkaCluster>(request, kafka_cluster::judge, nothing_more).await,
            "ConfigMap" => {
                let schemas = async |change: &Change<'_, ConfigMap>, _: &User, this: &Self| {
                    let topics = this.cache.ask(|known| schema::taking(change, known)).unwrap_or_default();
                    schema::config_map(change, &topics, &this.kubernetes).await
                };
                self.judge(request, |_, _| Verdict::default(), schemas).await
            }
            _ => unknown(request),
        }
    }

    async fn judge<K: DeserializeOwned>(
        &self,
        request: &Request<'_>,
        judge: fn(&Change<'_, K>, &Snapshot) -> Verdict,
        look_closer: impl AsyncFn(&Change<'_, K>, &User, &Self) -> Verdict,
    ) -> Outcome {
        // One that was stored and cannot be read any more is held against nobody: what replaces it is
        // judged as if it were new, and it can be deleted.
        let old = request.stored::<K>().and_then(Result::ok);
        let new = match request.proposed::<K>().transpose() {
            Ok(new) => new,
            Err(error) => return Outcome::Unreadable(format!("{}: {error}", name(request))),
        };
        let change = match (request.operation, &old, &new) {
            (Operation::Create, _, Some(new)) | (Operation::Update, None, Some(new)) => Change::Create(new),
            (Operation::Update, Some(old), Some(new)) => Change::Update { old, new },
            (Operation::Delete, Some(old), _) => Change::Delete(old),
            (Operation::Delete, None, _) => return Outcome::Allowed(Vec::new()),
            _ => {
                return Outcome::Unreadable(format!("{}: there is no resource in the review", name(request)));
            }
        };
        let Some(mut verdict) = self.verdict(|known| judge(&change, known)).await else {
            return Outcome::Early;
        };
        if verdict.refusals.is_empty() {
            let more = look_closer(&change, &request.user_info, self).await;
            verdict.refusals = more.refusals;
            verdict.warnings.extend(more.warnings);
        }
        match verdict.refusals.is_empty() {
            true => Outcome::Allowed(verdict.warnings),
            false => Outcome::Refused(verdict.refusals),
        }
    }

    /// What is said from memory; nothing as long as not everything has been read. A Tenant and its
    /// topics are often applied in one go, and the watch that tells of the one may be behind the review of
    /// the other: so nobody is refused before there was another look at what others declare.
    async fn verdict(&self, judge: impl Fn(&Snapshot) -> Verdict) -> Option<Verdict> {
        let mut changes = self.cache.changes();
        let mut verdict = self.cache.ask(&judge)?;
        if is_about_the_platform(&verdict) {
            self.cache.refresh(&self.kubernetes).await;
            return self.cache.ask(&judge);
        }
        let deadline = Instant::now() + if is_about_topics(&verdict) { FAR_BEHIND } else { BEHIND };
        while !verdict.refusals.is_empty() && timeout_at(deadline, changes.changed()).await.is_ok() {
            verdict = self.cache.ask(&judge)?;
        }
        Some(verdict)
    }

    fn note(&self, task: Task, request: &Request<'_>, outcome: &Outcome, took: Duration) {
        let (result, reason) = match outcome {
            Outcome::Allowed(_) => ("allowed", ""),
            Outcome::Completed(_) => ("completed", ""),
            Outcome::Refused(refusals) => {
                ("refused", refusals.first().map_or("", |refusal| refusal.reason.as_str()))
            }
            Outcome::Unreadable(_) => ("refused", Reason::InvalidResource.as_str()),
            Outcome::Early => ("refused", EARLY),
        };
        let operation = match request.operation {
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Connect => "connect",
        };
        let kind = kind(request);
        self.metrics.answered(Answered { kind, operation, outcome: result, reason }, took);
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let user = request.user_info.username.as_str();
        let (name, dry_run) = (&request.name, request.dry_run);
        if result == "refused" {
            tracing::info!(kind, namespace, name, operation, user, dry_run, reason, "refused");
        } else {
            tracing::debug!(
                kind,
                namespace,
                name,
                operation,
                user,
                dry_run,
                ?task,
                result,
                ?took,
                "reviewed"
            );
        }
    }
}

/// What the annotation in Kubernetes' audit log is called, after the webhook's name and a slash.
const RECORD: &str = "record";

/// How long news of what others declare are waited for before that is held against anybody: the watch is
/// a few milliseconds behind.
const BEHIND: Duration = Duration::from_millis(10);

/// The same where other topics are in the way that may just have been deleted, as `kubectl delete` of a
/// folder does it. That is rare, and a refusal would be final.
const FAR_BEHIND: Duration = Duration::from_millis(250);

/// Whether a refusal is over as soon as it is seen that another topic is gone.
fn is_about_topics(verdict: &Verdict) -> bool {
    let about = |reason: Reason| matches!(reason, Reason::ResourceConflict | Reason::ResourceInUse);
    verdict.refusals.first().is_some_and(|first| about(first.reason))
}

/// Whether a refusal may be over as soon as a Tenant or a KafkaCluster is seen that was made just now.
/// That is certain only after a listing, for which an API server takes up to a tenth of a second.
fn is_about_the_platform(verdict: &Verdict) -> bool {
    use Reason::{ClusterNotAllowed, ClusterNotFound, TenantNotFound, TenantSuspended};
    let about = |reason: Reason| {
        matches!(reason, ClusterNotAllowed | ClusterNotFound | TenantNotFound | TenantSuspended)
    };
    verdict.refusals.first().is_some_and(|first| about(first.reason))
}

/// The word for a review that comes before everything was read; not a reason of a resource's state.
const EARLY: &str = "WebhookNotReady";

/// For what is judged from memory alone.
async fn nothing_more<K>(_: &Change<'_, K>, _: &User, _: &Reviewer) -> Verdict {
    Verdict::default()
}

pub(super) fn unknown(request: &Request<'_>) -> Outcome {
    Outcome::Unreadable(format!(
        "the webhook has no rules for {} of {:?}: take the kind out of the webhook configuration",
        request.kind.kind, request.kind.group
    ))
}

/// The kind as one of those that there are.
pub(super) fn kind(request: &Request<'_>) -> &'static str {
    let kinds: &[&'static str] = match request.kind.group.as_str() {
        GROUP => &["EventTopic", "Tenant", "KafkaCluster", "ChangeApproval"],
        "" => &["ConfigMap"],
        _ => &[],
    };
    kinds.iter().find(|kind| **kind == request.kind.kind).copied().unwrap_or("other")
}

/// The resource as people call it.
fn name(request: &Request<'_>) -> String {
    let namespace = request.namespace.iter().filter(|namespace| !namespace.is_empty());
    let place: String = namespace.flat_map(|namespace| [namespace, "/"]).collect();
    format!("{} {place}{}", request.kind.kind, request.name)
}

/// The answer. What was recorded is named in Kubernetes' own audit log, which knows from where somebody came.
fn response(request: &Request<'_>, outcome: &Outcome, record: Option<Uuid>) -> AdmissionResponse {
    let mut response = AdmissionResponse::invalid("");
    (response.uid, response.allowed, response.result) = (request.uid.clone(), true, Status::default());
    response.audit_annotations.extend(record.map(|id| (RECORD.to_owned(), id.to_string())));
    match outcome {
        Outcome::Allowed(warnings) => {
            response.warnings = (!warnings.is_empty()).then(|| warnings.clone());
        }
        Outcome::Completed(patch) => match response.clone().with_patch(patch.clone()) {
            Ok(with_patch) => response = with_patch,
            Err(error) => tracing::error!(%error, "writing a patch; the controller does it instead"),
        },
        Outcome::Refused(refusals) => {
            (response.allowed, response.result) = (false, refused(request, refusals));
        }
        Outcome::Unreadable(message) => {
            let refusal = Refusal::new(Reason::InvalidResource, message.clone());
            (response.allowed, response.result) = (false, refused(request, &[refusal]));
        }
        Outcome::Early => {
            let message =
                format!("{EARLY}: the webhook has not read the resources yet; try again in a moment");
            (response.allowed, response.result) = (false, status(503, EARLY, message));
        }
    }
    response
}

fn status(code: u16, reason: &str, message: String) -> Status {
    Status {
        status: Some(StatusSummary::Failure),
        code,
        message,
        reason: reason.to_owned(),
        ..Status::default()
    }
}

/// All refusals, a line each. Code and reason are those of the first.
fn refused(request: &Request<'_>, refusals: &[Refusal]) -> Status {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let reason = refusals.first().map_or(Reason::InvalidResource, |refusal| refusal.reason);
    let causes = refusals.iter().map(|refusal| StatusCause {
        reason: refusal.reason.as_str().to_owned(),
        message: refusal.message(),
        field: refusal.field.clone().unwrap_or_default(),
    });
    let details = StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        causes: causes.collect(),
        uid: String::new(),
        retry_after_seconds: 0,
    };
    let status = status(code(reason), reason.as_str(), lines.join("\n"));
    Status { details: Some(details), ..status }
}

/// The status of a refusal. 409 means to Kubernetes' clients that a resource has changed meanwhile, and
/// that the same may be tried again: kubectl would, five times, a second apart.
fn code(reason: Reason) -> u16 {
    match reason.http_status() {
        409 => 422,
        code => code,
    }
}

/// The reviews that are answered.
const V1: (&str, &str) = ("admission.k8s.io/v1", "AdmissionReview");

/// The answer to what cannot be read: a refusal in the parser's words, if it is at least known to whom.
fn unreadable(body: &[u8], error: &serde_json::Error) -> Result<Vec<u8>, NotAReview> {
    #[derive(Deserialize)]
    struct Review {
        request: Asked,
    }
    #[derive(Deserialize)]
    struct Asked {
        uid: String,
    }
    let Ok(Review { request: Asked { uid } }) = serde_json::from_slice(body) else {
        return Err(NotAReview(error.to_string()));
    };
    let mut response = AdmissionResponse::invalid("");
    response.uid = uid;
    let message = format!("{}: the review cannot be read: {error}", Reason::InvalidResource);
    response.result =
        status(Reason::InvalidResource.http_status(), Reason::InvalidResource.as_str(), message);
    serde_json::to_vec(&response.into_review()).map_err(|error| NotAReview(error.to_string()))
}
