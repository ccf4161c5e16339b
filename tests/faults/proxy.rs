//! A TCP proxy between the operators and another part, with a mode that a test can change at any time.
//!
//! Data that the proxy holds is forwarded once the mode allows it, as after an interruption of the network. If the client
//! disconnects before that, the data is dropped, and the server never receives it. Requests to Kafka are distinguished by
//! their kind, so that a test can kill an operator between any two of them.
//!
//! All proxies run on a runtime of their own, so that they also run while a test blocks its thread.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Kinds of requests to Kafka: the `api_key` of the protocol.
pub(crate) const CREATE_TOPICS: i16 = 19;
pub(crate) const DELETE_TOPICS: i16 = 20;
pub(crate) const CREATE_ACLS: i16 = 30;
pub(crate) const DELETE_ACLS: i16 = 31;
pub(crate) const CREATE_PARTITIONS: i16 = 37;
pub(crate) const INCREMENTAL_ALTER_CONFIGS: i16 = 44;

/// What the proxy does with the data that it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Forwards everything.
    Pass,
    /// Forwards everything, the client's data with this delay.
    Delay(Duration),
    /// Holds the client's data and forwards the server's.
    HoldRequests,
    /// Holds the server's data and forwards the client's.
    HoldResponses,
    /// Holds everything.
    HoldAll,
    /// Holds requests of this kind to Kafka, and the client's later data on the same connection.
    HoldKafka(i16),
    /// Closes all connections, and new ones at once.
    Refuse,
}

/// The protocol of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Any bytes.
    Opaque,
    /// Kafka's protocol without encryption.
    Kafka,
}

/// A running proxy. Dropping it closes its connections.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    server: u16,
    protocol: Protocol,
    mode: watch::Sender<Mode>,
    resets: watch::Sender<u64>,
    received: Mutex<HashMap<i16, usize>>,
    forwarded: AtomicUsize,
    refused: AtomicUsize,
}

impl Shared {
    fn count(&self, kind: i16) {
        *self.received.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }
}

impl Proxy {
    /// Listens on a free port and forwards to a server on this machine.
    pub(crate) fn start(server: u16, protocol: Protocol) -> Result<Self> {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime")
        });
        let port = xtask::port::free()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            server,
            protocol,
            mode: watch::Sender::new(Mode::Pass),
            resets: watch::Sender::new(0),
            received: Mutex::default(),
            forwarded: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let _runtime = RUNTIME.enter();
        let accepting = accept(TcpListener::from_std(listener)?, Arc::clone(&shared), stop.clone());
        RUNTIME.spawn(stop.clone().run_until_cancelled_owned(accepting));
        Ok(Self { port, shared, _stop: stop.drop_guard() })
    }

    /// The port that clients use.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Changes the mode.
    pub(crate) fn set(&self, mode: Mode) {
        if mode == Mode::Refuse {
            self.reset();
        }
        self.shared.mode.send_replace(mode);
        if mode == Mode::Refuse {
            // Connections that were accepted meanwhile are closed as well.
            self.reset();
        }
    }

    /// Closes all open connections, and drops the data that they hold.
    pub(crate) fn reset(&self) {
        self.shared.resets.send_modify(|number| *number += 1);
    }

    /// The number of requests of a kind from clients so far, those that it holds included.
    pub(crate) fn received(&self, kind: i16) -> usize {
        let received = self.shared.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.get(&kind).copied().unwrap_or_default()
    }

    /// The number of pieces of data from clients that it has forwarded so far.
    pub(crate) fn forwarded(&self) -> usize {
        self.shared.forwarded.load(Ordering::Relaxed)
    }

    /// The number of connections that it has refused so far.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// The number of requests that change something in Kafka.
    pub(crate) fn received_changes(&self) -> usize {
        [CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS]
            .into_iter()
            .map(|kind| self.received(kind))
            .sum()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *shared.mode.borrow() == Mode::Refuse {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        tokio::spawn(stop.clone().run_until_cancelled_owned(forward(client, Arc::clone(&shared))));
    }
}

/// Forwards one connection until one of its ends closes it or the proxy resets it.
async fn forward(client: TcpStream, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)).await else { return };
    // Without it, small messages would wait for each other (Nagle's algorithm).
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = resets.changed() => {}
        () = pump(from_client, to_server, &shared, true) => {}
        () = pump(from_server, to_client, &shared, false) => {}
    }
}

async fn pump(from: OwnedReadHalf, to: OwnedWriteHalf, shared: &Shared, requests: bool) {
    let (sender, receiver) = mpsc::channel(256);
    let ended = CancellationToken::new();
    let reading = async {
        read(from, sender, shared, requests).await;
        ended.cancel();
    };
    tokio::join!(reading, write(to, receiver, shared, requests, &ended));
}

/// Data that is held or forwarded as a whole, and when it arrived.
type Piece = (Instant, Vec<u8>);

async fn read(from: OwnedReadHalf, pieces: mpsc::Sender<Piece>, shared: &Shared, requests: bool) {
    let framed = requests && shared.protocol == Protocol::Kafka;
    let mut buffer = Vec::new();
    while let Ok(1..) = read_some(&from, &mut buffer).await {
        if !framed {
            if pieces.send((Instant::now(), std::mem::take(&mut buffer))).await.is_err() {
                return;
            }
            continue;
        }
        while let Some(frame) = next_frame(&mut buffer) {
            shared.count(kind(&frame));
            if pieces.send((Instant::now(), frame)).await.is_err() {
                return;
            }
        }
    }
}

async fn read_some(from: &OwnedReadHalf, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut some = vec![0; 16 * 1024];
    loop {
        from.readable().await?;
        match from.try_read(&mut some) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => {
                buffer.extend_from_slice(&some[..*result.as_ref().unwrap_or(&0)]);
                return result;
            }
        }
    }
}

async fn write_all(to: &OwnedWriteHalf, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        to.writable().await?;
        match to.try_write(piece) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            Ok(written) => piece = &piece[written..],
        }
    }
    Ok(())
}

/// The first complete request in the buffer: four bytes of length, then that many bytes.
fn next_frame(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(buffer.get(..4)?.try_into().ok()?);
    let end = 4 + usize::try_from(length).ok()?;
    (buffer.len() >= end).then(|| buffer.drain(..end).collect())
}

/// The kind of a request: the two bytes after its length.
fn kind(frame: &[u8]) -> i16 {
    frame.get(4..6).and_then(|bytes| bytes.try_into().ok()).map_or(-1, i16::from_be_bytes)
}

async fn write(
    to: OwnedWriteHalf,
    mut pieces: mpsc::Receiver<Piece>,
    shared: &Shared,
    requests: bool,
    ended: &CancellationToken,
) {
    let mut mode = shared.mode.subscribe();
    let begin = *shared.resets.borrow();
    while let Some((arrived, piece)) = pieces.recv().await {
        loop {
            let now = *mode.borrow_and_update();
            if let (Mode::Delay(delay), true) = (now, requests) {
                sleep_until(arrived + delay).await;
            }
            if !holds(now, &piece, requests) {
                break;
            }
            tokio::select! {
                _ = mode.changed() => {}
                () = ended.cancelled() => return,
            }
        }
        // A reset counts before any later mode, even if this task notices the mode first.
        if *shared.resets.borrow() != begin || write_all(&to, &piece).await.is_err() {
            return;
        }
        if requests {
            shared.forwarded.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn holds(mode: Mode, piece: &[u8], requests: bool) -> bool {
    match mode {
        Mode::Pass | Mode::Delay(_) | Mode::Refuse => false,
        Mode::HoldRequests => requests,
        Mode::HoldResponses => !requests,
        Mode::HoldAll => true,
        Mode::HoldKafka(held) => requests && kind(piece) == held,
    }
}
