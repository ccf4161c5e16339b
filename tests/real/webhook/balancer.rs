//! What a Service is to several replicas: each new connection goes to the next one that is there.

use std::collections::BTreeSet;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// It ends with the test's process.
pub(super) struct Balancer {
    port: u16,
    out: Arc<Mutex<BTreeSet<u16>>>,
}

impl Balancer {
    pub(super) fn start(ports: &[u16]) -> Result<Self> {
        let port = xtask::port::free()?;
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let (out, ports) = (Arc::<Mutex<BTreeSet<u16>>>::default(), ports.to_vec());
        let left_out = Arc::clone(&out);
        thread::spawn(move || {
            for (turn, client) in listener.incoming().enumerate() {
                let Ok(client) = client else { return };
                let mut order = ports.clone();
                order.rotate_left(turn % ports.len());
                order.retain(|port| !left_out.lock().unwrap_or_else(PoisonError::into_inner).contains(port));
                thread::spawn(move || {
                    let connect = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).ok();
                    if let Some(server) = order.iter().find_map(connect) {
                        join(&client, &server);
                    }
                });
            }
        });
        Ok(Self { port, out })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// No new connection goes there.
    pub(super) fn leave_out(&self, port: u16) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
    }

    pub(super) fn take_back(&self, port: u16) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

/// Hands on what either says until both have ended.
fn join(client: &TcpStream, server: &TcpStream) {
    let hand_on = |mut from: &TcpStream, mut to: &TcpStream| {
        drop(copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    };
    thread::scope(|scope| {
        scope.spawn(move || hand_on(client, server));
        hand_on(server, client);
    });
}
