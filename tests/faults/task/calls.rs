//! An HTTP server that tasks call. It keeps what it has received, and looks the run of each call up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use eventcenter::domain::task::RunId;
use eventcenter::store::Runs;
use eventcenter_sdk::name::TenantName;
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// How long the look-up of a run may take; the database may be away.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The name of the task.
    pub(super) task: String,
    /// The scheduled time of the run, as the call says it.
    pub(super) scheduled: String,
    /// The header `Idempotency-Key`.
    pub(super) key: RunId,
    /// The header `Eventcenter-Attempt`.
    pub(super) attempt: u32,
    /// The number of attempts of the run in the database when the call arrived: `Some(0)` if there was no run, `None` if the
    /// database did not answer.
    pub(super) stored_attempts: Option<u32>,
}

#[derive(Clone)]
struct Shared {
    calls: Arc<Mutex<Vec<Call>>>,
    runs: Runs,
    tenant: TenantName,
}

/// A server on the loopback interface.
pub(super) struct CallServer {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for CallServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl CallServer {
    /// Starts a server that answers each call of the tenant's tasks with 200.
    pub(super) async fn start(runs: Runs, tenant: TenantName) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared { calls: Arc::default(), runs, tenant };
        let calls = Arc::clone(&shared.calls);
        let routes = Router::new().fallback(handle).with_state(shared);
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.expect("the server runs") });
        Ok(Self { address, calls, task })
    }

    /// A URL on the server.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The number of calls so far.
    pub(super) fn count(&self) -> usize {
        self.calls.lock().len()
    }

    /// All calls so far.
    pub(super) fn all(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }
}

async fn handle(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (task, scheduled) = uri.path()[1..].split_once('/').expect("the path of a task");
    let key = RunId(header("idempotency-key").parse().expect("the id of a run"));
    let run = tokio::time::timeout(LOOK_UP_TIMEOUT, shared.runs.get(&shared.tenant, key)).await;
    let stored_attempts = match run {
        Ok(Ok(run)) => Some(run.map_or(0, |run| run.attempts)),
        Ok(Err(_)) | Err(_) => None,
    };
    shared.calls.lock().push(Call {
        task: task.to_owned(),
        scheduled: scheduled.replace("%3A", ":"),
        key,
        attempt: header("eventcenter-attempt").parse().expect("the number of an attempt"),
        stored_attempts,
    });
}
