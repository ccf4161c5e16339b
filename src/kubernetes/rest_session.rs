//! The operator's REST API as the user who runs a command: with the user's bearer token for Kubernetes.
//!
//! The client is kube's, with the address of another server: it supports TLS, token renewal and credential plugins. Only the
//! bearer credentials of the kubeconfig are used, never its CA, its client certificate or its impersonation: the REST API is
//! another server, and authenticates the token by a TokenReview.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode, Uri};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use futures::StreamExt;
use kube::client::Body as Sent;
use kube::config::AuthInfo;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::session::{Login, SessionError};

/// Timeout of a request, and of each chunk of a download: a search may examine many records.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of the REST API and the credentials.
#[derive(Clone, Debug, Default)]
pub struct RestLogin {
    /// The address, such as `https://eventcenter.example.com`.
    pub server: String,
    /// The token; `None` for that of the kubeconfig.
    pub token: Option<Secret>,
    /// A file with the token, read again when the token may have been renewed; `None` for that of the kubeconfig.
    pub token_file: Option<PathBuf>,
    /// The trusted CA certificates (PEM); `None` for those of the system.
    pub certificate_authority: Option<PathBuf>,
    /// The kubeconfig.
    pub kubernetes: Login,
}

/// A token. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(String);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.trim().to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A request to the REST API failed.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The address is invalid.
    #[error("{server} is not the address of a server: write https://HOST or https://HOST:PORT")]
    InvalidAddress {
        /// The address.
        server: String,
    },
    /// The token would be sent without encryption.
    #[error(
        "no token is sent to {server}, because http is not encrypted: write https://, or forward a port and use \
         http://127.0.0.1:PORT"
    )]
    Unencrypted {
        /// The address.
        server: String,
    },
    /// There is no kubeconfig to take a token from.
    #[error("finding a token (give --token, or set EVENTCTL_TOKEN)")]
    Login(#[source] SessionError),
    /// The kubeconfig has a client certificate and no token. The certificate is valid for the API server only.
    #[error(
        "the kubeconfig has only a client certificate, which only the API server accepts: give a token, such as \
         --token \"$(kubectl create token NAME -n NAMESPACE)\""
    )]
    OnlyCertificate,
    /// The kubeconfig has no credentials.
    #[error(
        "the kubeconfig has no token: give one, such as --token \"$(kubectl create token NAME -n NAMESPACE)\""
    )]
    NoToken,
    /// The file with the CA certificates cannot be used.
    #[error("reading the certificates of {path}")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The proxy in the environment is invalid.
    #[error("HTTPS_PROXY: {proxy} is not the address of a proxy")]
    InvalidProxy {
        /// The value of the variable.
        proxy: String,
    },
    /// The login cannot be used.
    #[error("creating a client for {server}")]
    Client {
        /// The address.
        server: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// The server refused the request, or failed.
    #[error("{what}: {message}{}", request.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
    Refused {
        /// The request.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: String,
        /// The id of the request in the server's log.
        request: Option<String>,
    },
    /// The server cannot be reached, or the connection was lost.
    #[error("{what}: the server cannot be reached, or the connection was lost")]
    Unavailable {
        /// The request.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The response is not one of the REST API.
    #[error("{what}: the response is not one of eventcenter's REST API: check the address")]
    InvalidResponse {
        /// The request.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RestError {
    /// Whether the same request can succeed later: the server was unavailable, failed, or limits the rate.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }
}

/// A connection to the REST API as one user.
#[derive(Clone)]
pub struct RestSession {
    client: Client,
}

impl std::fmt::Debug for RestSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RestSession").finish_non_exhaustive()
    }
}

impl RestSession {
    /// Reads the credentials and creates the client; sends no request yet.
    ///
    /// # Errors
    /// There is no token, or the address, a certificate or the proxy is invalid.
    pub async fn open(login: &RestLogin) -> Result<Self, RestError> {
        let RestLogin { server, token, token_file, certificate_authority, kubernetes } = login;
        let address = parse_address(server)?;
        let mut auth = AuthInfo::default();
        match (token, token_file) {
            (Some(token), _) => auth.token = Some(token.0.clone().into()),
            (None, Some(path)) => auth.token_file = Some(path.display().to_string()),
            (None, None) => {
                auth = bearer_credentials(kubernetes.config().await.map_err(RestError::Login)?.auth_info)?
            }
        }
        let mut config = Config::new(address.clone());
        config.auth_info = auth;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.root_cert = certificate_authority.as_ref().map(read_certificates).transpose()?;
        config.proxy_url = proxy(&address, |name| std::env::var(name).ok())?;
        let unusable = |source| RestError::Client { server: server.clone(), source: Box::new(source) };
        Ok(Self { client: Client::try_from(config).map_err(unusable)? })
    }

    /// Sends a GET request and returns `data` of the response. `path` begins with a slash and contains the query; `id` is the
    /// request id.
    ///
    /// # Errors
    /// The server does not answer, refuses the request, or the response is invalid.
    pub async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        id: Option<&str>,
    ) -> Result<T, RestError> {
        parse(what, &self.exchange(what, get_request(path, id)).await?)
    }

    /// Sends a GET request and returns the body of the response as text.
    ///
    /// # Errors
    /// The server does not answer, or refuses the request.
    pub async fn get_text(&self, what: &'static str, path: &str) -> Result<String, RestError> {
        let body = self.exchange(what, get_request(path, None)).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends a POST request with a body in JSON and returns `data` of the response.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RestError> {
        let body = serde_json::to_vec(body).map_err(|error| invalid(what)(error.into()))?;
        let request = Request::post(path).header(CONTENT_TYPE, "application/json").body(Sent::from(body));
        parse(what, &self.exchange(what, request).await?)
    }

    /// Sends a request and returns the body of a successful response.
    async fn exchange(
        &self,
        what: &'static str,
        request: Result<Request<Sent>, axum::http::Error>,
    ) -> Result<Bytes, RestError> {
        let timed_out = |_| RestError::Unavailable { what, source: "no response in time".into() };
        let body = tokio::time::timeout(REQUEST_TIMEOUT, async {
            let body = self.send(what, request).await?;
            body.collect_bytes().await.map_err(|error| RestError::Unavailable { what, source: error.into() })
        });
        body.await.map_err(timed_out)?
    }

    /// Sends a GET request and returns the body as a stream.
    ///
    /// # Errors
    /// The server does not answer, or refuses the request.
    pub async fn download(&self, what: &'static str, path: &str) -> Result<Download, RestError> {
        let timed_out = |_| RestError::Unavailable { what, source: "no response in time".into() };
        let sent = self.send(what, get_request(path, None));
        let body = tokio::time::timeout(REQUEST_TIMEOUT, sent).await.map_err(timed_out)??;
        Ok(Download { what, body: Body::new(body).into_data_stream() })
    }

    /// Sends a request and returns the body of a successful response.
    async fn send(
        &self,
        what: &'static str,
        request: Result<Request<Sent>, axum::http::Error>,
    ) -> Result<Sent, RestError> {
        let request = request.map_err(|error| invalid(what)(error.into()))?;
        let response = self.client.send(request).await.map_err(|error| unavailable(what, error))?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response.into_body());
        }
        let body = response.into_body().collect_bytes().await.map_err(|error| unavailable(what, error))?;
        Err(refused(what, status, &body))
    }
}

fn get_request(path: &str, id: Option<&str>) -> Result<Request<Sent>, axum::http::Error> {
    let mut request = Request::get(path);
    if let Some(id) = id {
        request = request.header("X-Request-Id", id);
    }
    request.body(Sent::empty())
}

/// `data` of a response.
fn parse<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, RestError> {
    let response: Response<T> = serde_json::from_slice(body).map_err(|error| invalid(what)(error.into()))?;
    Ok(response.data)
}

fn invalid(what: &'static str) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> RestError {
    move |source| RestError::InvalidResponse { what, source }
}

fn unavailable(what: &'static str, error: kube::Error) -> RestError {
    match error {
        kube::Error::Service(source) => RestError::Unavailable { what, source },
        error => RestError::Unavailable { what, source: error.into() },
    }
}

/// The error in a response: the message of the REST API, or the status if another server responded.
fn refused(what: &'static str, status: StatusCode, body: &[u8]) -> RestError {
    match serde_json::from_slice::<ErrorResponse>(body) {
        Ok(ErrorResponse { code: _, message, data }) => {
            let request = Some(data.request_id).filter(|id| !id.is_empty());
            RestError::Refused { what, status: status.as_u16(), message, request }
        }
        Err(_) if status.is_server_error() || status.is_client_error() => RestError::Refused {
            what,
            status: status.as_u16(),
            message: format!("HTTP {status}"),
            request: None,
        },
        // Redirects are not followed, because the token belongs to this server only.
        Err(_) => RestError::InvalidResponse { what, source: format!("HTTP {status}").into() },
    }
}

/// The body of a response as a stream.
pub struct Download {
    what: &'static str,
    body: BodyDataStream,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Download {
    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// The connection was lost, or no data arrived in time.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RestError> {
        let what = self.what;
        match tokio::time::timeout(REQUEST_TIMEOUT, self.body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(chunk))) => Ok(Some(chunk.into())),
            Ok(Some(Err(error))) => Err(RestError::Unavailable { what, source: error.into() }),
            Err(_) => Err(RestError::Unavailable { what, source: "no more data in time".into() }),
        }
    }
}

/// Parses an address. Only https and loopback addresses may receive a token.
fn parse_address(server: &str) -> Result<Uri, RestError> {
    let invalid = || RestError::InvalidAddress { server: server.to_owned() };
    let uri: Uri = server.trim_end_matches('/').parse().map_err(|_| invalid())?;
    let authority = uri.authority().ok_or_else(invalid)?;
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(invalid());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(authority.host()) => Ok(uri),
        Some("http") => Err(RestError::Unencrypted { server: server.to_owned() }),
        _ => Err(invalid()),
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The bearer credentials of a kubeconfig: token, token file or plugin.
fn bearer_credentials(kubernetes: AuthInfo) -> Result<AuthInfo, RestError> {
    let has_certificate =
        kubernetes.client_certificate.is_some() || kubernetes.client_certificate_data.is_some();
    let bearer = AuthInfo {
        token: kubernetes.token,
        token_file: kubernetes.token_file,
        exec: kubernetes.exec,
        auth_provider: kubernetes.auth_provider,
        ..AuthInfo::default()
    };
    let has_token = bearer.token.is_some() || bearer.token_file.is_some();
    match (has_token || bearer.exec.is_some() || bearer.auth_provider.is_some(), has_certificate) {
        (true, _) => Ok(bearer),
        (false, true) => Err(RestError::OnlyCertificate),
        (false, false) => Err(RestError::NoToken),
    }
}

/// Reads the certificates of a PEM file.
fn read_certificates(path: &PathBuf) -> Result<Vec<Vec<u8>>, RestError> {
    let unusable = |source| RestError::Certificates { path: path.clone(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.into()))?;
    let certificates: Result<Vec<Vec<u8>>, _> =
        certificates.map(|certificate| certificate.map(|certificate| certificate.to_vec())).collect();
    match certificates.map_err(|error| unusable(error.into()))? {
        certificates if certificates.is_empty() => Err(unusable("the file contains no certificate".into())),
        certificates => Ok(certificates),
    }
}

/// The proxy for an address by the environment variables `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case.
fn proxy(address: &Uri, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Uri>, RestError> {
    let variable = |name: &str| {
        let either = environment(name).or_else(|| environment(&name.to_lowercase()));
        either.filter(|value| !value.trim().is_empty())
    };
    let host = address.host().unwrap_or_default();
    let is_excluded_by = |pattern: &str| {
        let domain = pattern.trim().trim_start_matches("*.").trim_start_matches('.');
        domain == "*" || (!domain.is_empty() && (host == domain || host.ends_with(&format!(".{domain}"))))
    };
    let is_excluded = variable("NO_PROXY").is_some_and(|list| list.split(',').any(is_excluded_by));
    match variable("HTTPS_PROXY") {
        Some(proxy) if !is_excluded && !is_loopback(host) => {
            proxy.trim().parse().map(Some).map_err(|_| RestError::InvalidProxy { proxy })
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_token_is_sent_encrypted_or_to_this_machine_only() {
        for server in [
            "https://eventcenter.example.com",
            "https://eventcenter.example.com:8090/",
            "https://example.com/eventcenter",
            "http://127.0.0.1:8090",
            "http://127.8.0.1",
            "http://localhost:8090",
            "http://[::1]:8090",
        ] {
            assert!(parse_address(server).is_ok(), "{server}");
        }
        for server in
            ["http://eventcenter.example.com", "http://10.0.0.1:8090", "http://127.0.0.1.example.com"]
        {
            assert!(matches!(parse_address(server), Err(RestError::Unencrypted { .. })), "{server}");
        }
        for server in
            ["", "eventcenter", "example.com:8090", "ftp://example.com", "https://me:secret@example.com"]
        {
            assert!(matches!(parse_address(server), Err(RestError::InvalidAddress { .. })), "{server}");
        }
    }

    #[test]
    fn only_bearer_credentials_of_a_kubeconfig_are_used() {
        let kubernetes = AuthInfo {
            token: Some("abc".to_owned().into()),
            impersonate: Some("root".into()),
            username: Some("me".into()),
            client_certificate: Some("me.crt".into()),
            ..AuthInfo::default()
        };
        let bearer = bearer_credentials(kubernetes).expect("there is a token");
        assert!(bearer.token.is_some() && bearer.impersonate.is_none() && bearer.username.is_none());
        assert!(bearer.client_certificate.is_none());

        let only = AuthInfo { client_certificate_data: Some("abc".into()), ..AuthInfo::default() };
        let error = bearer_credentials(only).expect_err("there is no token").to_string();
        assert!(error.contains("--token \"$(kubectl create token NAME -n NAMESPACE)\""), "{error}");
        assert!(matches!(bearer_credentials(AuthInfo::default()), Err(RestError::NoToken)));
    }

    #[test]
    fn the_environment_sets_the_proxy() {
        let check = |server: &str, variables: &[(&str, &str)]| {
            let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
            let proxy = proxy(&server.parse().expect("an address"), |name| {
                variables.get(name).map(|value| (*value).to_owned())
            });
            proxy.expect("a proxy").map(|proxy| proxy.to_string())
        };
        let expected = Some("http://proxy:3128/".to_owned());
        let variable = ("HTTPS_PROXY", "http://proxy:3128");
        assert_eq!(check("https://a.example.com", &[]), None);
        assert_eq!(check("https://a.example.com", &[variable]), expected);
        assert_eq!(check("https://a.example.com", &[("https_proxy", "http://proxy:3128")]), expected);
        assert_eq!(check("https://a.example.com", &[variable, ("NO_PROXY", "other.com")]), expected);
        assert_eq!(check("https://aexample.com", &[variable, ("NO_PROXY", "example.com")]), expected);
        for excluded in ["a.example.com", "b, .example.com", "*.example.com", "example.com", "*"] {
            assert_eq!(
                check("https://a.example.com", &[variable, ("no_proxy", excluded)]),
                None,
                "{excluded}"
            );
        }
        assert_eq!(check("http://localhost:8090", &[variable]), None);
        let invalid = proxy(&"https://a".parse().expect("an address"), |_| Some("no proxy".into()));
        assert!(matches!(invalid, Err(RestError::InvalidProxy { .. })));
    }

    #[test]
    fn an_error_has_the_message_of_the_server() {
        let body = br#"{"code":40301,"message":"Forbidden: bob may not read the log shop","data":{"reason":"Forbidden","requestId":"r1"}}"#;
        let error = refused("reading the audit log", StatusCode::FORBIDDEN, body);
        assert_eq!(
            error.to_string(),
            "reading the audit log: Forbidden: bob may not read the log shop (request r1)"
        );
        assert!(!error.is_retriable());
        let error = refused("reading", StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(error.to_string(), "reading: HTTP 502 Bad Gateway");
        assert!(error.is_retriable());
        let error = refused("reading", StatusCode::FOUND, b"");
        assert!(matches!(error, RestError::InvalidResponse { .. }));
    }

    #[test]
    fn a_token_is_not_shown() {
        let login = RestLogin { token: Some(String::from("abc\n").into()), ..RestLogin::default() };
        assert!(!format!("{login:?}").contains("abc"));
    }
}
