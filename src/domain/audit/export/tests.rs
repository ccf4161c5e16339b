use expect_test::{Expect, expect};

use super::*;
use crate::domain::audit::testing::{INSTALLATION, Log, SIZE, describe, key, log_name, trusted};

/// The number of records of the log.
const RECORDS: usize = 300;

/// An export: header, two checkpoints, the records except for a gap, and the end.
fn export() -> Vec<String> {
    let mut log = Log::whole();
    log.rows.truncate(RECORDS);
    let mut lines = vec![header(&header_of(RECORDS as u64, Range::empty(0), Hash([0; 32])))];
    for size in [100, 290] {
        lines.push(text(&Line::Checkpoint(log.checkpoint(size).sign(&key('1')))));
    }
    lines.extend((0..150).map(|seq| record(&log, seq)));
    lines.push(text(&Line::Gap(log.range(150, 200))));
    lines.extend((200..RECORDS).map(|seq| record(&log, seq)));
    lines.push(text(&Line::End(End { records: 250 })));
    lines
}

fn header_of(size: u64, dropped: Range, chain: Hash) -> Header {
    let filter = Filter { text: Some("topic".to_owned()), ..Filter::default() };
    let (version, installation) = (VERSION.to_owned(), INSTALLATION.to_owned());
    Header { version, installation, log: log_name(), filter, dropped, chain, size }
}

fn header(header: &Header) -> String {
    text(&Line::Export(header.clone()))
}

fn record(log: &Log, at: usize) -> String {
    let body = String::from_utf8(log.rows[at].body.clone()).expect("text");
    text(&Line::Record(RawValue::from_string(body).expect("JSON")))
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).expect("JSON")
}

/// The line of the first record.
const FIRST: usize = 3;

fn read(lines: &[String], notes: &[(&str, &str)]) -> Result<Verified, ExportError> {
    let notes = notes.iter().map(|(name, note)| ((*name).to_owned(), (*note).to_owned())).collect();
    let mut reader = Reader::new(trusted(&key('1')), notes);
    lines.iter().try_for_each(|line| reader.read_line(line))?;
    reader.finish()
}

fn check(change: impl FnOnce(&mut Vec<String>), expected: Expect) {
    let mut lines = export();
    change(&mut lines);
    expected.assert_eq(&describe(read(&lines, &[])));
}

#[test]
fn an_untouched_export() {
    check(|_| {}, expect!["verified: 250 records of 0..300, signed up to 290 by 2 checkpoints"]);
    let lines = export();
    let shown = [&lines[0], &lines[1], &lines[FIRST], &lines[FIRST + 150], &lines[lines.len() - 1]];
    expect![[r#"
        {"export":{"version":"eventcenter.io/audit-export/v1","installation":"eventcenter","log":"team-a","filter":{"text":"topic"},"dropped":{"start":0,"end":0,"hashes":[]},"chain":"0000000000000000000000000000000000000000000000000000000000000000","size":300}}
        {"checkpoint":"eventcenter/audit/team-a\n100\nli6l3uYQ1KmcHrW1g61tJ8BaIoxFHhGPVcJ3Y4xycds=\n\n— eventcenter/audit/team-a dUnRfj31hnTg9lcrIIS1SKsKS+vfY5NQJjCzrcXEtqm0IBDcEu7tUkP7BUgFv3FIkEcfptMYPer+PRBWcsCPiDGmGQQ=\n"}
        {"record":{"action":"Update","actor":{"groups":["team-a"],"user":"user-0","via":"Admission"},"completes":"01900000-0000-7000-8000-000000000000","id":"01900000-0000-7000-8000-000000000000","message":"partitions 3 → 0","origin":{"component":"webhook","instance":"webhook-0"},"outcome":"Started","seq":0,"target":{"kind":"EventTopic","name":"topic-0"},"tenant":"team-a","time":"2023-11-14T22:13:20Z"}}
        {"gap":{"start":150,"end":200,"hashes":["5eca086a3c8a0157c29be1f0eff3c479f71e4e68c46a09066d89c2463a13cbd0","36b81dc1ac35b4e128feb062120cfab7f54c12ecbd9e7a01f9e41333c66b108e","f8cc6768bffb9c54bb0c4ab2d9ea03104f601a89c1e2746bd3c183cd94d60399","f57b1bd4a055174382bbedbb0f5cbaadf1fef5a0c4b104039c2972401079ff0a"]}}
        {"end":{"records":250}}
    "#]].assert_eq(&shown.map(|line| format!("{line}\n")).concat());
    let mut reader = Reader::new(TrustedKeys::default(), Vec::new());
    assert_eq!(reader.header(), None);
    reader.read_line(&lines[0]).expect("a header");
    assert_eq!(reader.header().map(|header| header.size), Some(RECORDS as u64));
}

#[test]
fn a_truncated_file() {
    check(
        |lines| lines.truncate(lines.len() - 1),
        expect!["line 255: unexpected end of file: the export is incomplete"],
    );
    check(|lines| lines.truncate(100), expect!["line 101: unexpected end of file: the export is incomplete"]);
    check(|lines| lines.truncate(1), expect!["line 2: unexpected end of file: the export is incomplete"]);
    check(Vec::clear, expect!["line 1: unexpected end of file: the export is incomplete"]);
    // In the middle of a line.
    check(
        |lines| lines[99].truncate(50),
        expect!["line 100: not a line of an export: EOF while parsing a string at column 50"],
    );
    // The last records are missing, and the last line was rewritten.
    let end = |records| text(&Line::End(End { records }));
    let truncate = |lines: &mut Vec<String>| {
        lines.truncate(lines.len() - 6);
        lines.push(end(245));
    };
    check(truncate, expect!["the log was truncated: it has 295 records, 300 according to the recorded size"]);
    // With the size in the header as well: after the last checkpoint nothing reveals it.
    let smaller = |lines: &mut Vec<String>| {
        truncate(lines);
        lines[0] = lines[0].replace(r#""size":300"#, r#""size":295"#);
    };
    check(smaller, expect!["verified: 245 records of 0..295, signed up to 290 by 2 checkpoints"]);
    let smallest = |lines: &mut Vec<String>| {
        lines.truncate(lines.len() - 21);
        lines.push(end(230));
        lines[0] = lines[0].replace(r#""size":300"#, r#""size":280"#);
    };
    check(
        smallest,
        expect!["the log was truncated: it has 280 records, 290 according to the checkpoint in line 3"],
    );
}

#[test]
fn removed_and_moved_lines() {
    check(|lines| drop(lines.remove(FIRST + 50)), expect!["record 50 is missing"]);
    check(|lines| drop(lines.remove(FIRST + 150)), expect!["records 150 to 199 are missing"]);
    check(|lines| drop(lines.remove(0)), expect!["line 1: the first line of an export is its header"]);
    check(|lines| lines.swap(FIRST + 50, FIRST + 51), expect!["records 50 and 51 were swapped"]);
    check(|lines| lines.swap(FIRST + 50, FIRST + 120), expect!["records 50 and 120 were swapped"]);
    check(
        |lines| lines.insert(FIRST + 50, lines[FIRST + 49].clone()),
        expect![
            "the record at position 50 (01900000-0000-7000-8000-000000000031) was inserted: it does not belong there"
        ],
    );
    check(
        |lines| lines.insert(FIRST + 150, lines[FIRST + 150].clone()),
        expect!["the record at position 150 was inserted: it does not belong there"],
    );
    check(
        |lines| lines.swap(FIRST, FIRST - 1),
        expect!["line 4: unexpected checkpoint after the first record"],
    );
    // An export without checkpoints is valid; the result states how much is signed.
    check(
        |lines| drop(lines.drain(1..FIRST)),
        expect!["verified: 250 records of 0..300, signed up to 0 by 0 checkpoints"],
    );
}

#[test]
fn two_exports_in_one_file() {
    check(|lines| lines.extend(export()), expect!["line 256: a second header"]);
    check(
        |lines| lines.extend(export().drain(FIRST..)),
        expect!["line 256: unexpected line after the end of the export"],
    );
    check(|lines| lines.insert(100, export()[0].clone()), expect!["line 101: a second header"]);
}

#[test]
fn edited_records() {
    let edit = |lines: &mut Vec<String>| {
        lines[FIRST + 50] = lines[FIRST + 50].replace("user-1", "user-2");
    };
    check(
        edit,
        expect![
            "records between 0 and 99 were rewritten: their root does not match the checkpoint in line 2"
        ],
    );
    let late = |lines: &mut Vec<String>| {
        let at = lines.len() - 2;
        lines[at] = lines[at].replace("user-", "other-");
    };
    check(late, expect!["verified: 250 records of 0..300, signed up to 290 by 2 checkpoints"]);
    check(
        |lines| lines[FIRST + 50] = r#"{"record":{"seq":50}}"#.to_owned(),
        expect!["record 50 cannot be read"],
    );
    check(
        |lines| lines[FIRST + 50] = r#"{"record":"nonsense"}"#.to_owned(),
        expect!["record 50 cannot be read"],
    );
    let gap = |lines: &mut Vec<String>| {
        let at = lines[FIRST + 150].find("hashes").expect("hashes") + 12;
        let other = if &lines[FIRST + 150][at..=at] == "0" { "1" } else { "0" };
        lines[FIRST + 150].replace_range(at..=at, other);
    };
    check(
        gap,
        expect![
            "records between 100 and 289 were rewritten: their root does not match the checkpoint in line 3"
        ],
    );
    // A record may be replaced by a gap; the number of records shows it.
    let hidden = |lines: &mut Vec<String>| {
        lines[FIRST + 50] = text(&Line::Gap(Log::whole().range(50, 51)));
        let last = lines.len() - 1;
        lines[last] = text(&Line::End(End { records: 249 }));
    };
    check(hidden, expect!["verified: 249 records of 0..300, signed up to 290 by 2 checkpoints"]);
}

#[test]
fn untrusted_checkpoints() {
    let resigned = |key: char| {
        move |lines: &mut Vec<String>| {
            lines[1] = text(&Line::Checkpoint(Log::whole().checkpoint(100).sign(&self::key(key))));
        }
    };
    check(resigned('1'), expect!["verified: 250 records of 0..300, signed up to 290 by 2 checkpoints"]);
    check(
        resigned('2'),
        expect!["the checkpoint in line 2 is not trusted: it is not signed by a trusted key"],
    );
    check(
        |lines| lines[2] = lines[2].replace("290", "291"),
        expect!["the checkpoint in line 3 is not trusted: the signature is invalid"],
    );
    check(
        |lines| lines[2] = r#"{"checkpoint":"nonsense"}"#.to_owned(),
        expect![
            "the checkpoint in line 3 is not trusted: not a signed checkpoint: the note has no signature"
        ],
    );
    // An export that claims to be of another log or installation.
    check(
        |lines| lines[0] = lines[0].replace("team-a", "team-b"),
        expect![[
            r#"the checkpoint in line 2 is not trusted: the origin is "eventcenter/audit/team-a", expected is "eventcenter/audit/team-b""#
        ]],
    );
    check(
        |lines| lines[0] = lines[0].replace(r#":"eventcenter""#, r#":"elsewhere""#),
        expect![[
            r#"the checkpoint in line 2 is not trusted: the origin is "eventcenter/audit/team-a", expected is "elsewhere/audit/team-a""#
        ]],
    );
    // Without keys no checkpoint is trusted, and no record counts as signed.
    let mut reader = Reader::new(TrustedKeys::default(), Vec::new());
    export().iter().for_each(|line| reader.read_line(line).expect("a line"));
    expect!["verified: 250 records of 0..300, signed up to 0 by 0 checkpoints"]
        .assert_eq(&describe(reader.finish()));
}

#[test]
fn additional_checkpoints() {
    let log = Log::whole();
    let note = |size: u64| log.checkpoint(size).sign(&key('1'));
    let check = |note: &str, expected: Expect| {
        expected.assert_eq(&describe(read(&export(), &[("the checkpoint of the ConfigMap", note)])));
    };
    check(&note(250), expect!["verified: 250 records of 0..300, signed up to 290 by 3 checkpoints"]);
    check(
        &note(SIZE),
        expect![
            "the log was truncated: it has 300 records, 2000 according to the checkpoint of the ConfigMap"
        ],
    );
    let mut other = log.checkpoint(250);
    other.root = Hash([7; 32]);
    check(
        &other.sign(&key('1')),
        expect![
            "records between 100 and 249 were rewritten: their root does not match the checkpoint of the ConfigMap"
        ],
    );
    check(
        &log.checkpoint(250).sign(&key('2')),
        expect!["the checkpoint of the ConfigMap is not trusted: it is not signed by a trusted key"],
    );
}

#[test]
fn an_export_with_dropped_records() {
    let mut log = Log::whole();
    log.drop_before(1024);
    let mut lines = vec![header(&header_of(SIZE, log.dropped.clone(), log.chain))];
    lines.push(text(&Line::Checkpoint(Log::whole().checkpoint(1900).sign(&key('1')))));
    lines.extend((0..log.rows.len()).map(|at| record(&log, at)));
    lines.push(text(&Line::End(End { records: 976 })));
    expect!["verified: 976 records of 1024..2000, signed up to 1900 by 1 checkpoints"]
        .assert_eq(&describe(read(&lines, &[])));
    lines[0] = lines[0].replace(r#""dropped":{"start":0,"end":1024"#, r#""dropped":{"start":0,"end":512"#);
    expect!["records 512 to 1023 are missing"].assert_eq(&describe(read(&lines, &[])));
}

#[test]
fn an_export_without_records() {
    let of = |size: u64, dropped: Range| {
        [header(&header_of(size, dropped, Hash([0; 32]))), text(&Line::End(End { records: 0 }))]
    };
    expect!["verified: 0 records of 0..0, signed up to 0 by 0 checkpoints"]
        .assert_eq(&describe(read(&of(0, Range::empty(0)), &[])));
    expect!["the log was truncated: it has 0 records, 1 according to the recorded size"]
        .assert_eq(&describe(read(&of(1, Range::empty(0)), &[])));
    let checkpoint = Log::whole().checkpoint(100).sign(&key('1'));
    expect!["the log was truncated: it has 0 records, 100 according to mine"]
        .assert_eq(&describe(read(&of(0, Range::empty(0)), &[("mine", &checkpoint)])));
    expect!["verified: 0 records of 1000..1000, signed up to 0 by 0 checkpoints"]
        .assert_eq(&describe(read(&of(1000, Log::whole().range(0, 1000)), &[("mine", &checkpoint)])));
}

#[test]
fn malformed_lines() {
    for (line, expected) in [
        ("", expect!["line 54: not a line of an export: EOF while parsing a value at column 0"]),
        ("nonsense", expect!["line 54: not a line of an export: expected value at column 1"]),
        ("{}", expect!["line 54: not a line of an export: expected value at column 2"]),
        ("[]", expect!["line 54: not a line of an export: expected value at column 1"]),
        (
            r#"{"record":{}} {"record":{}}"#,
            expect!["line 54: not a line of an export: trailing characters at column 15"],
        ),
        (
            r#"{"record":{},"gap":{"start":0,"end":0,"hashes":[]}}"#,
            expect!["line 54: not a line of an export: expected value at column 12"],
        ),
        (
            "{\"\u{1b}[2J\":1}",
            expect![[
                r#"line 54: not a line of an export: control character (\u0000-\u001F) found while parsing a string at column 3"#
            ]],
        ),
        (
            r#"{"gap":{"start":50,"end":18446744073709551615,"hashes":[]}}"#,
            expect![
                "line 54: not a line of an export: the hashes are not those of the leaves from 50 to 18446744073709551615"
            ],
        ),
        (
            r#"{"gap":{"start":50,"end":18446744073709551616,"hashes":[]}}"#,
            expect![
                "line 54: not a line of an export: invalid type: floating point `1.8446744073709552e+19`, expected u64 at column 45"
            ],
        ),
        (
            r#"{"gap":{"start":50,"end":49,"hashes":[]}}"#,
            expect!["line 54: not a line of an export: the hashes are not those of the leaves from 50 to 49"],
        ),
        (
            r#"{"gap":{"start":18446744073709551615,"end":18446744073709551615,"hashes":[]}}"#,
            expect!["records 50 to 18446744073709551614 are missing"],
        ),
        (
            r#"{"gap":{"start":0,"end":0,"hashes":[]}}"#,
            expect!["the record at position 0 was inserted: it does not belong there"],
        ),
        (
            r#"{"end":{"records":18446744073709551615}}"#,
            expect!["line 54: expected 18446744073709551615 records, found 50"],
        ),
        (
            r#"{"end":{"records":-1}}"#,
            expect![
                "line 54: not a line of an export: invalid value: integer `-1`, expected u64 at column 20"
            ],
        ),
    ] {
        check(|lines| lines.insert(FIRST + 50, line.to_owned()), expected);
    }
    check(
        |lines| lines[FIRST + 50] = format!("{{\"record\":{}}}", "[".repeat(100_000)),
        expect!["line 54: not a line of an export: expected value at column 100011"],
    );
    check(
        |lines| lines[FIRST + 50] = format!("{{\"record\":\"{}\"}}", "x".repeat(MAX_LINE_BYTES)),
        expect!["line 54: it is longer than 1048576 bytes"],
    );
}

#[test]
fn invalid_headers() {
    let check = |from: &str, to: &str, expected: Expect| {
        let mut lines = export();
        assert!(lines[0].contains(from), "{}", lines[0]);
        lines[0] = lines[0].replace(from, to);
        let described = describe(read(&lines, &[]));
        assert!(described.len() < 500, "{described}");
        expected.assert_eq(&described);
    };
    check(
        "export/v1",
        "export/v2",
        expect![
            "line 1: unsupported version eventcenter.io/audit-export/v2, supported is eventcenter.io/audit-export/v1"
        ],
    );
    check(
        VERSION,
        &"\\u001b[2J".repeat(1000),
        expect![[
            r#"line 1: unsupported version \u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{1b}[2J\u{…, supported is eventcenter.io/audit-export/v1"#
        ]],
    );
    check(r#":"eventcenter""#, r#":"\u001b[2J""#, expect!["line 1: invalid name of the installation"]);
    check(
        r#":"eventcenter""#,
        &format!(":\"{}\"", "x".repeat(1000)),
        expect!["line 1: invalid name of the installation"],
    );
    check(
        "team-a",
        &"A".repeat(100_000),
        expect![[
            r#"line 1: not a line of an export: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" is not a log: name a tenant (letters a to z, digits, - and .), or _platform at column 100091"#
        ]],
    );
    check(
        "team-a",
        "\\u001b",
        expect![[
            r#"line 1: not a line of an export: "\u{1b}" is not a log: name a tenant (letters a to z, digits, - and .), or _platform at column 97"#
        ]],
    );
    check(
        r#""end":0"#,
        r#""end":301"#,
        expect![
            "line 1: not a line of an export: the hashes are not those of the leaves from 0 to 301 at column 167"
        ],
    );
    check(
        r#""start":0,"end":0"#,
        r#""start":301,"end":301"#,
        expect!["line 1: more records were dropped than the log has"],
    );
    check(r#""start":0,"end":0"#, r#""start":3,"end":3"#, expect!["records 0 to 2 are missing"]);
    check(
        r#""size":300"#,
        r#""size":18446744073709551615"#,
        expect![
            "the log was truncated: it has 300 records, 18446744073709551615 according to the recorded size"
        ],
    );
    check(
        r#""size":300"#,
        r#""size":299"#,
        expect![
            "records were added without the journal: the log has 300, 299 according to the recorded size"
        ],
    );
    check(
        r#""size":300"#,
        r#""size":1e3"#,
        expect![
            "line 1: not a line of an export: invalid type: floating point `1000.0`, expected u64 at column 251"
        ],
    );
}

/// The header of an export names its filter, and its records match it.
#[test]
fn filters() {
    let filter = |filter: &'static str| {
        move |lines: &mut Vec<String>| lines[0] = lines[0].replace(r#"{"text":"topic"}"#, filter)
    };
    check(
        filter("{}"),
        expect!["records 150 to 199 were left out: an export without a filter contains every record"],
    );
    check(
        |lines| {
            filter("{}")(lines);
            // A gap without records leaves nothing out.
            lines[FIRST + 150] = text(&Line::Gap(Range::empty(150)));
        },
        expect!["records 150 to 199 are missing"],
    );
    check(
        filter(r#"{"text":"nobody"}"#),
        expect![[
            r#"record 0 (01900000-0000-7000-8000-000000000000) does not match the filter that the export names: text "nobody""#
        ]],
    );
    check(
        filter(r#"{"kind":"EventTopic","since":"2023-11-14T22:13:20Z"}"#),
        expect!["verified: 250 records of 0..300, signed up to 290 by 2 checkpoints"],
    );
    check(
        filter(r#"{"until":"2023-11-14T22:13:20Z"}"#),
        expect![
            "record 0 (01900000-0000-7000-8000-000000000000) does not match the filter that the export names: until 2023-11-14T22:13:20Z"
        ],
    );
    let omitted = read(&export(), &[]).expect("no finding");
    assert_eq!((omitted.records, omitted.omitted, omitted.signed_records), (250, 50, 240));
}

/// Checkpoints are verified when they are read, and only their values are kept.
#[test]
fn the_number_of_checkpoints_is_bounded() {
    let line = text(&Line::Checkpoint(Log::whole().checkpoint(100).sign(&key('1'))));
    check(
        |lines| lines.splice(1..1, vec![line.clone(); MAX_CHECKPOINTS - 2]).for_each(drop),
        expect!["verified: 250 records of 0..300, signed up to 290 by 1000 checkpoints"],
    );
    check(
        |lines| lines.splice(1..1, vec![line.clone(); MAX_CHECKPOINTS - 1]).for_each(drop),
        expect!["line 1002: more than 1000 checkpoints"],
    );
    let long = text(&Line::Checkpoint("x".repeat(MAX_LINE_BYTES - 100)));
    check(
        |lines| lines.insert(1, long),
        expect!["the checkpoint in line 2 is not trusted: not a signed checkpoint: the note is too long"],
    );
}
