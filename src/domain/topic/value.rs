//! When two ways of writing a configuration value are the same to Kafka.
//!
//! Kafka reads what it is given and shows what it has read: `1` comes back as `1.0` where a ratio
//! is meant, `TRUE` as `true`, `compact, delete` as `compact,delete`. Taken for a difference, such
//! a value would be put right for ever.

/// Whether Kafka would read both as the same, whatever the type of the key.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one == other || read(one) == read(other)
}

#[derive(PartialEq)]
enum Read {
    Integer(i64),
    Double(f64),
    Boolean(bool),
    List(Vec<String>),
}

fn read(text: &str) -> Read {
    let text = text.trim();
    match text.parse::<i64>() {
        // As far as a double goes, 1 and 1.0 are one number; beyond that only integers are exact.
        Ok(number) if number.unsigned_abs() < 1 << 53 => {
            #[allow(clippy::cast_precision_loss, reason = "below 2^53 nothing is lost")]
            return Read::Double(number as f64);
        }
        Ok(number) => return Read::Integer(number),
        Err(_) => {}
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Read::Double(number);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => Read::Boolean(true),
        "false" => Read::Boolean(false),
        // Text without a comma is a list of one, whose case matters.
        _ => Read::List(text.split(',').map(|item| item.trim().to_owned()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_reads_as_the_same_is_the_same() {
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
            assert!(same(declared, shown) && same(shown, declared), "{declared} and {shown}");
        }
    }

    #[test]
    fn what_kafka_tells_apart_is_not_the_same() {
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
            assert!(!same(one, other) && !same(other, one), "{one} and {other}");
        }
    }
}
