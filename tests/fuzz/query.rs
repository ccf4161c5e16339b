//! Queries of the REST API: filters of records, and cursors.

use eventcenter::domain::audit::Filter;
use eventcenter::domain::audit::cursor::Cursor;
use eventcenter::rest::parse_filter;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::harness::Target;

#[test]
fn filters() {
    Target::new("filter", 40, 64 * 1024).fuzz(
        |input| parse_filter(&String::from_utf8_lossy(input)),
        |_, filter| match filter {
            Ok(filter) => {
                let pairs = filter.query().into_iter();
                let encoded: Vec<String> = pairs
                    .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)))
                    .collect();
                assert_eq!(parse_filter(&encoded.join("&")).as_ref(), Ok(&filter), "written as a query");
                let json = serde_json::to_string(&filter).unwrap();
                assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter, "written as JSON");
                assert!(filter.to_string().len() <= 8 * 1024);
            }
            Err(error) => assert!(format!("{error:?}").len() < 16 * 1024),
        },
    );
}

#[test]
fn filters_in_json() {
    Target::new("filter_json", 40, 16 * 1024).fuzz(
        |input| serde_json::from_slice::<Filter>(input),
        |_, filter| {
            let Ok(filter) = filter else { return };
            let json = serde_json::to_string(&filter).unwrap();
            assert_eq!(serde_json::from_str::<Filter>(&json).unwrap(), filter);
            let _ = filter.to_string();
        },
    );
}

/// A cursor that is accepted is one that the server wrote for this log and filter.
#[test]
fn cursors() {
    let (log, filter) = ("shop".parse().unwrap(), Filter { open: true, ..Filter::default() });
    let other = Filter::default();
    Target::new("cursor", 8, 8 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            (Cursor::decode(&text, &log, &filter), Cursor::decode(&text, &log, &other))
        },
        |input, (own, others)| {
            assert!(own.is_err() || others.is_err(), "it is of one filter");
            if let Ok(cursor) = own {
                assert_eq!(cursor.encode(&log, &filter).as_bytes(), input);
            }
        },
    );
}
