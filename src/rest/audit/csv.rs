//! Records as CSV (RFC 4180) for spreadsheets.

use crate::domain::audit::Record;

const COLUMNS: [&str; 12] = [
    "time",
    "seq",
    "id",
    "actor",
    "action",
    "kind",
    "namespace",
    "name",
    "outcome",
    "reason",
    "message",
    "requestId",
];

/// The header line.
pub(super) fn header() -> Vec<u8> {
    to_csv([COLUMNS])
}

/// A line per record.
pub(super) fn lines<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    to_csv(records.into_iter().map(cells))
}

fn cells(record: &Record) -> [String; COLUMNS.len()] {
    let target = record.target.as_ref();
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    [
        record.time.to_string(),
        record.seq.to_string(),
        record.id.to_string(),
        record.actor.user.clone(),
        record.action.clone(),
        text(target.map(|target| &target.kind)),
        text(target.and_then(|target| target.namespace.as_ref())),
        text(target.map(|target| &target.name)),
        record.outcome.to_string(),
        text(record.reason.as_ref()),
        text(record.message.as_ref()),
        text(record.request_id.as_ref()),
    ]
    .map(escape_formula)
}

/// Prefixes cells that a spreadsheet would evaluate as a formula.
fn escape_formula(cell: String) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell,
    }
}

fn to_csv<R, C>(rows: impl IntoIterator<Item = R>) -> Vec<u8>
where
    R: IntoIterator<Item = C>,
    C: AsRef<[u8]>,
{
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("all rows have the same number of cells");
    }
    writer.into_inner().expect("a Vec accepts all bytes")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::audit::{Action, Actor, Event, LogName, Outcome, Target, Via};

    fn record(user: &str, message: Option<&str>) -> Record {
        let actor = Actor { user: user.into(), groups: vec![], via: Via::Admission };
        let event = Event {
            target: Some(Target {
                kind: "EventTopic".into(),
                namespace: Some("shop".into()),
                name: "orders".into(),
                uid: None,
            }),
            message: message.map(ToOwned::to_owned),
            request: Some("r-1".into()),
            ..Event::new(LogName::platform(), actor, Action::Create, Outcome::Allowed)
        };
        let time = "2026-11-21T08:00:00Z".parse().unwrap();
        event.into_draft(Uuid::from_u128(1), time, "webhook", "a-1").at_seq(7)
    }

    fn line(record: &Record) -> String {
        String::from_utf8(lines([record])).unwrap()
    }

    #[test]
    fn a_record_is_a_line() {
        let header = String::from_utf8(header()).unwrap();
        assert_eq!(
            header,
            "time,seq,id,actor,action,kind,namespace,name,outcome,reason,message,requestId\r\n"
        );
        assert_eq!(
            line(&record("alice", None)),
            "2026-11-21T08:00:00Z,7,00000000-0000-0000-0000-000000000001,alice,Create,EventTopic,shop,orders,Allowed,,,r-1\r\n"
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        for begin in ["=", "+", "-", "@", "\t", "\r"] {
            let text = format!("{begin}HYPERLINK(\"http://x\")");
            let line = line(&record(&text, Some(&text)));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let cells = reader.records().next().unwrap().unwrap();
            for (column, cell) in COLUMNS.iter().zip(&cells) {
                assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{column}: {cell:?}");
            }
            assert_eq!((&cells[3], &cells[10]), (&*format!("'{text}"), &*format!("'{text}")));
        }
    }

    #[test]
    fn commas_quotes_and_new_lines_stay_in_their_cell() {
        let text = "a, \"b\"\r\nc";
        let line = line(&record("alice", Some(text)));
        assert!(line.contains("\"a, \"\"b\"\"\r\nc\""), "{line}");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        assert_eq!(&reader.records().next().unwrap().unwrap()[10], text);
    }
}
