//! Exports are complete and verifiable, or detectably incomplete.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use eventcenter::domain::audit::checkpoint::TrustedKeys;
use eventcenter::domain::audit::export::{Line, Reader};
use eventcenter::domain::audit::verify::{DropEvidence, Verified};
use serde_json::Value;
use xtask::test_environment::TestEnvironment;

use super::http::{parse, request, send};
use super::server::{INSTALLATION, RECORDS, SIGNED, TestServer, drop_first, fill, start, users};

/// Verifies an export with the published keys. Returns the result and the numbers of records and gaps.
fn verify_export(server: &TestServer, text: &str) -> (Verified, usize, usize) {
    let data = server.get(&users().shopper, "/api/audit/checkpoints").data();
    verify_with_keys(&data, text)
}

/// As [`verify_export`], with the keys in a response about checkpoints.
fn verify_with_keys(data: &Value, text: &str) -> (Verified, usize, usize) {
    let keys: Vec<&str> = data["keys"].as_array().expect("keys").iter().filter_map(Value::as_str).collect();
    let mut reader = Reader::new(TrustedKeys::parse(&keys.join("\n")), Vec::new());
    let (mut records, mut gaps) = (0, 0);
    for line in text.lines() {
        reader.read_line(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        match serde_json::from_str(line).expect("a line") {
            Line::Record(_) => records += 1,
            Line::Gap(_) => gaps += 1,
            _ => {}
        }
    }
    (reader.finish().expect("the export is valid"), records, gaps)
}

#[test]
fn an_export_is_verified_without_a_server() {
    let (server, users) = (TestServer::shared(), users());
    let answer = server.get(&users.shopper, "/api/audit/logs/export");
    assert_eq!((answer.status, answer.is_complete), (200, true));
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let name = &answer.headers["content-disposition"];
    assert!(name.starts_with(&format!("attachment; filename=\"audit-{}-", users.shop)), "{name}");
    assert!(name.ends_with(".ndjson\""), "{name}");
    let (verified, records, gaps) = verify_export(server, &answer.text());
    assert_eq!(gaps, 0);
    assert_eq!((verified.log.as_str(), verified.checkpoints), (users.shop.as_str(), SIGNED.len()));
    assert!(verified.size > RECORDS && verified.records == verified.size && records as u64 == verified.size);
    // The export contains its own record.
    assert!(answer.text().contains("\"action\":\"ExportAudit\""));
}

#[test]
fn an_export_with_a_filter_is_verified_as_well() {
    let (server, users) = (TestServer::shared(), users());
    for (query, expected) in
        [("actor=alice", 70), ("name=topic-333", 1), ("text=change%2012", 11), ("kind=Nothing", 0)]
    {
        let answer = server.get(&users.shopper, &format!("/api/audit/logs/export?action=Update&{query}"));
        let (verified, records, gaps) = verify_export(server, &answer.text());
        assert_eq!((records, verified.checkpoints), (expected, SIGNED.len()), "{query}");
        assert!(gaps >= SIGNED.len(), "{query}");
    }
}

/// Whatever the filter, an export proves that the retention dropped the first records.
#[test]
fn an_export_contains_the_record_of_the_drop() {
    let users = users();
    let data = fill(users);
    drop_first(data.folder.path(), &users.shop, 512);
    let (operator, port) = start(data.folder.path(), &[]);
    let bearer = format!("Bearer {}", users.shopper);
    let get = |path: &str| send(port, "GET", path, &[("Authorization", &bearer)]);
    let keys = get("/api/audit/checkpoints").data();
    for (query, matching) in
        [("", None), ("?actor=alice", Some(18)), ("?action=DropRecords", Some(0)), ("?kind=No", Some(0))]
    {
        let answer = get(&format!("/api/audit/logs/export{query}"));
        let (verified, records, _) = verify_with_keys(&keys, &answer.text());
        assert_eq!(
            (verified.first, verified.drop),
            (512, DropEvidence::Recorded { seq: RECORDS }),
            "{query}"
        );
        assert!(verified.signed > RECORDS, "{query}");
        if let Some(matching) = matching {
            assert_eq!(records, matching + 1, "{query}");
        }
    }
    let csv = get("/api/audit/logs/export?format=csv&actor=alice").text();
    assert!(!csv.contains("DropRecords"), "{csv}");
    operator.stop().expect("the operator stops");
}

/// `eventctl` exports and verifies with the keys and checkpoints of the cluster.
#[test]
fn eventctl_verifies_exports_with_the_cluster() {
    let users = users();
    let data = fill(users);
    let (operator, port) = start(data.folder.path(), &[]);
    let kubeconfig = TestEnvironment::get().expect("the environment").kubeconfig.clone();
    let eventctl = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventctl"));
        let command = command.arg("audit").args(arguments).current_dir(data.folder.path());
        let command = command.env("KUBECONFIG", &kubeconfig).env("EVENTCTL_TOKEN", &users.shopper);
        let output = command.env("EVENTCTL_SERVER", format!("http://127.0.0.1:{port}")).output();
        let output = output.expect("eventctl runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    let assert = |arguments: &[&str], code: i32, part: &str| {
        let (actual, text) = eventctl(arguments);
        assert!(actual == Some(code) && text.contains(part), "{arguments:?}: {actual:?}\n{text}");
    };
    let intact = format!("{}: 600 records (0 to 599) are intact", users.shop);
    assert(&["verify", "--cluster"], 0, &intact);
    assert(&["export", "--to", "all.ndjson"], 0, "all.ndjson: ");
    assert(&["verify", "--cluster", "--file", "all.ndjson"], 0, &intact);
    assert(&["export", "--actor", "alice", "--to", "alice.ndjson"], 0, "alice.ndjson: 70 records");
    let filtered = "the export has the filter actor \"alice\" and leaves out ";
    assert(&["verify", "--cluster", "--file", "alice.ndjson"], 2, filtered);
    assert(&["verify", "--cluster", "--file", "alice.ndjson", "--filtered"], 0, filtered);
    operator.stop().expect("the operator stops");

    // Records are removed without a record of the retention.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = super::server::open(data.folder.path());
        let log = users.shop.parse().expect("a log");
        assert_eq!(store.audit().drop_before(&log, 256).await.expect("records are dropped"), 256);
        store.close().await;
    });
    let store = [
        "verify",
        "--cluster",
        "--store",
        "sqlite:eventcenter.db",
        "--installation",
        INSTALLATION,
        "--tenant",
        &users.shop,
    ];
    assert(&store, 1, "records 0 to 255 are missing: no record shows that the retention dropped them");
}

#[test]
fn a_spreadsheet_gets_no_formula() {
    let (server, users) = (TestServer::shared(), users());
    let answer = server.get(&users.shopper, "/api/audit/logs/export?format=csv&action=Update");
    assert!(answer.is_complete && answer.headers["content-type"].starts_with("text/csv"));
    let mut rows = csv::Reader::from_reader(&answer.body[..]);
    assert_eq!(rows.headers().expect("a header").len(), 12);
    let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len() as u64, RECORDS);
    assert!(rows.iter().flatten().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    assert_eq!((&rows[0][3], &rows[1][3], &rows[1][1]), ("alice", "'=cmd|' /C calc'!A0", "1"));
}

/// A stream that cannot continue is cut off, so that it is detectably incomplete.
#[test]
fn an_export_cut_off_by_a_stop_is_detectable() {
    let users = users();
    let data = fill(users);
    add_records(data.folder.path(), &users.shop);
    let (operator, port) = start(data.folder.path(), &[]);
    let bearer = format!("Bearer {}", users.shopper);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port accepts connections");
    let request_text = request("GET", "/api/audit/logs/export", &[("Authorization", &bearer)]);
    stream.write_all(request_text.as_bytes()).expect("the request is sent");
    let mut all = vec![0; 4_096];
    stream.read_exact(&mut all).expect("the response begins");
    // The rest does not fit into the buffers of the connection, so the server is still sending.
    operator.stop().expect("the operator stops");
    drop(stream.read_to_end(&mut all));
    let answer = parse(&all);
    assert_eq!(answer.status, 200);
    assert!(!answer.is_complete && !answer.text().contains("{\"end\":"), "{} bytes", all.len());
    assert!(
        std::panic::catch_unwind(|| send(port, "GET", "/healthz", &[])).is_err(),
        "the port still accepts connections"
    );
}

/// Adds so many records that they do not fit into the buffers of a connection.
fn add_records(folder: &std::path::Path, log: &str) {
    super::server::add(folder, log, 6_000, 4_000);
}
