//! The operator's REST API as whoever runs a command asks it: with the token by which Kubernetes knows them.
//!
//! The client is the one for Kubernetes, pointed at another server: it does TLS, tokens that are renewed and the plugins
//! that a kubeconfig names. Of the kubeconfig only what says who somebody is goes along, never its authority, its client
//! certificate or whom to act as: our server is another one and asks the API server who the token belongs to.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode, Uri};
use eventcenter_sdk::rest::{ErrorResponse, Response};
use futures::StreamExt;
use kube::client::Body as Sent;
use kube::config::AuthInfo;
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::DeserializeOwned;

use super::session::{Login, SessionError};

/// How long the server has for an answer: a search may look at many records.
const ANSWER: Duration = Duration::from_secs(60);

/// How long it has to be found.
const CONNECT: Duration = Duration::from_secs(10);

/// Where the REST API is and who asks.
#[derive(Clone, Debug, Default)]
pub struct RestLogin {
    /// The address, such as `https://eventcenter.example.com`.
    pub server: String,
    /// The token, instead of that of the kubeconfig.
    pub token: Option<Secret>,
    /// A file with the token, instead of that of the kubeconfig. It is read again when it may have been renewed.
    pub token_file: Option<PathBuf>,
    /// The certificates by which the server is known, instead of those of the system.
    pub certificate_authority: Option<PathBuf>,
    /// The kubeconfig.
    pub kubernetes: Login,
}

/// A token, which is not shown.
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

/// The REST API was not asked, or has not answered what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The address cannot be used.
    #[error("{server} is no address of a server: write https://HOST or https://HOST:PORT")]
    Address {
        /// The address.
        server: String,
    },
    /// A token would be readable on its way.
    #[error(
        "no token is sent to {server}, because http is readable on its way: write https://, or forward a port and use \
         http://127.0.0.1:PORT"
    )]
    Readable {
        /// The address.
        server: String,
    },
    /// There is no kubeconfig to take a token from.
    #[error("finding a token (give --token, or set EVENTCTL_TOKEN)")]
    Login(#[source] SessionError),
    /// The kubeconfig says by a certificate who somebody is, and that is for the API server only.
    #[error(
        "the kubeconfig has only a client certificate, which this server cannot ask Kubernetes about: give a token, such as \
         --token \"$(kubectl create token NAME -n NAMESPACE)\""
    )]
    OnlyCertificate,
    /// The kubeconfig does not say who somebody is.
    #[error(
        "the kubeconfig has no token: give one, such as --token \"$(kubectl create token NAME -n NAMESPACE)\""
    )]
    NoToken,
    /// A file of certificates cannot be used.
    #[error("reading the certificates of {path}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The proxy that the environment names cannot be used.
    #[error("{proxy} of the environment is no address of a proxy")]
    Proxy {
        /// What the environment says.
        proxy: String,
    },
    /// The login cannot be used.
    #[error("making a client for {server}")]
    Client {
        /// The address.
        server: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// The server says no, or that it cannot.
    #[error("{what}: {message}{}", request.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The status of HTTP.
        status: u16,
        /// The server's words.
        message: String,
        /// The id of the request, for whoever looks it up in the server's log.
        request: Option<String>,
    },
    /// Nobody answers.
    #[error("{what}: the server cannot be reached, or has broken off")]
    Away {
        /// What was asked for.
        what: &'static str,
        /// What the connection says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer cannot be understood.
    #[error("{what}: this is no answer of eventcenter's REST API: is the address right?")]
    Answer {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RestError {
    /// Whether the same question may be answered later: nobody has looked at it, or the server has too much to do.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }
}

/// A connection to the REST API as one person.
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
    /// Finds out who asks. Nothing is sent yet.
    ///
    /// # Errors
    /// There is no token to be had, or none may be sent to that address.
    pub async fn open(login: &RestLogin) -> Result<Self, RestError> {
        let RestLogin { server, token, token_file, certificate_authority, kubernetes } = login;
        let address = address(server)?;
        let mut auth = AuthInfo::default();
        match (token, token_file) {
            (Some(token), _) => auth.token = Some(token.0.clone().into()),
            (None, Some(path)) => auth.token_file = Some(path.display().to_string()),
            (None, None) => auth = bearer(kubernetes.config().await.map_err(RestError::Login)?.auth_info)?,
        }
        let mut config = Config::new(address.clone());
        config.auth_info = auth;
        config.connect_timeout = Some(CONNECT);
        config.root_cert = certificate_authority.as_ref().map(certificates).transpose()?;
        config.proxy_url = proxy(&address, |name| std::env::var(name).ok())?;
        let unusable = |source| RestError::Client { server: server.clone(), source: Box::new(source) };
        Ok(Self { client: Client::try_from(config).map_err(unusable)? })
    }

    /// Asks for something. `path` begins with a slash and holds the query; `id` names the request.
    ///
    /// # Errors
    /// The server does not answer, or says no.
    pub async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        id: Option<&str>,
    ) -> Result<T, RestError> {
        let late = |_| RestError::Away { what, source: "there was no answer in time".into() };
        let body = tokio::time::timeout(ANSWER, async {
            let body = self.send(what, path, id).await?;
            body.collect_bytes().await.map_err(|error| RestError::Away { what, source: error.into() })
        });
        let body = body.await.map_err(late)??;
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| RestError::Answer { what, source };
        let response: Response<T> = serde_json::from_slice(&body).map_err(|error| wrong(error.into()))?;
        Ok(response.data)
    }

    /// Asks for something that comes piece by piece.
    ///
    /// # Errors
    /// The server does not answer, or says no.
    pub async fn download(&self, what: &'static str, path: &str) -> Result<Download, RestError> {
        let late = |_| RestError::Away { what, source: "there was no answer in time".into() };
        let body = tokio::time::timeout(ANSWER, self.send(what, path, None)).await.map_err(late)??;
        Ok(Download { what, body: Body::new(body).into_data_stream() })
    }

    /// Sends a request and returns what a good answer to it consists of.
    async fn send(&self, what: &'static str, path: &str, id: Option<&str>) -> Result<Sent, RestError> {
        let mut request = Request::get(path);
        if let Some(id) = id {
            request = request.header("X-Request-Id", id);
        }
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| RestError::Answer { what, source };
        let request = request.body(Sent::empty()).map_err(|error| wrong(error.into()))?;
        let answer = self.client.send(request).await.map_err(|error| away(what, error))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let body = answer.into_body().collect_bytes().await.map_err(|error| away(what, error))?;
        Err(refused(what, status, &body))
    }
}

fn away(what: &'static str, error: kube::Error) -> RestError {
    match error {
        kube::Error::Service(source) => RestError::Away { what, source },
        error => RestError::Away { what, source: error.into() },
    }
}

/// The words of whoever says no. If it is not our server, all that is known is the status.
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
        // Nobody is followed elsewhere with a token.
        Err(_) => RestError::Answer { what, source: format!("HTTP {status}").into() },
    }
}

/// What comes piece by piece.
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
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// It was cut off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, RestError> {
        let what = self.what;
        match tokio::time::timeout(ANSWER, self.body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece.into())),
            Ok(Some(Err(error))) => Err(RestError::Away { what, source: error.into() }),
            Err(_) => Err(RestError::Away { what, source: "nothing more came".into() }),
        }
    }
}

/// The address, if a token may be sent to it.
fn address(server: &str) -> Result<Uri, RestError> {
    let wrong = || RestError::Address { server: server.to_owned() };
    let uri: Uri = server.trim_end_matches('/').parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here(authority.host()) => Ok(uri),
        Some("http") => Err(RestError::Readable { server: server.to_owned() }),
        _ => Err(wrong()),
    }
}

/// Whether what is sent there does not leave this machine.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Of a login to Kubernetes that by which our server can find out who it is.
fn bearer(kubernetes: AuthInfo) -> Result<AuthInfo, RestError> {
    let has_certificate =
        kubernetes.client_certificate.is_some() || kubernetes.client_certificate_data.is_some();
    let own = AuthInfo {
        token: kubernetes.token,
        token_file: kubernetes.token_file,
        exec: kubernetes.exec,
        auth_provider: kubernetes.auth_provider,
        ..AuthInfo::default()
    };
    let has_token = own.token.is_some() || own.token_file.is_some();
    match (has_token || own.exec.is_some() || own.auth_provider.is_some(), has_certificate) {
        (true, _) => Ok(own),
        (false, true) => Err(RestError::OnlyCertificate),
        (false, false) => Err(RestError::NoToken),
    }
}

/// The certificates of a file in PEM.
fn certificates(path: &PathBuf) -> Result<Vec<Vec<u8>>, RestError> {
    let unusable = |source| RestError::Authority { path: path.clone(), source };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.into()))?;
    let found: Result<Vec<Vec<u8>>, _> = found.map(|one| one.map(|one| one.to_vec())).collect();
    match found.map_err(|error| unusable(error.into()))? {
        none if none.is_empty() => Err(unusable("there is no certificate in it".into())),
        found => Ok(found),
    }
}

/// The proxy that the environment names for an address.
fn proxy(address: &Uri, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Uri>, RestError> {
    let named = |name: &str| {
        let either = environment(name).or_else(|| environment(&name.to_lowercase()));
        either.filter(|value| !value.trim().is_empty())
    };
    let host = address.host().unwrap_or_default();
    let is_spared = |one: &str| {
        let one = one.trim().trim_start_matches("*.").trim_start_matches('.');
        one == "*" || (!one.is_empty() && (host == one || host.ends_with(&format!(".{one}"))))
    };
    let spared = named("NO_PROXY").is_some_and(|list| list.split(',').any(is_spared));
    match named("HTTPS_PROXY") {
        Some(proxy) if !spared && !is_here(host) => {
            proxy.trim().parse().map(Some).map_err(|_| RestError::Proxy { proxy })
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_token_is_sent_where_nobody_reads_it() {
        for server in [
            "https://eventcenter.example.com",
            "https://eventcenter.example.com:8090/",
            "https://example.com/eventcenter",
            "http://127.0.0.1:8090",
            "http://127.8.0.1",
            "http://localhost:8090",
            "http://[::1]:8090",
        ] {
            assert!(address(server).is_ok(), "{server}");
        }
        for server in
            ["http://eventcenter.example.com", "http://10.0.0.1:8090", "http://127.0.0.1.example.com"]
        {
            assert!(matches!(address(server), Err(RestError::Readable { .. })), "{server}");
        }
        for server in
            ["", "eventcenter", "example.com:8090", "ftp://example.com", "https://me:secret@example.com"]
        {
            assert!(matches!(address(server), Err(RestError::Address { .. })), "{server}");
        }
    }

    #[test]
    fn of_a_kubeconfig_only_who_somebody_is_goes_along() {
        let kubernetes = AuthInfo {
            token: Some("abc".to_owned().into()),
            impersonate: Some("root".into()),
            username: Some("me".into()),
            client_certificate: Some("me.crt".into()),
            ..AuthInfo::default()
        };
        let own = bearer(kubernetes).expect("there is a token");
        assert!(own.token.is_some() && own.impersonate.is_none() && own.username.is_none());
        assert!(own.client_certificate.is_none());

        let only = AuthInfo { client_certificate_data: Some("abc".into()), ..AuthInfo::default() };
        let error = bearer(only).expect_err("there is no token").to_string();
        assert!(error.contains("--token \"$(kubectl create token NAME -n NAMESPACE)\""), "{error}");
        assert!(matches!(bearer(AuthInfo::default()), Err(RestError::NoToken)));
    }

    #[test]
    fn the_proxy_is_that_of_the_environment() {
        let check = |server: &str, variables: &[(&str, &str)]| {
            let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
            let found = proxy(&server.parse().expect("an address"), |name| {
                variables.get(name).map(|value| (*value).to_owned())
            });
            found.expect("a proxy").map(|proxy| proxy.to_string())
        };
        let there = Some("http://proxy:3128/".to_owned());
        let named = ("HTTPS_PROXY", "http://proxy:3128");
        assert_eq!(check("https://a.example.com", &[]), None);
        assert_eq!(check("https://a.example.com", &[named]), there);
        assert_eq!(check("https://a.example.com", &[("https_proxy", "http://proxy:3128")]), there);
        assert_eq!(check("https://a.example.com", &[named, ("NO_PROXY", "other.com")]), there);
        assert_eq!(check("https://aexample.com", &[named, ("NO_PROXY", "example.com")]), there);
        for spared in ["a.example.com", "b, .example.com", "*.example.com", "example.com", "*"] {
            assert_eq!(check("https://a.example.com", &[named, ("no_proxy", spared)]), None, "{spared}");
        }
        assert_eq!(check("http://localhost:8090", &[named]), None);
        let wrong = proxy(&"https://a".parse().expect("an address"), |_| Some("no proxy".into()));
        assert!(matches!(wrong, Err(RestError::Proxy { .. })));
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"code":40301,"message":"Forbidden: bob may not read the log shop","data":{"reason":"Forbidden","requestId":"r1"}}"#;
        let error = refused("reading the audit log", StatusCode::FORBIDDEN, body);
        assert_eq!(
            error.to_string(),
            "reading the audit log: Forbidden: bob may not read the log shop (request r1)"
        );
        assert!(!error.is_passing());
        let error = refused("reading", StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(error.to_string(), "reading: HTTP 502 Bad Gateway");
        assert!(error.is_passing());
        let error = refused("reading", StatusCode::FOUND, b"");
        assert!(matches!(error, RestError::Answer { .. }));
    }

    #[test]
    fn a_token_is_not_shown() {
        let login = RestLogin { token: Some(String::from("abc\n").into()), ..RestLogin::default() };
        assert!(!format!("{login:?}").contains("abc"));
    }
}
