//! Equality of configuration values in Kafka.
//!
//! Kafka parses values and returns them in its own form: `1` becomes `1.0` for a ratio, `TRUE` becomes `true`, and
//! `compact, delete` becomes `compact,delete`. Comparing text would report drift forever.

/// Whether Kafka parses both values to the same one, whatever the type of the key.
#[must_use]
pub fn is_equal(one: &str, other: &str) -> bool {
    one == other || parse(one) == parse(other)
}

#[derive(PartialEq)]
enum Parsed {
    Integer(i64),
    Double(f64),
    Boolean(bool),
    List(Vec<String>),
}

fn parse(text: &str) -> Parsed {
    let text = text.trim();
    match text.parse::<i64>() {
        // Up to 2^53, 1 and 1.0 are the same double; beyond that only integers are exact.
        Ok(number) if number.unsigned_abs() < 1 << 53 => {
            #[allow(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
            return Parsed::Double(number as f64);
        }
        Ok(number) => return Parsed::Integer(number),
        Err(_) => {}
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Parsed::Double(number);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => Parsed::Boolean(true),
        "false" => Parsed::Boolean(false),
        // Text without a comma is a case-sensitive list of one.
        _ => Parsed::List(text.split(',').map(|item| item.trim().to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_to_kafka() {
        for (declared, shown) in [
            ("zstd", "zstd"),
            ("1", "1.0"),
            ("0.50", "0.5"),
            ("1e-3", "0.001"),
            ("007", "7"),
            (" 7 ", "7"),
            ("TRUE", "true"),
            ("compact, delete", "compact,delete"),
            ("9223372036854775807", "9223372036854775807"),
        ] {
            assert!(is_equal(declared, shown) && is_equal(shown, declared), "{declared} and {shown}");
        }
    }

    #[test]
    fn different_to_kafka() {
        for (one, other) in [
            ("1", "2"),
            ("-1", "1"),
            ("9223372036854775807", "9223372036854775806"),
            ("9007199254740993", "9007199254740992"),
            ("compact,delete", "delete,compact"),
            ("compact", "compact,delete"),
            ("CreateTime", "createtime"),
            ("true", "1"),
            ("", "0"),
            ("NaN", "nan"),
        ] {
            assert!(!is_equal(one, other) && !is_equal(other, one), "{one} and {other}");
        }
    }
}
