//! Headers that users declare.

use expect_test::expect;

use super::super::*;
use super::lines;

#[test]
fn headers_that_determine_the_route_are_refused() {
    let answers = [
        ("X-Api-Key", "secret"),
        ("Idempotency-Key", "1"),
        ("Host", "internal.example"),
        ("transfer-encoding", "chunked"),
        ("Content-Length", "3"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("", "x"),
        ("Bad Header", "x"),
        ("X-A:", "x"),
        ("X-A", "secret\r\nHost: internal.example"),
        ("X-A", "sécret"),
    ]
    .map(|(name, value)| {
        let answer = check_header("spec.headers[0]", name, value);
        (format!("{name:?}"), answer.map_or_else(|refusal| refusal.to_string(), |()| "allowed".into()))
    });
    expect![[r#"
        "X-Api-Key" -> allowed
        "Idempotency-Key" -> allowed
        "Host" -> InvalidResource: spec.headers[0]: the header Host is set by the operator: remove it
        "transfer-encoding" -> InvalidResource: spec.headers[0]: the header transfer-encoding is set by the operator: remove it
        "Content-Length" -> InvalidResource: spec.headers[0]: the header Content-Length is set by the operator: remove it
        "Proxy-Authorization" -> InvalidResource: spec.headers[0]: the header Proxy-Authorization is set by the operator: remove it
        "" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "Bad Header" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "X-A:" -> InvalidResource: spec.headers[0]: the name of a header has letters, digits and '-' only: correct it
        "X-A" -> InvalidResource: spec.headers[0]: the value of the header X-A has characters other than printable ASCII: encode them
        "X-A" -> InvalidResource: spec.headers[0]: the value of the header X-A has characters other than printable ASCII: encode them
    "#]].assert_eq(&lines(answers));
}
