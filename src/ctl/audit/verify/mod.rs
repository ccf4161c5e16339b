//! `eventctl audit verify`: verifies that a log is unchanged.
//!
//! Database, export and server may all be under the control of an attacker. They are compared with what an attacker cannot
//! change: checkpoints that are stored elsewhere, and the keys that signed them.

mod file;
mod report;
mod store;
pub(super) mod trust;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::Answer;
use super::server::Server;
use super::time_arg;
use crate::store::StoreUrl;
use report::Conclusion;
use trust::{ClusterRead, Trust};

const EXAMPLES: &str = "\
Examples:
  eventctl audit verify --tenant shop
  eventctl audit verify --file shop.ndjson --key keys.txt
  eventctl audit verify --file shop.ndjson --key keys.txt --checkpoint last-month.note
  eventctl audit verify --store sqlite:/var/lib/eventcenter/eventcenter.db

The keys: kubectl get configmap eventcenter-seals -n eventcenter-system -o jsonpath='{.data.audit}' > keys.txt

Exit codes: 0 the log is as it was written, 1 a finding, 2 an error occurred.";

/// Verify that a log is unchanged.
///
/// Without --file and --store the log is exported from the server, which is recorded in it. The log is compared with the
/// checkpoints stored with it, and with those in the cluster if it can be reached.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Verify {
    /// An export, which is verified without a server; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    file: Option<PathBuf>,
    /// The database: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Verifies all of its logs, or the log of --tenant.
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// File with trusted public keys. May be given several times.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// File with a checkpoint that was stored elsewhere: the log must be a continuation of it. May be given several times.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Read keys and checkpoints from the cluster, and fail if it cannot be reached.
    #[arg(long)]
    cluster: bool,
    /// Namespace of the operator.
    #[arg(long, value_name = "NAME", default_value = trust::DEFAULT_NAMESPACE)]
    operator_namespace: String,
    /// The name of the installation in the checkpoints. Default: the name in the export, and eventcenter for --store.
    #[arg(long, value_name = "NAME")]
    installation: Option<String>,
    /// Accept signatures that cannot be checked because no key is known.
    #[arg(long)]
    unsigned: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// The default name of the installation.
const DEFAULT_INSTALLATION: &str = "eventcenter";

pub(super) fn answer(arguments: &Verify) -> anyhow::Result<Answer> {
    block_on(async {
        let cluster_read = match (arguments.cluster, &arguments.file) {
            (true, _) => ClusterRead::Required,
            (false, Some(_)) => ClusterRead::Never,
            (false, None) => ClusterRead::IfReachable,
        };
        let login = arguments.server.kubernetes();
        let cluster = (cluster_read, &login, arguments.operator_namespace.as_str());
        let trust = Trust::gather(&arguments.keys, &arguments.checkpoints, cluster).await?;
        let conclusions = match (&arguments.file, &arguments.store) {
            (Some(path), _) => vec![file::verify(path, arguments.installation.as_deref(), &trust).await?],
            (None, Some(url)) => verify_store(arguments, url, &trust).await?,
            (None, None) => {
                let log = arguments.server.open().await?;
                vec![file::verify_export(&log, arguments.installation.as_deref(), &trust).await?]
            }
        };
        if let (Some(tenant), [one]) = (&arguments.server.tenant, conclusions.as_slice())
            && one.log() != tenant
        {
            bail!("this is the log {}, not {tenant}", one.log());
        }
        trust.require_compared(&conclusions.iter().map(Conclusion::log).collect::<Vec<_>>())?;
        conclude(arguments, &conclusions, trust.has_keys())
    })
}

async fn verify_store(arguments: &Verify, url: &StoreUrl, trust: &Trust) -> anyhow::Result<Vec<Conclusion>> {
    let store = store::open(url)?;
    let audit = store.audit();
    let installation = arguments.installation.as_deref().unwrap_or(DEFAULT_INSTALLATION);
    let logs = match &arguments.server.tenant {
        Some(tenant) => [tenant.clone()].into(),
        None => store::list_logs(&audit, trust).await?,
    };
    let mut conclusions = Vec::new();
    for log in &logs {
        conclusions.push(store::verify(&audit, log, installation, trust).await?);
    }
    store.close().await;
    Ok(conclusions)
}

/// The answer. Without checked signatures it is an error, unless `--unsigned` accepts that.
fn conclude(arguments: &Verify, conclusions: &[Conclusion], checked: bool) -> anyhow::Result<Answer> {
    let zone = time_arg::now().time_zone().clone();
    let text = match arguments.output {
        Format::Json => {
            let all: Vec<Value> = conclusions.iter().map(|one| one.as_json(checked)).collect();
            serde_json::to_string_pretty(&all)?
        }
        Format::Text if conclusions.is_empty() => "there are no logs".into(),
        Format::Text => {
            let all: Vec<String> = conclusions.iter().map(|one| one.as_text(checked, &zone)).collect();
            all.join("\n")
        }
    };
    let is_unchanged = conclusions.iter().all(Conclusion::is_unchanged);
    if is_unchanged && !checked && !arguments.unsigned {
        drop(writeln!(std::io::stdout(), "{text}"));
        return Err(anyhow!(
            "no signature could be checked, because no key is known: give --key FILE or --cluster, or accept that with \
             --unsigned"
        ));
    }
    Ok(Answer { yes: is_unchanged, text })
}
