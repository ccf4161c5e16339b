//! Two probes over TCP: an HTTP GET, and whether a Kafka broker answers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(2);

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    Some(stream)
}

/// `GET path` on a loopback port: status code and body; `None` if no answer arrives in time.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = connect(port)?;
    // One write: a server that answers after the first of several and closes would reset the connection.
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Some((status, body.to_owned()))
}

const CORRELATION: [u8; 4] = *b"evct";

/// Whether a Kafka broker answers an ApiVersions request (version 0), which needs no login.
pub fn kafka_answers(port: u16) -> bool {
    api_versions(port).is_some_and(|answer| answer[..4] == CORRELATION && answer[4..6] == [0, 0])
}

fn api_versions(port: u16) -> Option<[u8; 6]> {
    let mut stream = connect(port)?;
    // key 18, version 0, correlation id, client id "x"
    let body = [&[0, 18, 0, 0], &CORRELATION[..], &[0, 1, b'x']].concat();
    let mut request = u32::try_from(body.len()).ok()?.to_be_bytes().to_vec();
    request.extend(body);
    stream.write_all(&request).ok()?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer).ok()?;
    answer[4..].try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn serve(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = listener.local_addr().expect("the listener is bound").port();
        thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let mut request = [0; 512];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(answer);
            }
        });
        port
    }

    #[test]
    fn status_and_body_are_returned() {
        let port = serve(b"HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\nnot yet");
        assert_eq!(get(port, "/readyz"), Some((503, "not yet".to_owned())));
    }

    #[test]
    fn a_closed_port_is_no_answer() {
        let port = crate::port::free().expect("there are free ports");
        assert_eq!(get(port, "/"), None);
        assert!(!kafka_answers(port));
    }

    #[test]
    fn an_answer_of_kafka_is_recognized() {
        assert!(kafka_answers(serve(b"\0\0\0\x0aevct\0\0\0\0\0\0")));
        assert!(!kafka_answers(serve(b"\0\0\0\x0aevct\0\x23\0\0\0\0")), "error 35");
        assert!(!kafka_answers(serve(b"HTTP/1.1 200 OK\r\n\r\n")));
    }
}
