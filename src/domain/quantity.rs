//! Parses durations and sizes as users write them, such as `7d` and `10Gi`.

/// Kafka's value for "no limit", written `unlimited`.
const UNLIMITED: i64 = -1;

/// Parses a duration such as `7d` into milliseconds; `unlimited` is -1. `None` if it is invalid or exceeds 64 bits.
#[must_use]
pub fn parse_millis(text: &str) -> Option<i64> {
    parse(text, |unit| {
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

/// Parses a size such as `10Gi` into bytes; `unlimited` is -1. `None` if it is invalid or exceeds 64 bits.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<i64> {
    parse(text, |unit| {
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

fn parse(text: &str, factor: impl Fn(&str) -> Option<i64>) -> Option<i64> {
    if text == "unlimited" {
        return Some(UNLIMITED);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().ok()?;
    number.checked_mul(factor(&text[digits..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1ms", 1),
            ("90s", 90_000),
            ("5m", 300_000),
            ("36h", 129_600_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("unlimited", -1),
        ] {
            assert_eq!(parse_millis(text), Some(expected), "{text}");
        }
        for text in ["", "7", "d", "7x", "-1d", "7 d", "1.5h", "99999999999999999w", "٣d", "7dd"] {
            assert_eq!(parse_millis(text), None, "{text}");
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
            assert_eq!(parse_bytes(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "10GiB", "10 Gi", "1e9", "99999999999999999Pi", "10g"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
