//! A TCP proxy between the operator and one of the real parts, whose behaviour is switched at any time.
//!
//! What is held is kept and goes on once the mode allows it, as after a network that was away. If the
//! client goes meanwhile, it is thrown away: then the server never sees it. Requests to Kafka are told
//! apart by their kind, so that an operator can be stopped between any two of them.
//!
//! All proxies run on one runtime of their own: a test may block its thread and they go on.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Kinds of requests to Kafka, by the protocol's `api_key`.
pub(crate) const CREATE_TOPICS: i16 = 19;
pub(crate) const DELETE_TOPICS: i16 = 20;
pub(crate) const CREATE_ACLS: i16 = 30;
pub(crate) const DELETE_ACLS: i16 = 31;
pub(crate) const CREATE_PARTITIONS: i16 = 37;
pub(crate) const INCREMENTAL_ALTER_CONFIGS: i16 = 44;

/// What the proxy does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hands everything on.
    Pass,
    /// Hands everything on, what comes from the client so much later.
    Delay(Duration),
    /// Holds what comes from the client; what the server says still arrives.
    HoldRequests,
    /// Holds what the server says; what comes from the client still arrives and is done.
    HoldAnswers,
    /// Holds everything, both ways.
    HoldAll,
    /// Holds requests of this kind to Kafka, and what the client says after them on that connection.
    HoldKafka(i16),
    /// Nobody is there: open connections are ended, new ones closed at once.
    Refuse,
}

/// What is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Bytes that are not looked into.
    Opaque,
    /// Kafka without encryption.
    Kafka,
}

/// A running proxy. It ends, and its connections with it, when it is dropped.
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
    arrived: Mutex<HashMap<i16, usize>>,
}

impl Shared {
    fn note(&self, kind: i16) {
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }
}

impl Proxy {
    /// Listens on a port of its own for a server on this machine.
    pub(crate) fn start(server: u16, protocol: Protocol) -> Result<Self> {
        static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime can be made")
        });
        let port = xtask::port::free()?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            server,
            protocol,
            mode: watch::Sender::new(Mode::Pass),
            resets: watch::Sender::new(0),
            arrived: Mutex::default(),
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

    /// From now on it does this.
    pub(crate) fn set(&self, mode: Mode) {
        if mode == Mode::Refuse {
            self.reset();
        }
        self.shared.mode.send_replace(mode);
        if mode == Mode::Refuse {
            // Those that came in between.
            self.reset();
        }
    }

    /// Ends all connections that are open. What they held is thrown away.
    pub(crate) fn reset(&self) {
        self.shared.resets.send_modify(|number| *number += 1);
    }

    /// How many requests of a kind have come from clients so far, the held ones included.
    pub(crate) fn arrived(&self, kind: i16) -> usize {
        let arrived = self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.get(&kind).copied().unwrap_or_default()
    }

    /// How many requests have come that change something in Kafka.
    pub(crate) fn changes(&self) -> usize {
        [CREATE_TOPICS, DELETE_TOPICS, CREATE_PARTITIONS, INCREMENTAL_ALTER_CONFIGS]
            .into_iter()
            .map(|kind| self.arrived(kind))
            .sum()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if *shared.mode.borrow() == Mode::Refuse {
            continue;
        }
        tokio::spawn(stop.clone().run_until_cancelled_owned(carry(client, Arc::clone(&shared))));
    }
}

/// Carries one connection until one of its ends closes it, or it is reset.
async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let mut resets = shared.resets.subscribe();
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server)).await else { return };
    // Small messages that wait for each other would be slow, which nobody asked for.
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

/// One piece that is held or handed on as a whole, and when it came.
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
            shared.note(kind(&frame));
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

/// The first whole request in the buffer: its length in four bytes, then that many.
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
    let begun = *shared.resets.borrow();
    while let Some((came, piece)) = pieces.recv().await {
        loop {
            let now = *mode.borrow_and_update();
            if let (Mode::Delay(delay), true) = (now, requests) {
                sleep_until(came + delay).await;
            }
            if !holds(now, &piece, requests) {
                break;
            }
            tokio::select! {
                _ = mode.changed() => {}
                () = ended.cancelled() => return,
            }
        }
        // A reset comes before whatever the proxy is told next, even if it is noticed after it.
        if *shared.resets.borrow() != begun || write_all(&to, &piece).await.is_err() {
            return;
        }
    }
}

fn holds(mode: Mode, piece: &[u8], requests: bool) -> bool {
    match mode {
        Mode::Pass | Mode::Delay(_) | Mode::Refuse => false,
        Mode::HoldRequests => requests,
        Mode::HoldAnswers => !requests,
        Mode::HoldAll => true,
        Mode::HoldKafka(held) => requests && kind(piece) == held,
    }
}
