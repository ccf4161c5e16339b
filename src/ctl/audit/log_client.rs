//! Reading an audit log through the REST API.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::audit::{ExportFormat, Page, RecordDetail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use crate::domain::audit::{Filter, LogName};
use crate::kubernetes::{Download, Login, RestError, RestLogin, RestSession};

/// The largest page of the API.
const MAX_PAGE_SIZE: usize = 500;

/// The server, the credentials and the log.
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
    /// Tenant whose log is read, or _platform. Default: the only tenant whose log the user may read.
    #[arg(long, value_name = "NAME", env = "EVENTCTL_TENANT")]
    pub(super) tenant: Option<LogName>,
    /// Path of the kubeconfig. Default: the files that KUBECONFIG lists, or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A client for the log of one tenant.
#[derive(Debug)]
pub(super) struct LogClient {
    session: RestSession,
    tenant: Option<LogName>,
}

impl ServerArgs {
    /// The login to Kubernetes.
    pub(super) fn kubernetes_login(&self) -> Login {
        Login { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), ..Login::default() }
    }

    /// Finds the credentials. Sends no request yet.
    pub(super) async fn open(&self) -> anyhow::Result<LogClient> {
        let Some(server) = self.server.clone() else {
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
            kubernetes: self.kubernetes_login(),
        };
        Ok(LogClient { session: RestSession::open(&login).await?, tenant: self.tenant.clone() })
    }
}

impl LogClient {
    /// A page of records before a cursor. `request_id` identifies the request in the audit log.
    pub(super) async fn page(
        &self,
        filter: &Filter,
        limit: usize,
        cursor: Option<&str>,
        request_id: Option<&str>,
    ) -> Result<Page, RestError> {
        let mut query = filter.query();
        query.push(("limit", limit.clamp(1, MAX_PAGE_SIZE).to_string()));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.session.get("reading the audit log", &self.path("logs", query), request_id).await
    }

    /// A record with its proof.
    pub(super) async fn get(&self, id: Uuid) -> Result<RecordDetail, RestError> {
        self.session.get("reading a record", &self.path(&format!("logs/{id}"), Vec::new()), None).await
    }

    /// Exports the records that match a filter.
    pub(super) async fn export(&self, filter: &Filter, format: ExportFormat) -> Result<Download, RestError> {
        let mut query = filter.query();
        query.push(("format", format.to_string()));
        self.session.download("exporting the audit log", &self.path("logs/export", query)).await
    }

    fn path(&self, resource: &str, mut query: Vec<(&'static str, String)>) -> String {
        query.extend(self.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
        let query = query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
        let query = query.collect::<Vec<_>>().join("&");
        let separator = if query.is_empty() { "" } else { "?" };
        format!("/api/audit/{resource}{separator}{query}")
    }
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
        assert_eq!(percent_encode("a&b=c d+é"), "a%26b%3Dc%20d%2B%C3%A9");
    }
}
