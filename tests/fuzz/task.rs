//! What servers that tasks call respond.

use eventcenter::domain::task::attempt::parse_retry_after;
use eventcenter::domain::task::{Mask, Report};
use jiff::Timestamp;

use crate::harness::Target;

/// Counts are not negative. A value that is masked is not in the text any more, wherever it was.
#[test]
fn reports() {
    const SECRET: &str = "correct-horse";
    Target::new("report", 200, 64 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let report = Report::parse(&text);
            (text, report)
        },
        |_, (text, report)| {
            if let Some(report) = report {
                assert!(
                    report.items.is_none_or(|count| count >= 0)
                        && report.errors.is_none_or(|count| count >= 0)
                );
            }
            let place = (0..=text.len() / 2).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0);
            let with_secret = format!("{}{SECRET}{}", &text[..place], &text[place..]);
            assert!(!Mask::of([SECRET]).apply(&with_secret).contains(SECRET));
        },
    );
}

/// A delay is never negative, and the same for the same text.
#[test]
fn retry_after() {
    Target::new("retry_after", 16, 16 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let delay = parse_retry_after(&text, Timestamp::UNIX_EPOCH);
            (text, delay)
        },
        |_, (text, delay)| assert_eq!(parse_retry_after(&text, Timestamp::UNIX_EPOCH), delay),
    );
}
