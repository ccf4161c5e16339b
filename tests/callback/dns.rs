//! A DNS server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use eventcenter::callback::{CallbackClient, CallbackOptions};

use crate::client_with;

const A: u16 = 1;
const AAAA: u16 = 28;

/// A DNS server on a port of its own. It ends when it is dropped.
pub(crate) struct Dns {
    address: SocketAddr,
    queries: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Dns {
    /// Answers each query for IPv4 addresses with the next of these lists, the last one repeatedly, and queries for IPv6 addresses
    /// with the current one. No answer may be cached.
    pub(crate) async fn start(answers: &[&[IpAddr]]) -> Self {
        let socket = UdpSocket::bind((crate::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let queries = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&queries);
        let answers: Vec<Vec<IpAddr>> = answers.iter().map(|answer| answer.to_vec()).collect();
        let task = tokio::spawn(async move {
            let mut answers = answers.into_iter();
            let mut current = answers.next().unwrap();
            let mut is_first = true;
            let mut buffer = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let (name, kind, question) = read_question(&buffer[..length]);
                if kind == A {
                    log.lock().push(name);
                    if !is_first {
                        current = answers.next().unwrap_or(current);
                    }
                    is_first = false;
                }
                socket.send_to(&answer(&buffer[..2], question, kind, &current), client).await.unwrap();
            }
        });
        Self { address, queries, _task: AbortOnDropHandle::new(task) }
    }

    /// A client that asks this server.
    pub(crate) fn client(&self) -> CallbackClient {
        client_with(&CallbackOptions { nameservers: vec![self.address], ..CallbackOptions::default() })
    }

    /// The names whose IPv4 addresses were queried.
    pub(crate) fn queries(&self) -> Vec<String> {
        self.queries.lock().clone()
    }
}

/// The name, type and bytes of the question in a query.
fn read_question(query: &[u8]) -> (String, u16, &[u8]) {
    let mut name = String::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..=at + length]).unwrap());
        name.push('.');
        at += length + 1;
    }
    (name, u16::from_be_bytes([query[at + 1], query[at + 2]]), &query[12..at + 5])
}

fn answer(id: &[u8], question: &[u8], kind: u16, addresses: &[IpAddr]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match (address, kind) {
            (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
            (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
            _ => None,
        })
        .collect();
    let mut message = id.to_vec();
    // A response, with recursion; one question, then the answers.
    message.extend([0x81, 0x80, 0, 1, 0, u8::try_from(data.len()).unwrap(), 0, 0, 0, 0]);
    message.extend(question);
    for address in data {
        // The name of the question; class IN; a TTL of 0.
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(address.len()).unwrap()]);
        message.extend(address);
    }
    message
}
