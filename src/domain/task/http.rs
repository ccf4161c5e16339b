//! HTTP targets.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::reference::{Reference, Values, references_of};
use super::tenant_rules::TaskRules;
use crate::api::{HttpTarget, SecretKey};
use crate::domain::Refusal;
use crate::domain::callback::{check_header, check_header_name, parse_url};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Headers that the runner sets, besides those of the connection.
const RESERVED_HEADERS: &[&str] = &["eventcenter-attempt", "idempotency-key", "user-agent"];

/// The header with the id of the run.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

const CONTENT_TYPE: &str = "content-type";

/// Checks an HTTP target by itself and by the rules of the tenant.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check(field: &str, target: &HttpTarget, rules: &TaskRules) -> Result<(), Refusal> {
    let invalid = |name: &str, detail: String| {
        Err(Refusal::at(Reason::InvalidResource, format!("{field}.{name}"), detail))
    };
    let origin = origin_of(&target.url);
    if origin.contains("$(") {
        return invalid(
            "url",
            "references are allowed in the path and the query only: write scheme, host and port as they are"
                .into(),
        );
    }
    let field_of_url = format!("{field}.url");
    let url = parse_url(&field_of_url, &target.url)?;
    rules.hosts.check_url(&field_of_url, &url)?;
    for header in &target.headers {
        if RESERVED_HEADERS.contains(&header.name.to_ascii_lowercase().as_str()) {
            return invalid(
                "headers",
                format!("the header {} is set by the operator: remove it", header.name),
            );
        }
        let field = format!("{field}.headers");
        match &header.value {
            Some(value) => check_header(&field, &header.name, value)?,
            None => check_header_name(&field, &header.name)?,
        }
    }
    if let Some(token) = &target.service_account_token {
        let is_set = target.headers.iter().any(|header| header.name.eq_ignore_ascii_case("authorization"));
        if is_set {
            return invalid(
                "serviceAccountToken",
                "headers contain Authorization already: keep one of them".into(),
            );
        }
        if !rules.allows_service_account(&token.service_account_name) {
            return Err(Refusal::at(
                Reason::Forbidden,
                format!("{field}.serviceAccountToken.serviceAccountName"),
                format!(
                    "tenant {} does not list the ServiceAccount {}: remove it, or ask the platform's administrator to \
                     add it to spec.tasks.serviceAccounts of the Tenant",
                    rules.tenant, token.service_account_name
                ),
            ));
        }
    }
    Ok(())
}

/// Scheme and authority of an address: everything before the path.
fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |place| place + 3);
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |place| start + place);
    &url[..end]
}

/// The references in an HTTP target.
///
/// # Errors
/// A reference names a property that does not exist.
pub fn references(field: &str, target: &HttpTarget) -> Result<BTreeSet<Reference>, Refusal> {
    let mut all = references_of(&format!("{field}.url"), &target.url)?;
    for header in &target.headers {
        let value = header.value.as_deref().unwrap_or_default();
        all.extend(references_of(&format!("{field}.headers"), value)?);
    }
    all.extend(references_of(&format!("{field}.body"), target.body.as_deref().unwrap_or_default())?);
    Ok(all)
}

/// The Secrets that an HTTP target reads.
pub fn secrets(target: &HttpTarget) -> impl Iterator<Item = &SecretKey> {
    target.headers.iter().filter_map(|header| Some(&header.value_from.as_ref()?.secret_key_ref))
}

/// Whether a status of a response is expected.
#[must_use]
pub fn is_expected(target: &HttpTarget, status: u16) -> bool {
    let matches = |pattern: &str| match pattern.strip_suffix("xx") {
        Some(class) => class.parse() == Ok(status / 100),
        None => pattern.parse() == Ok(status),
    };
    match target.expected_status.is_empty() {
        true => matches("2xx"),
        false => target.expected_status.iter().any(|pattern| matches(pattern)),
    }
}

/// A call of a run. The runner adds the values of Secrets, the token, and the headers that it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: &'static str,
    /// The address.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, HeaderValue)>,
    /// The body; empty if there is none.
    pub body: String,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// A text.
    Text(String),
    /// The value of a Secret behind a prefix.
    Secret {
        /// The text before the value.
        prefix: String,
        /// Where the value is read.
        key: SecretKey,
    },
}

/// The call of a run.
#[must_use]
pub fn render(target: &HttpTarget, values: &Values<'_>) -> Call {
    let encode = |value: String| utf8_percent_encode(&value, RESERVED).to_string();
    let without_controls = |value: String| value.replace(char::is_control, " ");
    let mut headers: Vec<(String, HeaderValue)> = target
        .headers
        .iter()
        .map(|header| {
            let value = match &header.value_from {
                Some(source) => HeaderValue::Secret {
                    prefix: source.prefix.clone().unwrap_or_default(),
                    key: source.secret_key_ref.clone(),
                },
                None => HeaderValue::Text(
                    values.render(header.value.as_deref().unwrap_or_default(), without_controls),
                ),
            };
            (header.name.clone(), value)
        })
        .collect();
    let declared_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
    let is_json = match declared_type {
        Some((_, HeaderValue::Text(value))) => value.to_ascii_lowercase().contains("json"),
        Some((_, HeaderValue::Secret { .. })) => false,
        None => true,
    };
    let body = target.body.as_deref().unwrap_or_default();
    let body = if is_json { values.render_json_text(body) } else { values.render(body, |value| value) };
    if !body.is_empty() && declared_type.is_none() {
        headers.push((CONTENT_TYPE.into(), HeaderValue::Text("application/json".into())));
    }
    Call { method: target.method.as_str(), url: values.render(&target.url, encode), headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::collections::BTreeMap;

    fn target(yaml: &str) -> HttpTarget {
        serde_yaml::from_str(yaml).expect("an HTTP target")
    }

    fn refused(yaml: &str, expected: Expect) {
        let rules = crate::domain::task::testing::rules();
        let refusal = check("spec.target.http", &target(yaml), &rules).expect_err("refused");
        expected.assert_eq(&refusal.to_string());
    }

    #[test]
    fn rules_of_addresses_and_headers() {
        refused(
            "url: 'ftp://a/'",
            expect![
                "InvalidResource: spec.target.http.url: only http and https URLs are called: write https://HOST/PATH"
            ],
        );
        refused(
            "url: 'https://$(params.host)/'",
            expect![
                "InvalidResource: spec.target.http.url: references are allowed in the path and the query only: write scheme, host and port as they are"
            ],
        );
        refused(
            "url: 'https://a$(params.host)?x'",
            expect![
                "InvalidResource: spec.target.http.url: references are allowed in the path and the query only: write scheme, host and port as they are"
            ],
        );
        refused(
            "url: 'https://me:pass@a/'",
            expect![
                "InvalidResource: spec.target.http.url: a URL contains no user name and no password, because everybody who reads the resource sees them: put them into a Secret, and send them in a header"
            ],
        );
        refused(
            "url: 'https://a/#top'",
            expect![
                "InvalidResource: spec.target.http.url: a fragment is never sent: remove # and what follows it"
            ],
        );
        refused(
            "url: 'https://'",
            expect![
                "InvalidResource: spec.target.http.url: it is no URL (empty host): write https://HOST/PATH"
            ],
        );
        refused(
            "{url: 'https://a/', headers: [{name: Host, value: b}]}",
            expect![
                "InvalidResource: spec.target.http.headers: the header Host is set by the operator: remove it"
            ],
        );
        refused(
            "{url: 'https://a/', headers: [{name: x, value: \"a\\nb\"}]}",
            expect![
                "InvalidResource: spec.target.http.headers: the value of the header x has characters other than printable ASCII: encode them"
            ],
        );
        refused(
            "{url: 'https://a/', serviceAccountToken: {serviceAccountName: ci, audience: a}}",
            expect![
                "Forbidden: spec.target.http.serviceAccountToken.serviceAccountName: tenant shop does not list the ServiceAccount ci: remove it, or ask the platform's administrator to add it to spec.tasks.serviceAccounts of the Tenant"
            ],
        );
    }

    #[test]
    fn values_are_encoded_for_their_place() {
        let parameters = BTreeMap::from([("v".to_owned(), "a b/?&\"\n{}ü".to_owned())]);
        let values = Values { parameters: &parameters, task: "t", namespace: "n", run: None };
        let call = render(
            &target(
                r#"{url: "https://a/$(params.v)?q=$(params.v)", headers: [{name: X-V, value: "$(params.v)"}, {name: A, valueFrom: {prefix: "Bearer ", secretKeyRef: {name: s, key: k}}}], body: "{\"v\": \"$(params.v)\"}"}"#,
            ),
            &values,
        );
        expect![[r#"
            Call {
                method: "POST",
                url: "https://a/a%20b%2F%3F%26%22%0A%7B%7D%C3%BC?q=a%20b%2F%3F%26%22%0A%7B%7D%C3%BC",
                headers: [
                    (
                        "X-V",
                        Text(
                            "a b/?&\" {}ü",
                        ),
                    ),
                    (
                        "A",
                        Secret {
                            prefix: "Bearer ",
                            key: SecretKey {
                                name: "s",
                                key: "k",
                            },
                        },
                    ),
                    (
                        "content-type",
                        Text(
                            "application/json",
                        ),
                    ),
                ],
                body: "{\"v\": \"a b/?&\\\"\\n{}ü\"}",
            }
        "#]]
        .assert_debug_eq(&call);
        let text = render(
            &target(
                r#"{url: "https://a/", headers: [{name: Content-Type, value: text/plain}], body: "$(params.v)"}"#,
            ),
            &values,
        );
        assert_eq!(text.body, parameters["v"]);
    }

    #[test]
    fn expected_statuses() {
        let default = target("url: 'https://a/'");
        assert!(is_expected(&default, 204) && !is_expected(&default, 302));
        let listed = target("{url: 'https://a/', expectedStatus: ['404', 3xx]}");
        assert!(is_expected(&listed, 404) && is_expected(&listed, 302) && !is_expected(&listed, 200));
    }
}
