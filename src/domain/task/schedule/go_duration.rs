//! Durations as Go's `time.ParseDuration` parses them, for `@every`.

const MAX: u64 = 1 << 63;

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidDuration;

/// Parses a duration such as `1h30m` or `-1.5s` into nanoseconds.
pub(super) fn parse(text: &str) -> Result<i64, InvalidDuration> {
    let (is_negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(InvalidDuration);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = component(rest)?;
        total = total.checked_add(nanoseconds).filter(|total| *total <= MAX).ok_or(InvalidDuration)?;
        rest = after;
    }
    match is_negative {
        true => Ok(0_i64.wrapping_sub_unsigned(total)),
        false => i64::try_from(total).map_err(|_| InvalidDuration),
    }
}

/// A number and its unit at the start of `text`, in nanoseconds, and the rest.
fn component(text: &str) -> Result<(u64, &str), InvalidDuration> {
    let (digits, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if digits.is_empty() && fraction.is_empty() {
        return Err(InvalidDuration);
    }
    let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit = nanoseconds_of(unit).ok_or(InvalidDuration)?;
    let whole = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| InvalidDuration)? };
    if whole > MAX / unit {
        return Err(InvalidDuration);
    }
    let total = whole * unit + fraction_of(fraction, unit);
    if total > MAX { Err(InvalidDuration) } else { Ok((total, rest)) }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Go computes fractions in floating point, and ignores digits beyond 64 bits.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as in Go"
)]
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1_f64);
    for digit in digits.bytes() {
        if value > (MAX - 1) / 10 {
            break;
        }
        let longer = value * 10 + u64::from(digit - b'0');
        if longer > MAX {
            break;
        }
        value = longer;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn nanoseconds_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_in_go() {
        for (text, expected) in [
            ("1h30m", Ok(5_400_000_000_000)),
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("1.5s", Ok(1_500_000_000)),
            (".5s", Ok(500_000_000)),
            ("5.s", Ok(5_000_000_000)),
            ("+1h", Ok(3_600_000_000_000)),
            ("-1m", Ok(-60_000_000_000)),
            ("3\u{b5}s", Ok(3_000)),
            ("3\u{3bc}s", Ok(3_000)),
            ("1h1h", Ok(7_200_000_000_000)),
            ("0.3333333333333333333h", Ok(1_200_000_000_000)),
            ("0.100000000000000000000h", Ok(360_000_000_000)),
            ("9223372036854775807ns", Ok(i64::MAX)),
            ("-9223372036854775808ns", Ok(i64::MIN)),
            ("9223372036854775808ns", Err(InvalidDuration)),
            ("9223372036854775807s", Err(InvalidDuration)),
            ("99999999999999999999s", Err(InvalidDuration)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in
            ["", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "1 h", " 1h", "1h ", "1H", "--1h", "٣h", "1e3s"]
        {
            assert_eq!(parse(text), Err(InvalidDuration), "{text}");
        }
    }
}
