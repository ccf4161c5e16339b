//! A load balancer like a Service: each new connection is forwarded to the next replica.

use std::collections::BTreeSet;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// It runs until the test's process ends.
pub(super) struct Balancer {
    port: u16,
    removed: Arc<Mutex<BTreeSet<u16>>>,
}

impl Balancer {
    pub(super) fn start(ports: &[u16]) -> Result<Self> {
        let port = xtask::port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let (removed, ports) = (Arc::<Mutex<BTreeSet<u16>>>::default(), ports.to_vec());
        let excluded = Arc::clone(&removed);
        thread::spawn(move || {
            for (turn, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let mut order = ports.clone();
                order.rotate_left(turn % ports.len());
                order.retain(|port| !excluded.lock().unwrap_or_else(PoisonError::into_inner).contains(port));
                thread::spawn(move || {
                    let connect = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).ok();
                    if let Some(server) = order.iter().find_map(connect) {
                        join(&client, &server);
                    }
                });
            }
        });
        Ok(Self { port, removed })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Sends no new connections to a replica.
    pub(super) fn remove(&self, port: u16) {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
    }

    /// Sends new connections to a replica again.
    pub(super) fn add(&self, port: u16) {
        self.removed.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

/// Forwards both directions until both have ended.
fn join(client: &TcpStream, server: &TcpStream) {
    let forward = |mut from: &TcpStream, mut to: &TcpStream| {
        drop(copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    };
    thread::scope(|scope| {
        scope.spawn(move || forward(client, server));
        forward(server, client);
    });
}
