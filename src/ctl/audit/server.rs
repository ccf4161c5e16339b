//! The log as the REST API has it.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::audit::{ExportFormat, Page, RecordDetail};
use uuid::Uuid;

use crate::domain::audit::{Filter, LogName};
use crate::kubernetes::{Download, Login, RestError, RestLogin, RestSession};

/// How many records the API gives at a time.
const PAGE: usize = 500;

/// Where the log is and who asks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// Where eventcenter's REST API is, such as https://eventcenter.example.com.
    #[arg(long, value_name = "URL", env = "EVENTCTL_SERVER")]
    server: Option<String>,
    /// The token, instead of EVENTCTL_TOKEN and that of the kubeconfig.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificates by which the server is known, instead of those of the system.
    #[arg(long, value_name = "FILE", env = "EVENTCTL_CERTIFICATE_AUTHORITY")]
    certificate_authority: Option<PathBuf>,
    /// The tenant whose log is meant, or _platform. Default: the only one whose log the user may read.
    #[arg(long, value_name = "NAME", env = "EVENTCTL_TENANT")]
    pub(super) tenant: Option<LogName>,
    /// The kubeconfig, instead of those that KUBECONFIG names and of ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig, instead of its current one.
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
    /// How Kubernetes is reached.
    pub(super) fn kubernetes(&self) -> Login {
        Login { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), ..Login::default() }
    }

    /// Finds out who asks.
    pub(super) async fn open(&self) -> anyhow::Result<Log> {
        let Some(server) = self.server.clone() else {
            bail!("which server? Give --server URL, or set EVENTCTL_SERVER");
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
    /// Some records before a place. `id` names the request.
    pub(super) async fn page(
        &self,
        filter: &Filter,
        limit: usize,
        cursor: Option<&str>,
        id: Option<&str>,
    ) -> Result<Page, RestError> {
        let mut asked = filter.query();
        asked.push(("limit", limit.clamp(1, PAGE).to_string()));
        asked.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.session.get("reading the audit log", &self.path("logs", asked), id).await
    }

    /// One record.
    pub(super) async fn get(&self, id: Uuid) -> Result<RecordDetail, RestError> {
        self.session.get("reading a record", &self.path(&format!("logs/{id}"), Vec::new()), None).await
    }

    /// All records of the log that pass a filter.
    pub(super) async fn export(&self, filter: &Filter, format: ExportFormat) -> Result<Download, RestError> {
        let mut asked = filter.query();
        asked.push(("format", format.to_string()));
        self.session.download("exporting the audit log", &self.path("logs/export", asked)).await
    }

    fn path(&self, what: &str, mut asked: Vec<(&'static str, String)>) -> String {
        asked.extend(self.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
        let asked = asked.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
        let asked = asked.collect::<Vec<_>>().join("&");
        let mark = if asked.is_empty() { "" } else { "?" };
        format!("/api/audit/{what}{mark}{asked}")
    }
}

/// A value as it stands in the query of an address (RFC 3986).
fn escaped(value: &str) -> String {
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
    fn values_are_escaped() {
        assert_eq!(escaped("system:serviceaccount:a_b-c.d~"), "system%3Aserviceaccount%3Aa_b-c.d~");
        assert_eq!(escaped("a&b=c d+é"), "a%26b%3Dc%20d%2B%C3%A9");
    }
}
