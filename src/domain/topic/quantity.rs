//! Durations and sizes as people write them in `spec.retention`.

use eventcenter_sdk::Reason;

use crate::domain::Refusal;

/// Kafka's word for "no limit".
const UNLIMITED: i64 = -1;

/// `7d` → milliseconds, as Kafka's `retention.ms` wants them; `unlimited` → -1.
///
/// # Errors
/// Another form, or more than Kafka can hold (a 64-bit signed number).
pub fn milliseconds(text: &str) -> Result<i64, Refusal> {
    time(text).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            "spec.retention.time",
            format!(
                "{text:?} is not a time that Kafka can keep: write a number and its unit \
                 (ms, s, m, h, d or w), such as 7d, or unlimited"
            ),
        )
    })
}

/// `10Gi` → bytes, as Kafka's `retention.bytes` wants them; `unlimited` → -1.
///
/// # Errors
/// Another form, or more than Kafka can hold (a 64-bit signed number).
pub fn bytes(text: &str) -> Result<i64, Refusal> {
    size(text).ok_or_else(|| {
        Refusal::at(
            Reason::InvalidResource,
            "spec.retention.size",
            format!(
                "{text:?} is not a size that Kafka can keep: write a number of bytes, alone \
                 or with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 10Gi, or unlimited"
            ),
        )
    })
}

/// A time in milliseconds; `unlimited` is -1. None if it is no time, or too long for 64 bits.
#[must_use]
pub fn time(text: &str) -> Option<i64> {
    scaled(text, |unit| {
        Some(match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            "w" => 7 * 24 * 3600 * 1000,
            _ => return None,
        })
    })
}

/// A number of bytes; `unlimited` is -1. None if it is no size, or too large for 64 bits.
#[must_use]
pub fn size(text: &str) -> Option<i64> {
    scaled(text, |unit| {
        Some(match unit {
            "" => 1,
            "k" => 1000,
            "M" => 1000_i64.pow(2),
            "G" => 1000_i64.pow(3),
            "T" => 1000_i64.pow(4),
            "P" => 1000_i64.pow(5),
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            "Pi" => 1 << 50,
            _ => return None,
        })
    })
}

fn scaled(text: &str, unit: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    if text == "unlimited" {
        return Some(UNLIMITED);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok()?;
    number.checked_mul(unit(&text[digits..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1ms", 1),
            ("90s", 90_000),
            ("5m", 300_000),
            ("36h", 129_600_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("unlimited", -1),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "7", "d", "7x", "-1d", "7 d", "1.5h", "99999999999999999w", "٣d", "7dd"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("512", 512),
            ("1k", 1000),
            ("1Ki", 1024),
            ("10Gi", 10_737_418_240),
            ("2P", 2_000_000_000_000_000),
            ("unlimited", -1),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "Gi", "10GiB", "10 Gi", "1e9", "99999999999999999Pi", "10g"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_field_rule_and_remedy() {
        expect_test::expect![[r#"InvalidResource: spec.retention.time: "7 days" is not a time that Kafka can keep: write a number and its unit (ms, s, m, h, d or w), such as 7d, or unlimited"#]]
            .assert_eq(&milliseconds("7 days").expect_err("refused").to_string());
    }
}
