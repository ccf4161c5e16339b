//! The flags that select the REST API and the credentials for it.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::kubernetes::{Login, RestLogin, RestSession};

/// The server and the credentials.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerArgs {
    /// URL of eventcenter's REST API, such as https://eventcenter.example.com.
    #[arg(long, value_name = "URL", env = "EVENTCTL_SERVER")]
    server: Option<String>,
    /// Bearer token. Default: EVENTCTL_TOKEN, or the token of the kubeconfig.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the bearer token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the CA certificates of the server in PEM. Default: those of the system.
    #[arg(long, value_name = "FILE", env = "EVENTCTL_CERTIFICATE_AUTHORITY")]
    certificate_authority: Option<PathBuf>,
}

impl ServerArgs {
    /// Whether a server is given. An empty text is none, such as that of an unset variable of a script.
    pub(super) fn is_given(&self) -> bool {
        self.server.as_ref().is_some_and(|server| !server.trim().is_empty())
    }

    /// Finds the credentials: those given, or else those of the login to Kubernetes. Sends no request yet.
    pub(super) async fn open(&self, kubernetes: Login) -> anyhow::Result<RestSession> {
        let Some(server) = self.server.clone().filter(|_| self.is_given()) else {
            bail!("no server: give --server URL, or set EVENTCTL_SERVER");
        };
        let token = match (&self.token, &self.token_file) {
            (None, None) => std::env::var("EVENTCTL_TOKEN").ok().filter(|token| !token.trim().is_empty()),
            (token, _) => token.clone(),
        };
        let login = RestLogin {
            server,
            token: token.map(Into::into),
            token_file: self.token_file.clone(),
            certificate_authority: self.certificate_authority.clone(),
            kubernetes,
        };
        Ok(RestSession::open(&login).await?)
    }
}

/// The query of a URL with its question mark; empty without parameters.
pub(super) fn query(parameters: &[(&'static str, String)]) -> String {
    let parameters = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
    let query = parameters.collect::<Vec<_>>().join("&");
    if query.is_empty() { query } else { format!("?{query}") }
}

/// The unreserved characters of RFC 3986, section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value of a query (RFC 3986).
fn percent_encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(percent_encode("system:serviceaccount:a_b-c.d~"), "system%3Aserviceaccount%3Aa_b-c.d~");
        assert_eq!(query(&[("a", "a&b=c d+é".into()), ("b", "1".into())]), "?a=a%26b%3Dc%20d%2B%C3%A9&b=1");
        assert_eq!(query(&[]), "");
    }
}
