//! Events: the envelope's own JSON, the form of older producers, CloudEvents, and Kafka records.

use eventcenter_sdk::envelope::DEFAULT_MAX_BYTES;
use eventcenter_sdk::{CloudEvent, Envelope, KafkaRecord, kafka_headers};
use serde_json::Value;

use crate::harness::Target;

/// An event is the same in each of its forms.
fn check_forms(event: &Envelope) {
    let json = serde_json::to_vec(event).unwrap();
    assert_eq!(Envelope::from_slice(&json).as_ref().ok(), Some(event), "its JSON");
    assert_eq!(event.size(), json.len(), "its size");
    let _ = event.check_size(DEFAULT_MAX_BYTES);
    let _ = event.type_name();
    let cloudevent = CloudEvent::from(event.clone());
    let structured = cloudevent.clone().into_json();
    assert_eq!(structured, event.clone().into_cloudevent_json());
    let read = CloudEvent::from_slice(structured.to_string().as_bytes()).expect("structured mode");
    assert_eq!(read, cloudevent, "structured mode");
    let record = KafkaRecord::from(event.clone());
    assert_eq!(record.to_cloudevent().expect("binary mode"), cloudevent, "binary mode");
    assert_eq!(Envelope::try_from(cloudevent).as_ref().ok(), Some(event), "a CloudEvent");
}

#[test]
fn envelopes_in_json() {
    Target::new("envelope", 200, 16 * 1024).fuzz(
        |input| {
            let value: Option<Value> = serde_json::from_slice(input).ok();
            let older = value.map(|value| Envelope::from_snake_case(value, "orders"));
            let cloudevent = CloudEvent::from_slice(input).and_then(Envelope::try_from);
            [Some(Envelope::from_slice(input)), older, Some(cloudevent)]
        },
        |input, events| {
            let own = events[0].as_ref().and_then(|own| own.as_ref().ok());
            let serde: Option<Envelope> = serde_json::from_slice(input).ok();
            assert_eq!(serde.as_ref(), own, "serde reads the same event");
            for event in events.into_iter().flatten() {
                match event {
                    Ok(event) => check_forms(&event),
                    Err(error) => assert!(error.to_string().len() < 1_000, "{error}"),
                }
            }
        },
    );
}

/// An input is headers, a line each (`name: value`, or a name without a value), an empty line, and the value.
#[test]
fn kafka_records() {
    Target::new("kafka_record", 250, 16 * 1024).fuzz(
        |input| {
            let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
            let headers = input[..end].split(|byte| *byte == b'\n').filter_map(|line| {
                let colon = line.windows(2).position(|two| two == b": ");
                let name = std::str::from_utf8(&line[..colon.unwrap_or(line.len())]).ok()?;
                Some((name, colon.map(|colon| &line[colon + 2..])))
            });
            kafka_headers::read(headers, input.get(end + 2..))
        },
        |_, event| match event {
            Ok(event) => {
                let again = KafkaRecord::from(event.clone()).to_cloudevent();
                assert_eq!(again.as_ref().ok(), Some(&event), "it is the same event in a record");
                if let Ok(envelope) = Envelope::try_from(event) {
                    check_forms(&envelope);
                }
            }
            Err(error) => assert!(error.to_string().len() < 1_000, "{error}"),
        },
    );
}
