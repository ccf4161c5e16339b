//! The baseline of calls: HTTP calls whose rows are committed one by one, without schedules, claims, batches and a log of results.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use eventcenter::store::StoreUrl;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use uuid::Uuid;

use super::calls;
use super::manifest::KEY;
use crate::load::Load;
use crate::protocol::{self, Latency, Report};

const CREATE: &str = "CREATE TABLE plain_call (id uuid PRIMARY KEY, called boolean NOT NULL)";
const INSERT: &str = "INSERT INTO plain_call (id, called) VALUES ($1, false)";
const UPDATE: &str = "UPDATE plain_call SET called = true WHERE id = $1";

/// Makes `load.count` calls over `load.writers` connections, each as soon as the one before has ended. The latency is the time from
/// the insertion of a row until its update.
pub(super) async fn call(load: &Load, store: &StoreUrl) -> Result<Report> {
    let StoreUrl::Postgres(url) = store else { bail!("the baseline of calls needs PostgreSQL") };
    let mut first = PgConnection::connect(url).await.context("connecting to PostgreSQL")?;
    sqlx::query(CREATE).execute(&mut first).await.context("creating a table")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("listening for calls")?;
    let port = listener.local_addr()?.port();
    let server = LocalSet::new();
    server.spawn_local(calls::accept(listener, std::rc::Rc::default()));
    server.run_until(run(load, url, port)).await
}

async fn run(load: &Load, url: &str, port: u16) -> Result<Report> {
    let mut workers = Vec::new();
    for _ in 0..load.writers {
        workers.push(Worker::connect(url, port).await?);
    }
    let start = protocol::ready().await?;
    let mut all = JoinSet::new();
    for (first, worker) in (0..load.writers).zip(workers) {
        let (count, writers) = (load.count, load.writers);
        let numbers = (first..count).step_by(usize::try_from(writers).unwrap_or(1));
        all.spawn_local(worker.run(numbers.len()));
    }
    let mut latencies = Vec::new();
    while let Some(worker) = all.join_next().await {
        latencies.extend(worker??);
    }
    Ok(Report {
        wall_seconds: start.elapsed().as_secs_f64(),
        count: load.count,
        done: u32::try_from(latencies.len())?,
        latency_seconds: Latency::of(latencies),
        ..Report::default()
    })
}

/// A connection to the database and one to the receiver.
struct Worker {
    database: PgConnection,
    receiver: SendRequest<Empty<Bytes>>,
}

impl Worker {
    async fn connect(url: &str, port: u16) -> Result<Self> {
        let database = PgConnection::connect(url).await.context("connecting to PostgreSQL")?;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting to the receiver")?;
        stream.set_nodelay(true)?;
        let (receiver, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(Self { database, receiver })
    }

    /// Makes calls one after the other. Returns how long each took.
    async fn run(mut self, count: usize) -> Result<Vec<Duration>> {
        let mut latencies = Vec::with_capacity(count);
        for _ in 0..count {
            let (start, id) = (Instant::now(), Uuid::now_v7());
            sqlx::query(INSERT).bind(id).execute(&mut self.database).await.context("inserting a row")?;
            let request = Request::post("/").header("host", "127.0.0.1").header(KEY, id.to_string());
            self.receiver.ready().await?;
            let answer = self.receiver.send_request(request.body(Empty::new())?).await.context("calling")?;
            ensure!(answer.status() == StatusCode::OK, "the receiver answers {}", answer.status());
            answer.into_body().collect().await?;
            sqlx::query(UPDATE).bind(id).execute(&mut self.database).await.context("updating a row")?;
            latencies.push(start.elapsed());
        }
        Ok(latencies)
    }
}
