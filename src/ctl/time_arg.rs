//! Points in time as arguments.

use anyhow::anyhow;
use jiff::civil::{Date, DateTime};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// The accepted formats, for error messages.
const FORMATS: &str = "write a duration before now (30m, 2h, 7d, 2w), a day (today, yesterday, 2026-11-21), a local time \
                       (2026-11-21T10:00), or a time with its zone (2026-11-21T10:00:00Z)";

/// Parses a point in time. Days, and times without a zone, are in the time zone of `now`; a day means its beginning.
pub(super) fn parse(text: &str, now: &Zoned) -> anyhow::Result<Timestamp> {
    let invalid = || anyhow!("{text:?} is not a time: {FORMATS}");
    let text = text.trim();
    let begin = |date: Date| date.to_zoned(now.time_zone().clone()).map(|zoned| zoned.timestamp());
    let time = match text.to_ascii_lowercase().as_str() {
        "now" => Ok(now.timestamp()),
        "today" => begin(now.date()),
        "yesterday" => now.date().yesterday().and_then(begin),
        folded => {
            if let Some(span) = span(folded) {
                now.checked_sub(span).map(|zoned| zoned.timestamp())
            } else if let Ok(time) = text.parse::<Timestamp>() {
                Ok(time)
            } else if let Ok(date) = text.parse::<Date>()
                && text.len() <= "2026-11-21".len()
            {
                begin(date)
            } else if let Ok(time) = text.parse::<DateTime>()
                && !text.contains(['[', '+'])
            {
                time.to_zoned(now.time_zone().clone()).map(|zoned| zoned.timestamp())
            } else {
                return Err(invalid());
            }
        }
    };
    time.map_err(|_| invalid())
}

/// Parses a number and its unit. Days and weeks are calendar days and weeks.
fn span(text: &str) -> Option<Span> {
    let number: i64 = text.get(..text.len().checked_sub(1)?)?.parse().ok().filter(|number| *number >= 0)?;
    match text.as_bytes().last()? {
        b's' => Span::new().try_seconds(number).ok(),
        b'm' => Span::new().try_minutes(number).ok(),
        b'h' => Span::new().try_hours(number).ok(),
        b'd' => Span::new().try_days(number).ok(),
        b'w' => Some(0.weeks()).and_then(|span| span.try_weeks(number).ok()),
        _ => None,
    }
}

/// Formats a time in a time zone, to the second.
pub(super) fn format(time: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The time now, in the local time zone.
#[expect(clippy::disallowed_methods, reason = "arguments are relative to now and in local time")]
pub(super) fn now() -> Zoned {
    Zoned::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The day after the end of daylight saving time in Berlin.
    const NOW: &str = "2026-10-26T09:30:00+01:00[Europe/Berlin]";

    fn check(text: &str) -> Result<String, String> {
        let now: Zoned = NOW.parse().expect("a time");
        parse(text, &now).map(|time| time.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn accepted_formats() {
        for (text, expected) in [
            ("now", "2026-10-26T08:30:00Z"),
            ("0s", "2026-10-26T08:30:00Z"),
            ("90s", "2026-10-26T08:28:30Z"),
            ("30m", "2026-10-26T08:00:00Z"),
            ("2h", "2026-10-26T06:30:00Z"),
            ("48h", "2026-10-24T08:30:00Z"),
            ("1d", "2026-10-25T08:30:00Z"),
            ("2d", "2026-10-24T07:30:00Z"),
            ("1w", "2026-10-19T07:30:00Z"),
            ("today", "2026-10-25T23:00:00Z"),
            ("Yesterday", "2026-10-24T22:00:00Z"),
            ("2026-10-24", "2026-10-23T22:00:00Z"),
            ("2026-10-26T10:00", "2026-10-26T09:00:00Z"),
            ("2026-10-26 10:00:30", "2026-10-26T09:00:30Z"),
            ("2026-10-26T10:00:00Z", "2026-10-26T10:00:00Z"),
            ("2026-10-26T10:00:00.5+05:30", "2026-10-26T04:30:00.5Z"),
            (" 2026-10-26T10:00Z ", "2026-10-26T10:00:00Z"),
        ] {
            assert_eq!(check(text), Ok(expected.into()), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "h",
            "soon",
            "2",
            "-2h",
            "2.5h",
            "2y",
            "2026",
            "2026-13-01",
            "10:00",
            "99999999999999999d",
            "é",
        ] {
            assert!(check(text).is_err_and(|error| error.contains("30m, 2h, 7d")), "{text}");
        }
    }

    #[test]
    fn times_are_formatted_in_their_zone() {
        let now: Zoned = NOW.parse().expect("a time");
        assert_eq!(format(now.timestamp(), now.time_zone()), "2026-10-26 09:30:00");
    }
}
