//! Requests and responses.

use std::fmt;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use crate::domain::Refusal;
use crate::domain::callback::{Endpoint, Scheme, check_header_name};
use eventcenter_sdk::Reason;

/// The value of the header `User-Agent`, unless the request has one.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("eventcenter/", env!("CARGO_PKG_VERSION")));

/// A request. Its output with `Debug` contains no header values, no body, and of the URL only the host.
#[derive(Clone)]
pub struct CallbackRequest {
    /// Path of the field that declares the request, such as `spec.target.http`, for messages.
    pub field: String,
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The headers. Those that the client sets itself, such as `Host`, are refused.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
}

impl fmt::Debug for CallbackRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackRequest")
            .field("field", &self.field)
            .field("method", &self.method)
            .field("host", &self.url.host_str())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl CallbackRequest {
    /// Path of the field that declares the URL.
    pub(super) fn url_field(&self) -> String {
        format!("{}.url", self.field)
    }

    /// The request as it is sent to an endpoint.
    pub(super) fn into_http(self, endpoint: &Endpoint) -> Result<Request<Full<Bytes>>, Refusal> {
        let Self { field, method, url, mut headers, body } = self;
        let invalid = |field: String, detail: &str| Refusal::at(Reason::InvalidResource, field, detail);
        // CONNECT asks a proxy for a tunnel to any address; TRACE returns the secrets in the headers.
        if [Method::CONNECT, Method::TRACE].contains(&method) {
            return Err(invalid(
                format!("{field}.method"),
                "CONNECT and TRACE are not sent: write another method, such as POST",
            ));
        }
        for name in headers.keys() {
            check_header_name(&format!("{field}.headers"), name.as_str())?;
        }
        let target = &url[Position::BeforePath..Position::AfterQuery];
        let target: Uri = target.parse().map_err(|_| {
            invalid(format!("{field}.url"), "path or query have invalid characters: percent-encode them")
        })?;
        let default_port = match endpoint.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let authority = endpoint.to_string();
        let host = match endpoint.port == default_port {
            true => authority.rsplit_once(':').map_or(&*authority, |(host, _)| host),
            false => &authority,
        };
        let host = HeaderValue::from_str(host).expect("a host name or an address is ASCII");
        headers.insert(HOST, host);
        headers.entry(USER_AGENT).or_insert(AGENT);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// A response. Its output with `Debug` contains no headers and no body.
#[derive(Clone)]
pub struct CallbackResponse {
    /// The status. A redirect is not followed.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or its beginning.
    pub body: Bytes,
    /// Whether the body is complete.
    pub body_end: BodyEnd,
}

impl fmt::Debug for CallbackResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .field("body_end", &self.body_end)
            .finish_non_exhaustive()
    }
}

/// Where a response body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// At its end.
    Complete,
    /// At the maximum size. The rest was not read.
    TooLarge,
    /// At the deadline.
    TimedOut,
    /// At a broken connection, or at bytes that are not HTTP/1.1.
    Broken,
}

/// Reads a body up to a size in bytes and a time.
pub(super) async fn read_body(mut body: Incoming, max: usize, deadline: Instant) -> (Bytes, BodyEnd) {
    let mut read = Vec::new();
    let end = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => break BodyEnd::TimedOut,
            Ok(None) => break BodyEnd::Complete,
            Ok(Some(Err(_))) => break BodyEnd::Broken,
            Ok(Some(Ok(frame))) => frame,
        };
        // Other frames are trailers.
        let Ok(data) = frame.into_data() else { continue };
        let kept = data.len().min(max - read.len());
        read.extend_from_slice(&data[..kept]);
        if kept < data.len() {
            break BodyEnd::TooLarge;
        }
    };
    (read.into(), end)
}
