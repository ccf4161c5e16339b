use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::is_attribute_char;

fn minimal() -> Envelope {
    typed("user.created")
}

fn typed(event_type: &str) -> Envelope {
    let time = "2026-01-31T12:00:00Z".parse().unwrap();
    Envelope::new(EventId::parse("e-1").unwrap(), event_type, "user-service", time, json!({"email": "a@b.c"}))
        .unwrap()
}

/// An event with every field set, and its JSON.
pub(crate) fn full() -> (Envelope, Value) {
    let metadata = Metadata {
        request_id: Some("r-1".to_owned()),
        user_agent: Some("curl/8".to_owned()),
        source_ip: Some("192.0.2.1".to_owned()),
        session_id: Some("s-1".to_owned()),
    };
    let envelope = typed("User.Created.v2")
        .with_version("2.1")
        .and_then(|event| event.with_tenant(TenantName::parse("shop")?).with_user("u-1"))
        .map(|event| event.with_correlation(EventId::parse("c-1").unwrap()))
        .map(|event| event.with_causation(EventId::parse("e-0").unwrap()))
        .and_then(|event| event.with_metadata(metadata))
        .and_then(|event| {
            event.with_extension("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        })
        .and_then(|event| event.with_extension("subject", "users/1"))
        .unwrap();
    let json = json!({
        "id": "e-1",
        "type": "User.Created.v2",
        "version": "2.1",
        "timestamp": "2026-01-31T12:00:00Z",
        "source": "user-service",
        "tenantId": "shop",
        "userId": "u-1",
        "correlationId": "c-1",
        "causationId": "e-0",
        "data": {"email": "a@b.c"},
        "metadata": {"requestId": "r-1", "userAgent": "curl/8", "sourceIp": "192.0.2.1", "sessionId": "s-1"},
        "extensions": {
            "subject": "users/1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    });
    (envelope, json)
}

#[test]
fn json_has_the_fields_of_the_standard() {
    assert_eq!(
        serde_json::to_string(&minimal()).unwrap(),
        r#"{"id":"e-1","type":"user.created","version":"1","timestamp":"2026-01-31T12:00:00Z","source":"user-service","data":{"email":"a@b.c"},"metadata":{}}"#
    );
    let (envelope, json) = full();
    assert_eq!(serde_json::to_value(&envelope).unwrap(), json);
    assert_eq!(serde_json::from_value::<Envelope>(json).unwrap(), envelope);
}

#[test]
fn unknown_and_absent_optional_fields_are_accepted() {
    let (envelope, mut json) = full();
    json["addedLater"] = json!(true);
    assert_eq!(serde_json::from_value::<Envelope>(json).unwrap(), envelope);

    let json = json!({"id": "e-1", "type": "user.created", "timestamp": "2026-01-31T13:00:00+01:00",
        "source": "user-service", "data": {"email": "a@b.c"}, "userId": null, "metadata": null});
    assert_eq!(serde_json::from_value::<Envelope>(json).unwrap(), minimal());
}

/// Each row makes one field of a valid event illegal.
#[test]
fn illegal_fields_are_refused() {
    let bell = "\u{7}";
    let long = |n: usize| json!("x".repeat(n));
    for (pointer, value, message) in [
        ("/id", json!(""), "event id `` is empty; give it a value, or omit it if it is optional"),
        ("/id", long(256), "has 256 characters; shorten it to at most 255"),
        ("/type", json!(""), "type `` is empty"),
        ("/type", long(256), "has 256 characters"),
        (
            "/type",
            json!(bell),
            "type `\\u{7}` contains '\\u{7}'; remove control characters and noncharacters",
        ),
        ("/version", json!(""), "version `` is empty"),
        ("/version", json!("3"), "version `3` contradicts the version in the event's type; use `2`"),
        ("/version", json!("2 beta"), "version `2 beta` contains ' '; use a version such as `1` or `2.1`"),
        ("/version", json!("-2"), "version `-2` does not begin with a letter or digit"),
        ("/version", long(33), "has 33 characters"),
        ("/timestamp", json!("-000001-12-31T23:59:59.5Z"), "is before the year 0"),
        ("/source", json!(""), "source `` is empty"),
        (
            "/source",
            json!("user service"),
            "source `user service` contains ' '; use the name of the service or a URI",
        ),
        ("/source", long(1025), "has 1025 characters"),
        ("/tenantId", json!("Shop"), "tenant name `Shop` contains 'S'"),
        ("/tenantId", json!(""), "tenant name `` is empty"),
        ("/userId", json!(""), "userId `` is empty"),
        ("/userId", long(256), "has 256 characters"),
        ("/correlationId", json!(" a"), "begins or ends with whitespace"),
        ("/causationId", json!(""), "event id `` is empty"),
        ("/metadata/userAgent", json!("a\nb"), "metadata.userAgent `a\\nb` contains '\\n'"),
        ("/metadata/sessionId", long(1025), "has 1025 characters"),
        (
            "/extensions",
            json!({"tenantid": "x"}),
            "extension `tenantid` is reserved for a field of the envelope",
        ),
        ("/extensions", json!({"data": "x"}), "extension `data` is reserved"),
        ("/extensions", json!({"Subject": "x"}), "attribute name `Subject` contains 'S'"),
        ("/extensions", json!({"": "x"}), "attribute name `` is empty"),
        ("/extensions", json!({"subject": "\u{FFFF}"}), "extension subject `\\u{ffff}` contains"),
    ] {
        let (_, mut json) = full();
        *json.pointer_mut(pointer).unwrap() = value.clone();
        let error = Envelope::from_slice(json.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, EnvelopeError::Invalid(_)), "{pointer} {value}: {error:?}");
        assert_eq!(error.reason(), crate::Reason::InvalidResource);
        assert!(error.to_string().contains(message), "{pointer} {value}: {error}");
    }
}

#[test]
fn malformed_json_and_missing_fields_are_refused() {
    for json in ["", "{", "[]", "null", "1", "{}", r#"{"id":1}"#] {
        assert!(matches!(Envelope::from_slice(json.as_bytes()), Err(EnvelopeError::Json(_))), "{json}");
    }
    for field in ["id", "type", "timestamp", "source", "data"] {
        let (_, mut json) = full();
        json.as_object_mut().unwrap().remove(field);
        assert!(
            matches!(Envelope::from_slice(json.to_string().as_bytes()), Err(EnvelopeError::Json(_))),
            "{field}"
        );
    }
}

#[test]
fn the_version_defaults_to_that_of_the_type_name() {
    for (event_type, version) in [
        ("User.Created.v7", "7"),
        ("user.created", "1"),
        ("com.example.deleted.v2", "2"),
        ("anything at all", "1"),
    ] {
        assert_eq!(typed(event_type).version(), version, "{event_type}");
    }
    for (event_type, version, legal) in [
        ("User.Created.v7", "7", true),
        ("User.Created.v7", "7.3", true),
        ("User.Created.v7", "77", false),
        ("User.Created.v7", "v7", false),
        ("user.created", "2024-06+a", true),
    ] {
        assert_eq!(typed(event_type).with_version(version).is_ok(), legal, "{event_type} {version}");
    }
}

#[test]
fn type_names_without_a_convention_are_legal() {
    assert_eq!(typed("User.Created.v1").type_name().unwrap().entity(), "User");
    assert!(typed("com.github.pull_request-opened").type_name().is_err());
}

#[test]
fn a_source_is_a_uri_reference() {
    for source in [
        "user-service",
        "/sensors/tn-1234567/alerts",
        "1-555-123-4567",
        "https://example.com/a?b=c#d",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "mailto:team@example.com",
        "//[::1]:8080/x",
        "http://[2001:db8::1]",
        "a/b:c",
        "?q=1:2",
        "caf%C3%A9",
        "#top",
    ] {
        assert!(check_source(source).is_ok(), "{source}");
    }
    for (source, rule) in [
        ("", "is empty"),
        ("a b", "contains ' '"),
        ("café", "contains 'é'"),
        ("a\\b", "contains '\\\\'"),
        ("100%", "has a '%' without two hexadecimal digits after it"),
        ("%4", "has a '%' without two hexadecimal digits after it"),
        ("%zz", "has a '%' without two hexadecimal digits after it"),
        ("a#b#c", "has more than one '#'"),
        ("1a:b", "begins with `1a:`, which is not a URI scheme"),
        (":a", "begins with `:`, which is not a URI scheme"),
        ("a[1]", "has a bracket outside of an IPv6 address"),
        ("http://[::1]/[", "has a bracket outside of an IPv6 address"),
        ("a#[", "has a bracket outside of an IPv6 address"),
    ] {
        assert_eq!(check_source(source).unwrap_err().rule(), rule, "{source}");
    }
}

#[test]
fn a_caused_event_has_causation_and_correlation_ids() {
    let id = |text| EventId::parse(text).unwrap();
    let root = minimal();
    let child = typed("mail.sent").caused_by(&root);
    assert_eq!((child.causation_id(), child.correlation_id()), (Some(&id("e-1")), Some(&id("e-1"))));

    let (parent, _) = full();
    let child = minimal().caused_by(&parent);
    assert_eq!((child.causation_id(), child.correlation_id()), (Some(&id("e-1")), Some(&id("c-1"))));
}

#[test]
fn the_number_of_extensions_is_limited() {
    let mut event = minimal();
    for at in 0..MAX_EXTENSIONS {
        event = event.with_extension(format!("x{at}"), "").unwrap();
    }
    assert!(event.clone().with_extension("x0", "again").is_ok());
    let error = event.with_extension("onemore", "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "extension `onemore` exceeds the limit of 32 extensions of an event; put it into `data`"
    );
}

#[test]
fn size_is_the_length_of_the_json() {
    let (event, _) = full();
    let size = serde_json::to_vec(&event).unwrap().len();
    assert_eq!(event.size(), size);
    assert!(event.check_size(size).is_ok());
    let error = event.check_size(size - 1).unwrap_err();
    assert!(matches!(error, EnvelopeError::TooLarge { .. }), "{error}");
}

#[test]
fn the_snake_case_form_is_read() {
    let value = json!({"event_id": "e-1", "event_type": "User.Created", "version": "1",
        "timestamp": "2026-01-31T12:00:00Z", "correlation_id": "c-1", "data": {"email": "a@b.c"}});
    let expected = typed("User.Created.v1").with_correlation(EventId::parse("c-1").unwrap());
    let event = Envelope::from_snake_case(value, "user-service").unwrap();
    assert_eq!(event, expected);
}

#[test]
fn mixed_forms_are_read() {
    let good = json!({"event_id": "e-1", "event_type": "user.created", "version": 1, "source": "user-service",
        "timestamp": "2026-01-31T12:00:00Z", "data": {"email": "a@b.c"}});
    let with = |changes: Value| {
        let mut value = good.clone();
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        Envelope::from_snake_case(value, "unused").unwrap()
    };
    assert_eq!(with(json!({})), minimal());
    assert_eq!(with(json!({"event_id": null, "id": "e-1"})), minimal());
    assert_eq!(with(json!({"user_id": 7})).user_id(), Some("7"));
    assert_eq!(with(json!({"userId": "u"})).user_id(), Some("u"));
    assert_eq!(with(json!({"tenantId": "shop"})).tenant_id().unwrap(), "shop");
    assert_eq!(with(json!({"data": null})).data(), &Value::Null);
    assert_eq!(with(json!({"metadata": {"request_id": "r"}})).metadata().request_id.as_deref(), Some("r"));
    assert_eq!(with(json!({"metadata": {"requestId": "r"}})).metadata().request_id.as_deref(), Some("r"));
    for (event_type, version, expected) in [
        ("Payment.Order.Paid", json!("2"), "Payment.Order.Paid.v2"),
        ("Payment.Order.Paid", json!("2.1"), "Payment.Order.Paid.v2"),
        ("Payment.Order.Paid", json!(null), "Payment.Order.Paid.v1"),
        ("User.Created.v3", json!("3"), "User.Created.v3"),
        // The version cannot be part of a type name: the name is unchanged.
        ("User.Created", json!("beta"), "User.Created"),
    ] {
        assert_eq!(with(json!({"event_type": event_type, "version": version})).event_type(), expected);
    }
    // The own JSON is read as well, without its extensions.
    let (envelope, json) = full();
    let event = Envelope::from_snake_case(json, "unused").unwrap();
    assert_eq!((event.id(), event.metadata()), (envelope.id(), envelope.metadata()));
}

#[test]
fn errors_of_the_snake_case_form_name_the_field() {
    for (changes, message) in [
        (json!({"event_id": null}), "`event_id` is missing; every event has it"),
        (json!({"event_type": null}), "`event_type` is missing"),
        (json!({"timestamp": null}), "`timestamp` is missing"),
        (
            json!({"timestamp": "yesterday"}),
            "timestamp `yesterday` is not a time of RFC 3339; write it like `2026-01-31T12:00:00Z`",
        ),
        (json!({"event_id": {"a": 1}}), "event_id `{\"a\":1}` is not a string; make it a string"),
        (json!({"metadata": []}), "metadata `[]` is not an object"),
        (json!({"metadata": {"user_agent": true}}), "metadata.user_agent `true` is not a string"),
        (json!({"tenant_id": "No Tenant"}), "tenant name `No Tenant` contains 'N'"),
        (json!({"source": "a b"}), "source `a b` contains ' '"),
    ] {
        let mut value = json!({"event_id": "e", "event_type": "User.Created", "version": "1",
            "timestamp": "2026-01-31T12:00:00Z", "data": {}});
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let error = Envelope::from_snake_case(value, "t").unwrap_err();
        assert!(error.to_string().contains(message), "{changes}: {error}");
    }
    let value = json!({"event_id": "e", "event_type": "a.b", "timestamp": "2026-01-31T12:00:00Z"});
    assert_eq!(
        Envelope::from_snake_case(value, "t").unwrap_err().to_string(),
        "`data` is missing; every event has it"
    );
    assert!(Envelope::from_snake_case(json!([]), "t").is_err());
}

fn text(min: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>().prop_filter("legal", |&c| is_attribute_char(c)), min..16)
        .prop_map(String::from_iter)
}

/// A short string of any characters: the tests vary the structure around it.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter)
}

fn event_id() -> impl Strategy<Value = EventId> {
    text(1).prop_filter_map("no whitespace at the ends", |text| EventId::parse(&text).ok())
}

pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Any valid envelope.
pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let event_type = prop_oneof![
        "[A-Z][A-Za-z]{0,8}\\.[A-Z][a-z]{0,8}\\.v[1-9][0-9]{0,3}",
        "[a-z]{1,8}\\.[a-z][a-z_]{0,12}",
        text(1),
    ];
    let source = prop_oneof!["[a-z][a-z0-9-]{0,20}", "https://[a-z]{1,9}/[a-z%]{0,9}", "[ -~]{1,30}"]
        .prop_filter("a URI reference", |source| check_source(source).is_ok());
    let time = (YEAR_ZERO.as_second()..=253_402_207_199, 0..1_000_000_000)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap());
    let optional = || prop::option::of(event_id());
    let metadata = || prop::option::of(text(0));
    let extension =
        prop_oneof!["[a-z0-9]{1,20}", Just("traceparent".to_owned()), Just("tracestate".to_owned())]
            .prop_filter("an extension", |name| check_extension_name(name).is_ok());
    (
        (event_id(), event_type, source, time, json_value()),
        (prop::option::of("[a-z0-9]{1,9}"), prop::option::of(text(1)), optional(), optional()),
        (metadata(), metadata(), metadata(), metadata()),
        (prop::option::of("\\.[0-9]{1,3}"), prop::collection::btree_map(extension, text(0), 0..4)),
    )
        .prop_map(|(required, ids, metadata, (minor, extensions))| {
            let (id, event_type, source, time, data) = required;
            let (tenant, user, correlation, causation) = ids;
            let (request_id, user_agent, source_ip, session_id) = metadata;
            let mut event = Envelope::new(id, event_type, source, time, data).unwrap();
            if let Some(minor) = minor {
                let version = format!("{}{minor}", event.version());
                event = event.with_version(version).unwrap();
            }
            event.tenant_id = tenant.map(|tenant| TenantName::parse(&tenant).unwrap());
            if let Some(user) = user {
                event = event.with_user(user).unwrap();
            }
            event.correlation_id = correlation;
            event.causation_id = causation;
            event = event.with_metadata(Metadata { request_id, user_agent, source_ip, session_id }).unwrap();
            for (name, value) in extensions {
                event = event.with_extension(name, value).unwrap();
            }
            event
        })
}

proptest! {
    #[test]
    fn json_round_trips(event in envelope()) {
        let json = serde_json::to_vec(&event).unwrap();
        prop_assert_eq!(event.size(), json.len());
        prop_assert_eq!(&Envelope::from_slice(&json).unwrap(), &event);
        prop_assert_eq!(serde_json::from_slice::<Envelope>(&json).unwrap(), event);
    }

    #[test]
    fn arbitrary_input_does_not_panic(bytes in any::<Vec<u8>>(), value in json_value(), source in any_text()) {
        let _ = Envelope::from_slice(&bytes);
        let _ = Envelope::from_slice(value.to_string().as_bytes());
        let _ = Envelope::from_snake_case(value, &source);
        let _ = check_source(&source);
    }

    /// One field of a valid event is replaced by an arbitrary value.
    #[test]
    fn an_arbitrary_field_does_not_panic(event in envelope(), field in 0_usize..12, value in json_value()) {
        const FIELDS: [&str; 12] = ["id", "type", "version", "timestamp", "source", "tenantId", "userId",
            "correlationId", "causationId", "data", "metadata", "extensions"];
        let mut json = serde_json::to_value(&event).unwrap();
        json[FIELDS[field]] = value;
        if let Ok(read) = Envelope::from_slice(json.to_string().as_bytes()) {
            // What is accepted is valid: the strictest form accepts it as well.
            let again = Envelope::try_from(crate::CloudEvent::from(read.clone())).unwrap();
            prop_assert_eq!(again, read);
        }
        let _ = Envelope::from_snake_case(json, "topic");
    }
}
