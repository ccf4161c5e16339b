//! `eventctl audit verify`: detects changes to a log.
//!
//! The database, the export and the server may have been tampered with. They are compared with checkpoints that are stored
//! elsewhere, whose signatures are verified with public keys.

mod file;
mod options;
mod report;
mod store;
pub(super) mod trust;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::Answer;
use super::log_client::LogArgs;
use super::time_arg;
use crate::domain::audit::verify::Requirements;
use crate::store::StoreUrl;
use options::{VerifyOptions, signing_delay};
use report::LogReport;
use trust::{ClusterLookup, Trust};

const EXAMPLES: &str = "\
Examples:
  eventctl audit verify --tenant shop
  eventctl audit verify --file shop.ndjson --key keys.txt
  eventctl audit verify --file shop.ndjson --key keys.txt --checkpoint last-month.note
  eventctl audit verify --file denied.ndjson --key keys.txt --filtered
  eventctl audit verify --store sqlite:/var/lib/eventcenter/eventcenter.db

The keys: kubectl get configmap eventcenter-seals -n eventcenter-system -o jsonpath='{.data.audit}' > keys.txt

Exit codes: 0 the log is intact, 1 a finding, 2 it cannot be verified or an error occurred.";

/// Verify that a log is intact.
///
/// Without --file and --store the log is exported from the server, which adds a record to it. The log is compared with the
/// checkpoints stored with it and, if the cluster can be reached, with those that the cluster publishes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Verify {
    /// Path of an export, which is verified without a server; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    file: Option<PathBuf>,
    /// URL of a database: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Verifies all logs in it, or that of
    /// --tenant.
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// File with trusted public keys. May be repeated.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// File with a checkpoint from another place; the log has to continue it. May be repeated.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Require the keys and checkpoints that the cluster publishes.
    #[arg(long)]
    cluster: bool,
    /// Namespace of the operator in the cluster.
    #[arg(long, value_name = "NAME", default_value = trust::OPERATOR_NAMESPACE)]
    operator_namespace: String,
    /// Name of the installation in checkpoints. Default: that in the export; eventcenter for --store.
    #[arg(long, value_name = "NAME")]
    installation: Option<String>,
    /// Accept checkpoints without verifying their signatures if no public key is known.
    #[arg(long)]
    unsigned: bool,
    /// Accept an export with a filter, which leaves records out.
    #[arg(long, requires = "file")]
    filtered: bool,
    /// Time within which the operator signs records, more than its --audit-checkpoint-interval. Records at the end of the log may be
    /// unsigned if they were written within this time.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = signing_delay)]
    signing_delay: Duration,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    server: LogArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// The default name of the installation.
const DEFAULT_INSTALLATION: &str = "eventcenter";

pub(super) fn answer(arguments: &Verify) -> anyhow::Result<Answer> {
    block_on(async {
        let lookup = match (arguments.cluster, &arguments.file) {
            (true, _) => ClusterLookup::Required,
            (false, Some(_)) => ClusterLookup::Skipped,
            (false, None) => ClusterLookup::Optional,
        };
        let login = arguments.server.kubernetes_login();
        let cluster = (lookup, &login, arguments.operator_namespace.as_str());
        let trust = Trust::collect(&arguments.keys, &arguments.checkpoints, cluster).await?;
        let options = VerifyOptions {
            installation: arguments.installation.clone(),
            // Without keys no signature can be verified, which needs --unsigned.
            requirements: Requirements { signing_delay: trust.has_keys().then_some(arguments.signing_delay) },
            accepts_filter: arguments.filtered,
        };
        let reports = match (&arguments.file, &arguments.store) {
            (Some(path), _) => vec![file::verify(path, &trust, &options).await?],
            (None, Some(url)) => verify_store(arguments, url, &trust, &options).await?,
            (None, None) => {
                let log = arguments.server.open().await?;
                vec![file::verify_export(&log, &trust, &options).await?]
            }
        };
        if let (Some(tenant), [one]) = (&arguments.server.tenant, reports.as_slice())
            && one.log() != tenant
        {
            bail!("this is the log {}, not {tenant}", one.log());
        }
        trust.check_given_checkpoints(&reports.iter().map(LogReport::log).collect::<Vec<_>>())?;
        render(arguments, &reports, trust.has_keys())
    })
}

async fn verify_store(
    arguments: &Verify,
    url: &StoreUrl,
    trust: &Trust,
    options: &VerifyOptions,
) -> anyhow::Result<Vec<LogReport>> {
    let store = store::open(url)?;
    let audit = store.audit();
    let installation = options.installation.as_deref().unwrap_or(DEFAULT_INSTALLATION);
    let logs = match &arguments.server.tenant {
        Some(tenant) => [tenant.clone()].into(),
        None => store::logs(&audit, trust).await?,
    };
    let mut reports = Vec::new();
    for log in &logs {
        reports.push(store::verify(&audit, log, installation, trust, options.requirements).await?);
    }
    store.close().await;
    Ok(reports)
}

/// Renders the reports. Without keys the exit code is 0 only with `--unsigned`, and never if a log cannot be verified.
fn render(arguments: &Verify, reports: &[LogReport], has_keys: bool) -> anyhow::Result<Answer> {
    let zone = time_arg::now().time_zone().clone();
    let text = match arguments.output {
        Output::Json => {
            let all: Vec<Value> = reports.iter().map(|one| one.to_json(has_keys)).collect();
            serde_json::to_string_pretty(&all)?
        }
        Output::Text if reports.is_empty() => "there are no logs".into(),
        Output::Text => {
            let all: Vec<String> = reports.iter().map(|one| one.to_text(has_keys, &zone)).collect();
            all.join("\n")
        }
    };
    let yes = !reports.iter().any(LogReport::has_findings);
    let unverified: Vec<&str> =
        reports.iter().filter(|report| !report.is_verified()).map(|report| report.log().as_str()).collect();
    let problem = match (yes, unverified.as_slice()) {
        (false, _) => None,
        (true, []) if has_keys || arguments.unsigned => None,
        (true, []) => Some(anyhow!(
            "no signature was verified, because no public key is known: give --key FILE or --cluster, or accept that with \
             --unsigned"
        )),
        (true, logs) => Some(anyhow!("it is not known whether these logs are intact: {}", logs.join(", "))),
    };
    match problem {
        Some(problem) => {
            drop(writeln!(std::io::stdout(), "{text}"));
            Err(problem)
        }
        None => Ok(Answer { yes, text }),
    }
}
