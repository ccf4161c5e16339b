//! Reading an audit log through the REST API.

use std::path::PathBuf;

use clap::Args;
use eventcenter_sdk::rest::audit::{ExportFormat, Page, RecordDetail};
use uuid::Uuid;

use super::super::server::{self, ServerArgs};
use crate::domain::audit::{Filter, LogName};
use crate::kubernetes::{Download, Login, RestError, RestSession};

/// The largest page of the API.
const MAX_PAGE_SIZE: usize = 500;

/// The server, the credentials and the log.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(super) struct LogArgs {
    #[command(flatten)]
    server: ServerArgs,
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

impl LogArgs {
    /// The login to Kubernetes.
    pub(super) fn kubernetes_login(&self) -> Login {
        Login { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), ..Login::default() }
    }

    /// Finds the credentials. Sends no request yet.
    pub(super) async fn open(&self) -> anyhow::Result<LogClient> {
        let session = self.server.open(self.kubernetes_login()).await?;
        Ok(LogClient { session, tenant: self.tenant.clone() })
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
        format!("/api/audit/{resource}{}", server::query(&query))
    }
}
