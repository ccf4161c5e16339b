//! Creates the Jobs of stored runs. A Job that exists is not created again, so each step can be repeated.
//!
//! A Job that has ended is deleted once its end is stored. So that it is not created again either, the store is asked whether the
//! attempt has started, and the Jobs of runs that are in the hands of the starter are not deleted meanwhile ([`JobStarter::is_creating`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::super::context::Context;
use crate::domain::task::job::{build_job, job_name};
use crate::domain::task::{Outcome, Run, RunId, RunState, Work};
use crate::error_chain::ErrorChain;
use crate::kubernetes::WriteError;
use crate::store;
use crate::store::runs::{FinishedAttempt, JobStart, Then};

/// Maximum number of Jobs that are created at once.
const MAX_CONCURRENT: usize = 32;

/// Delay before the creation of a Job is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// A request to the starter.
#[derive(Debug)]
enum Request {
    Start { run: Box<Run>, is_suspended: bool },
    Release(RunId),
    Forget(RunId),
    DeleteTask(Uuid),
}

/// Sends requests to the starter.
#[derive(Clone, Debug)]
pub(super) struct JobStarter {
    requests: mpsc::UnboundedSender<Request>,
    creating: Creating,
}

/// The receiver of the requests, which the starter takes.
pub(super) struct Requests {
    receiver: mpsc::UnboundedReceiver<Request>,
    creating: Creating,
}

/// The runs whose Jobs are being created, and how many requests do that.
#[derive(Clone, Debug, Default)]
struct Creating(Arc<Mutex<HashMap<RunId, usize>>>);

/// A request that creates the Job of a run, until dropped.
struct CreatingRun {
    creating: Creating,
    id: RunId,
}

impl Creating {
    fn begin(&self, id: RunId) -> CreatingRun {
        *self.0.lock().entry(id).or_default() += 1;
        CreatingRun { creating: self.clone(), id }
    }
}

impl Drop for CreatingRun {
    fn drop(&mut self) {
        let mut all = self.creating.0.lock();
        if let Some(count) = all.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.id);
            }
        }
    }
}

impl JobStarter {
    pub(super) fn new() -> (Self, Requests) {
        let (requests, receiver) = mpsc::unbounded_channel();
        let creating = Creating::default();
        (Self { requests, creating: creating.clone() }, Requests { receiver, creating })
    }

    /// Whether the Job of a run may be about to be created. If it is not, and the end of the attempt is stored, it is not created
    /// any more.
    pub(super) fn is_creating(&self, run: RunId) -> bool {
        self.creating.0.lock().contains_key(&run)
    }

    /// Creates the Job of a run at its due time. A suspended one is created at once, and waits.
    pub(super) fn enqueue(&self, run: Run, is_suspended: bool) {
        self.send(Request::Start { run: Box::new(run), is_suspended });
    }

    /// Lets the Job of a queued run start.
    pub(super) fn release(&self, run: RunId) {
        self.send(Request::Release(run));
    }

    /// The run has ended.
    pub(super) fn forget(&self, run: RunId) {
        self.send(Request::Forget(run));
    }

    /// The task was deleted.
    pub(super) fn delete_task(&self, task: Uuid) {
        self.send(Request::DeleteTask(task));
    }

    fn send(&self, request: Request) {
        // The receiver is dropped only while the process stops.
        let _ = self.requests.send(request);
    }
}

/// A run whose Job is to be created or released.
#[derive(Clone, Debug)]
struct Pending {
    run: Arc<Run>,
    is_suspended: bool,
    /// Whether the Job may exist suspended.
    may_be_suspended: bool,
    /// Whether the run may have changed in the store since it was read.
    may_be_outdated: bool,
}

/// Creates Jobs until dropped.
pub(super) async fn run(context: &Context, requests: Requests) {
    let Requests { receiver: mut requests, creating: in_creation } = requests;
    let mut pending: HashMap<RunId, Pending> = HashMap::new();
    let mut due: BTreeMap<(Timestamp, RunId), ()> = BTreeMap::new();
    let mut creating = FuturesUnordered::new();
    loop {
        let now = context.services.now();
        while creating.len() < MAX_CONCURRENT
            && let Some(((at, id), ())) = due.pop_first()
        {
            if at > now {
                due.insert((at, id), ());
                break;
            }
            if let Some(next) = pending.get(&id).cloned() {
                let guard = in_creation.begin(id);
                creating.push(async move {
                    let result = create(context, &next).await;
                    drop(guard);
                    (result, next)
                });
            }
        }
        let until_due = due
            .first_key_value()
            .filter(|_| creating.len() < MAX_CONCURRENT)
            .map(|((at, _), ())| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        tokio::select! {
            request = requests.recv() => match request {
                Some(Request::Start { run, is_suspended }) => {
                    let now = context.services.now();
                    let at = if is_suspended { now } else { run.due_at };
                    due.insert((at, run.id), ());
                    // A run without work was read from the store a while ago.
                    let may_be_outdated = run.work.is_none() || at > now;
                    let run = Arc::new(*run);
                    let may_be_suspended = is_suspended;
                    pending.insert(run.id, Pending { run, is_suspended, may_be_suspended, may_be_outdated });
                }
                Some(Request::Release(id)) => if let Some(waiting) = pending.get_mut(&id) {
                    (waiting.is_suspended, waiting.may_be_suspended) = (false, true);
                    waiting.may_be_outdated = true;
                    due.insert((now, id), ());
                },
                Some(Request::Forget(id)) => drop(pending.remove(&id)),
                Some(Request::DeleteTask(task)) => pending.retain(|_, next| next.run.task.uid != task),
                // The sender lives as long as the planner.
                None => std::future::pending().await,
            },
            Some((result, next)) = creating.next() => match result {
                // A queued run stays, to be released.
                Ok(Created::Done) if next.is_suspended => {}
                Ok(Created::Done) => {
                    // The next attempt may have been requested meanwhile.
                    let is_same = pending.get(&next.run.id).is_some_and(|later| Arc::ptr_eq(&later.run, &next.run));
                    if is_same {
                        pending.remove(&next.run.id);
                    }
                }
                Ok(Created::NotDue(at)) => drop(due.insert((at, next.run.id), ())),
                Err(error) => {
                    tracing::warn!(task = next.run.task.name, run = %next.run.id, error = %ErrorChain(&error), "creating a Job failed; retrying");
                    if let Some(failed) = pending.get_mut(&next.run.id) {
                        failed.may_be_outdated = true;
                    }
                    let at = context.services.now() + RETRY_DELAY;
                    due.insert((at, next.run.id), ());
                }
            },
            () = sleep(until_due) => {}
        }
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Why a Job was not created.
#[derive(Debug, thiserror::Error)]
enum CreateError {
    #[error(transparent)]
    Kubernetes(#[from] WriteError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("its task is not active")]
    Inactive,
}

/// What was done.
#[derive(Debug)]
enum Created {
    /// The Job exists, or is not needed.
    Done,
    /// The attempt starts later.
    NotDue(Timestamp),
}

async fn create(context: &Context, pending: &Pending) -> Result<Created, CreateError> {
    let Pending { run, is_suspended, may_be_suspended, may_be_outdated } = pending;
    let stored = match may_be_outdated {
        true => context.runs.get(&run.task.tenant, run.id).await?,
        false => Some(Run::clone(run)),
    };
    // The attempt has started, or the run has ended.
    let Some(run) = stored.filter(|run| matches!(run.state, RunState::Ready | RunState::Queued)) else {
        return Ok(Created::Done);
    };
    if !is_suspended && run.due_at > context.services.now() {
        return Ok(Created::NotDue(run.due_at));
    }
    create_job(context, &run, *is_suspended, *may_be_suspended).await?;
    Ok(Created::Done)
}

/// Creates or releases the Job of the next attempt of a run.
async fn create_job(
    context: &Context,
    run: &Run,
    is_suspended: bool,
    may_be_suspended: bool,
) -> Result<(), CreateError> {
    let attempt = run.attempts + 1;
    let Some(work) = &run.work else { return Ok(()) };
    context.task_registry.get(run.task.uid).ok_or(CreateError::Inactive)?;
    let built = Work::parse(work).and_then(|work| build_job(run, &work, attempt, is_suspended));
    let job = match built {
        Ok(job) => job,
        Err(error) => {
            return fail(context, run, attempt, format!("the stored work is invalid: {error}")).await;
        }
    };
    match context.services.kubernetes.create_unless_exists(&job).await {
        Ok(Some(_)) => {
            context.task_metrics.observe_start(run, context.services.now());
            Ok(())
        }
        Ok(None) if may_be_suspended && !is_suspended => {
            let name = job_name(run, attempt);
            Ok(context.services.kubernetes.release_job(&run.task.namespace, &name).await?)
        }
        Ok(None) => Ok(()),
        Err(error) if error.is_invalid() => fail(context, run, attempt, error.to_string()).await,
        Err(error) => Err(error.into()),
    }
}

/// Ends a run whose Job the API server will never accept.
async fn fail(context: &Context, run: &Run, attempt: u32, message: String) -> Result<(), CreateError> {
    let at = context.services.now();
    let job = job_name(run, attempt);
    context.runs.start_job(&[JobStart { id: run.id, attempt, at, job }]).await?;
    let outcome = Outcome { message: Some(message), ..Outcome::default() };
    let finished = FinishedAttempt {
        id: run.id,
        attempt,
        at,
        state: RunState::Failed,
        outcome,
        executed_by: None,
        runner: None,
        then: Then::End,
    };
    context.runs.finish_attempt(&[finished]).await?;
    Ok(())
}
