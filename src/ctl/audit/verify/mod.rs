//! `eventctl audit verify`: whether a log is as it was written.
//!
//! What is read may come from whoever wants to hide something: the database, an export, the server. What counts beside it
//! is what they cannot have changed: checkpoints that were kept elsewhere, and the keys that sign them.

mod file;
mod report;
mod store;
pub(super) mod witness;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::login::block_on;
use super::super::output::Answer;
use super::moment;
use super::server::Server;
use crate::store::StoreUrl;
use report::Conclusion;
use witness::{Asking, Trust};

const EXAMPLES: &str = "\
Examples:
  eventctl audit verify --tenant shop
  eventctl audit verify --file shop.ndjson --key keys.txt
  eventctl audit verify --file shop.ndjson --key keys.txt --checkpoint last-month.note
  eventctl audit verify --store sqlite:/var/lib/eventcenter/eventcenter.db

The keys: kubectl get configmap eventcenter-seals -n eventcenter-system -o jsonpath='{.data.audit}' > keys.txt

Exit codes: 0 the log is as it was written, 1 a finding, 2 an error occurred.";

/// Find out whether a log is as it was written.
///
/// Without --file and --store the log is exported from the server, which is recorded in it. Checkpoints beside the records are
/// compared, and those that the cluster publishes if it can be reached.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::ctl) struct Verify {
    /// An export, which is verified without any server; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "store")]
    file: Option<PathBuf>,
    /// The database: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. All of its logs, or that of --tenant.
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// File with public keys whose signatures count. May be given several times.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// A checkpoint that was kept elsewhere: the log has to be a continuation of it. May be given several times.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Ask the cluster for keys and checkpoints, and fail if it does not answer.
    #[arg(long)]
    cluster: bool,
    /// The operator's namespace in it.
    #[arg(long, value_name = "NAME", default_value = witness::NAMESPACE)]
    operator_namespace: String,
    /// The name of the installation, as checkpoints have it. Default: what the export says, and eventcenter for --store.
    #[arg(long, value_name = "NAME")]
    installation: Option<String>,
    /// Be content with signatures that cannot be checked because no key is known.
    #[arg(long)]
    unsigned: bool,
    /// How the answer is written.
    #[arg(long, short, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    output: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The name of the installation unless another is given.
const INSTALLATION: &str = "eventcenter";

pub(super) fn answer(arguments: &Verify) -> anyhow::Result<Answer> {
    block_on(async {
        let asking = match (arguments.cluster, &arguments.file) {
            (true, _) => Asking::Must,
            (false, Some(_)) => Asking::Not,
            (false, None) => Asking::May,
        };
        let login = arguments.server.kubernetes();
        let cluster = (asking, &login, arguments.operator_namespace.as_str());
        let trust = Trust::gather(&arguments.keys, &arguments.checkpoints, cluster).await?;
        let conclusions = match (&arguments.file, &arguments.store) {
            (Some(path), _) => vec![file::verify(path, arguments.installation.as_deref(), &trust).await?],
            (None, Some(url)) => of_store(arguments, url, &trust).await?,
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
        trust.concerns(&conclusions.iter().map(Conclusion::log).collect::<Vec<_>>())?;
        conclude(arguments, &conclusions, !trust.is_blind())
    })
}

async fn of_store(arguments: &Verify, url: &StoreUrl, trust: &Trust) -> anyhow::Result<Vec<Conclusion>> {
    let store = store::open(url)?;
    let audit = store.audit();
    let installation = arguments.installation.as_deref().unwrap_or(INSTALLATION);
    let logs = match &arguments.server.tenant {
        Some(tenant) => [tenant.clone()].into(),
        None => store::logs(&audit, trust).await?,
    };
    let mut conclusions = Vec::new();
    for log in &logs {
        conclusions.push(store::verify(&audit, log, installation, trust).await?);
    }
    store.close().await;
    Ok(conclusions)
}

/// The answer. What could not be checked is no yes, unless somebody is content with that.
fn conclude(arguments: &Verify, conclusions: &[Conclusion], checked: bool) -> anyhow::Result<Answer> {
    let zone = moment::now().time_zone().clone();
    let text = match arguments.output {
        Form::Json => {
            let all: Vec<Value> = conclusions.iter().map(|one| one.machine(checked)).collect();
            serde_json::to_string_pretty(&all)?
        }
        Form::Text if conclusions.is_empty() => "there are no logs".into(),
        Form::Text => {
            let all: Vec<String> = conclusions.iter().map(|one| one.people(checked, &zone)).collect();
            all.join("\n")
        }
    };
    let yes = conclusions.iter().all(Conclusion::is_right);
    if yes && !checked && !arguments.unsigned {
        drop(writeln!(std::io::stdout(), "{text}"));
        return Err(anyhow!(
            "no signature could be checked, because no key is known: give --key FILE or --cluster, or be content with \
             --unsigned"
        ));
    }
    Ok(Answer { yes, text })
}
