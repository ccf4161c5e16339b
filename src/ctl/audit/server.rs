//! Reads audit logs through the REST API.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::audit::{ExportFormat, Page, RecordDetail};
use uuid::Uuid;

use crate::domain::audit::{Filter, LogName};
use crate::kubernetes::{Download, Login, RestError, RestLogin, RestSession};

/// Maximum number of records of a page.
const MAX_PAGE_SIZE: usize = 500;

/// The server, the log and the credentials.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// URL of eventcenter's REST API, such as https://eventcenter.example.com.
    #[arg(long, value_name = "URL", env = "EVENTCTL_SERVER")]
    server: Option<String>,
    /// The token. Default: EVENTCTL_TOKEN, or the token of the kubeconfig.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the CA certificates of the server. Default: those of the system.
    #[arg(long, value_name = "FILE", env = "EVENTCTL_CERTIFICATE_AUTHORITY")]
    certificate_authority: Option<PathBuf>,
    /// The tenant of the log, or _platform. Default: the only tenant whose log the user may read.
    #[arg(long, value_name = "NAME", env = "EVENTCTL_TENANT")]
    pub(super) tenant: Option<LogName>,
    /// The kubeconfig. Default: KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: its current context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// The log of one tenant on a server.
#[derive(Debug)]
pub(super) struct Log {
    session: RestSession,
    tenant: Option<LogName>,
}

impl Server {
    /// The credentials for Kubernetes.
    pub(super) fn kubernetes(&self) -> Login {
        Login { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), ..Login::default() }
    }

    /// Opens a session.
    ///
    /// # Errors
    /// No server is given, or no credentials are found.
    pub(super) async fn open(&self) -> anyhow::Result<Log> {
        let Some(server) = self.server.clone() else {
            bail!("no server is given: set --server URL or EVENTCTL_SERVER");
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
            kubernetes: self.kubernetes(),
        };
        Ok(Log { session: RestSession::open(&login).await?, tenant: self.tenant.clone() })
    }
}

impl Log {
    /// Reads a page of records before a cursor, newest first. `id` identifies the request in the audit log.
    pub(super) async fn page(
        &self,
        filter: &Filter,
        limit: usize,
        cursor: Option<&str>,
        id: Option<&str>,
    ) -> Result<Page, RestError> {
        let mut parameters = filter.query();
        parameters.push(("limit", limit.clamp(1, MAX_PAGE_SIZE).to_string()));
        parameters.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.session.get("reading the audit log", &self.path("logs", parameters), id).await
    }

    /// Reads a record.
    pub(super) async fn get(&self, id: Uuid) -> Result<RecordDetail, RestError> {
        self.session.get("reading a record", &self.path(&format!("logs/{id}"), Vec::new()), None).await
    }

    /// Exports all records that match a filter.
    pub(super) async fn export(&self, filter: &Filter, format: ExportFormat) -> Result<Download, RestError> {
        let mut parameters = filter.query();
        parameters.push(("format", format.to_string()));
        self.session.download("exporting the audit log", &self.path("logs/export", parameters)).await
    }

    fn path(&self, what: &str, mut parameters: Vec<(&'static str, String)>) -> String {
        parameters.extend(self.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
        let query = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
        let query = query.collect::<Vec<_>>().join("&");
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("/api/audit/{what}{mark}{query}")
    }
}

/// Percent-encodes a value for a query (RFC 3986).
fn percent_encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_percent_encoded() {
        assert_eq!(percent_encode("system:serviceaccount:a_b-c.d~"), "system%3Aserviceaccount%3Aa_b-c.d~");
        assert_eq!(percent_encode("a&b=c d+é"), "a%26b%3Dc%20d%2B%C3%A9");
    }
}
