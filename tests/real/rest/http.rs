//! An HTTP client that also shows incomplete bodies.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// A response.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
    /// Whether the body is complete.
    pub(super) is_complete: bool,
}

impl Response {
    /// The body as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Status, code and reason of a response in the envelope.
    #[track_caller]
    pub(super) fn outcome(&self) -> (u16, u64, String) {
        let json = self.json();
        let reason = json["data"]["reason"].as_str().unwrap_or_default().to_owned();
        (self.status, json["code"].as_u64().expect("a code"), reason)
    }

    /// The data of a successful response in the envelope.
    #[track_caller]
    pub(super) fn data(&self) -> Value {
        assert_eq!(self.outcome(), (200, 0, String::new()), "{}", self.text());
        self.json()["data"].clone()
    }
}

/// Sends bytes and reads until the connection ends.
pub(super) fn exchange(port: u16, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port accepts connections");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    // A server that refuses early may close the connection before it has received everything.
    drop(stream.write_all(bytes));
    let mut all = Vec::new();
    drop(stream.read_to_end(&mut all));
    parse(&all)
}

/// Sends a request with headers.
pub(super) fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    exchange(port, request(method, path, headers).as_bytes())
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{lines}\r\n")
}

pub(super) fn parse(all: &[u8]) -> Response {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(all)));
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let rest = &all[end + 4..];
    let (body, is_complete) = match headers.get("transfer-encoding").map(String::as_str) {
        Some("chunked") => chunks(rest),
        _ => (rest.to_vec(), true),
    };
    Response { status, headers, body, is_complete }
}

fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return (body, false) };
        let size = std::str::from_utf8(&rest[..end]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return (body, false);
        };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, true);
        }
        if rest.len() < size + 2 {
            body.extend_from_slice(&rest[..size.min(rest.len())]);
            return (body, false);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}
