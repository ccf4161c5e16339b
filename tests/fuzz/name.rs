//! Names and quantities, as users write them.

use std::fmt::Display;
use std::str::FromStr;

use eventcenter::domain::quantity;
use eventcenter_sdk::Invalid;
use eventcenter_sdk::rest::audit::LogName;
use eventcenter_sdk::{
    ClusterName, ConsumerGroup, EventId, EventTypeName, TenantName, TopicName, TopicPrefix,
};

use crate::harness::Target;

/// A name is written as it was read. An error quotes a part of the value only.
fn check<N: FromStr<Err: Display> + Display>(text: &str) {
    match text.parse::<N>() {
        Ok(name) => assert_eq!(name.to_string(), text),
        Err(error) => {
            let error = error.to_string();
            assert!(error.len() < 1_000, "{error}");
            assert!(!error.contains(|char: char| char.is_control()), "{error:?}");
        }
    }
}

#[test]
fn names() {
    Target::new("name", 8, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let type_name: Result<EventTypeName, Invalid> = text.parse();
            let topic: Result<TopicName, Invalid> = text.parse();
            (text, type_name.is_ok(), topic)
        },
        |_, (text, is_type, topic)| {
            check::<TopicName>(&text);
            check::<TenantName>(&text);
            check::<ClusterName>(&text);
            check::<ConsumerGroup>(&text);
            check::<EventId>(&text);
            check::<EventTypeName>(&text);
            check::<TopicPrefix>(&text);
            check::<LogName>(&text);
            assert_eq!(LogName::of(Some(&text)).to_string() == text, text.parse::<LogName>().is_ok());
            if let Ok(topic) = topic {
                assert!(topic.as_str().len() <= 249, "Kafka refuses longer names");
            }
            assert!(!is_type || text.len() <= 1_000, "{text}");
        },
    );
}

#[test]
fn quantities() {
    Target::new("quantity", 4, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            [quantity::parse_millis(&text), quantity::parse_bytes(&text)]
        },
        |input, parsed| {
            for quantity in parsed.into_iter().flatten() {
                assert_eq!(quantity < 0, input == b"unlimited", "{quantity}");
            }
        },
    );
}
