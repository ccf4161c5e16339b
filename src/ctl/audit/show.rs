//! `eventctl audit show`: everything of one record, and whether it is in the log that was signed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use eventcenter_sdk::rest::audit::{RecordDetail, RecordProof};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::Answer;
use super::super::terminal::plain;
use super::form::{Form, Output};
use super::moment;
use super::server::{Log, Server};
use super::shown::{self, Layout};
use super::verify::witness;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys};
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::{LogName, Record};

const EXAMPLES: &str = "\
Examples:
  eventctl audit list --since 2h -o wide
  eventctl audit show 019aa5d0-7c5e-7a30-b3b5-0d6e5a5c1f11
  eventctl audit show 019aa5d0-7c5e-7a30-b3b5-0d6e5a5c1f11 --tenant shop --key keys.txt

Exit codes: 0 the proof of the record is valid, 1 the proof is invalid, 2 an error occurred.";

/// How long the cluster has to tell whose signatures count.
const PATIENCE: Duration = Duration::from_secs(5);

/// Show a record with its change before and after, and check the proof that it is in its log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("output", |output| output.help("How it is written")))]
#[command(mut_arg("color", |color| color.help("When it is coloured")))]
pub(in super::super) struct Show {
    /// The record's id, as list -o wide shows it, or the annotation of Kubernetes' own audit log.
    #[arg(value_name = "ID")]
    id: Uuid,
    /// File with public keys whose signatures count, instead of those of the cluster. May be given several times.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The operator's namespace.
    #[arg(long, value_name = "NAME", default_value = witness::NAMESPACE)]
    operator_namespace: String,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    server: Server,
}

pub(super) fn answer(arguments: &Show) -> anyhow::Result<Answer> {
    let keys = witness::keys(&arguments.keys)?;
    block_on(async {
        let log = arguments.server.open().await?;
        let found = log.get(arguments.id).await?;
        let record = shown::record(&found.record)?;
        if record.id != arguments.id {
            bail!("the server answered with another record: {}", record.id);
        }
        let started = match record.completes {
            Some(start) => Some(read(&log, start).await?),
            None => None,
        };
        let keys = match keys.is_empty() {
            true => cluster_keys(arguments).await,
            false => keys,
        };
        let proof = prove(&found, &record, &keys);
        let text = match arguments.form.output {
            Output::Json => serde_json::to_string_pretty(&machine(&found, &proof)?)?,
            Output::Yaml => serde_yaml::to_string(&machine(&found, &proof)?)?,
            Output::Table | Output::Wide => {
                let layout = Layout { ids: true, ..arguments.form.layout(&moment::now()) };
                people(&found, &record, started.as_ref(), &proof, &layout)?
            }
        };
        Ok(Answer { yes: proof.is_ok(), text })
    })
}

async fn read(log: &Log, id: Uuid) -> anyhow::Result<Record> {
    let found = log.get(id).await.context("reading the record of the start")?;
    shown::record(&found.record)
}

/// The keys that the cluster publishes, if it can be asked.
async fn cluster_keys(arguments: &Show) -> TrustedKeys {
    let login = arguments.server.kubernetes();
    let asked = witness::of_cluster(&login, &arguments.operator_namespace);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((_, keys))) => TrustedKeys::parse(&keys),
        _ => TrustedKeys::default(),
    }
}

/// What was found out about a record: a sentence if it is proven, and one if it is not.
type Proven = Result<String, String>;

/// Checks the proof here: the content against its hash, the hash against the root, the root against the signature.
fn prove(found: &RecordDetail, record: &Record, keys: &TrustedKeys) -> Proven {
    let RecordDetail { record: content, hash, completion: _, proof } = found;
    let content = shown::value(content).map_err(|error| error.to_string())?;
    let canonical = serde_json_canonicalizer::to_vec(&content).map_err(|error| error.to_string())?;
    if Hash::leaf(&canonical) != *hash {
        return Err("the record is not what its hash was made of: it was edited".into());
    }
    let RecordProof { inclusion, checkpoint, root } = proof;
    if inclusion.index != record.seq {
        return Err(format!("the proof is about record {}, and this is {}", inclusion.index, record.seq));
    }
    let (root, who) = match checkpoint {
        Some(note) => {
            let read = signed(note, &record.tenant, keys)?;
            if read.size != inclusion.size {
                return Err(format!(
                    "the proof is about {} records, and the checkpoint about {}",
                    inclusion.size, read.size
                ));
            }
            let who = match keys.is_empty() {
                true => "the signature was not checked, because no key is known here (--key)",
                false => "the signature is right",
            };
            (read.root, format!("of the checkpoint at {} records; {who}", read.size))
        }
        None => (
            *root,
            format!("of the log as it is now, {} records; nobody has signed that yet", inclusion.size),
        ),
    };
    match inclusion.holds(hash, &root) {
        true => Ok(format!("the record is in the tree {who}")),
        false => Err(format!("the record is not in the tree {who}")),
    }
}

/// A checkpoint of that log; by somebody who is believed, if it is known who that is.
fn signed(note: &str, log: &LogName, keys: &TrustedKeys) -> Result<Checkpoint, String> {
    let read = Checkpoint::parse_unverified(note).map_err(|error| error.to_string())?;
    if !read.origin.ends_with(&format!("/audit/{log}")) {
        return Err(format!("the checkpoint is about {}, not about this log", plain(&read.origin)));
    }
    match keys.is_empty() {
        true => Ok(read),
        false => Checkpoint::verify(note, &read.origin, keys).map_err(|error| error.to_string()),
    }
}

fn people(
    found: &RecordDetail,
    record: &Record,
    started: Option<&Record>,
    proof: &Proven,
    layout: &Layout,
) -> anyhow::Result<String> {
    let mut lines = shown::whole(record, layout);
    lines.push(String::new());
    if let Some(started) = started {
        lines.push(format!("completes:    {}", shown::brief(started, &layout.zone)));
    }
    if let Some(completion) = &found.completion {
        lines.push(format!("completed by: {}", shown::brief(&shown::record(completion)?, &layout.zone)));
    }
    lines.push(match proof {
        Ok(sentence) => format!("proof:        {sentence}"),
        Err(sentence) => format!("proof:        does not hold: {sentence}"),
    });
    Ok(lines.join("\n"))
}

fn machine(found: &RecordDetail, proof: &Proven) -> anyhow::Result<Value> {
    let (holds, told) = match proof {
        Ok(told) => (true, told),
        Err(told) => (false, told),
    };
    let mut value = json!({
        "record": shown::value(&found.record)?, "hash": found.hash, "proof": {
            "holds": holds, "message": told, "inclusion": found.proof.inclusion, "checkpoint": found.proof.checkpoint,
            "root": found.proof.root,
        },
    });
    if let Some(completion) = &found.completion {
        value["completion"] = shown::value(completion)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::merkle::{Inclusion, Node, Nodes, Range};
    use crate::domain::signature::SigningKey;
    use eventcenter_sdk::rest::audit::RawRecord;

    fn record(seq: u64) -> Value {
        json!({
            "id": format!("019aa5d0-0000-7000-8000-{seq:012}"), "seq": seq, "tenant": "shop", "time": "2026-11-21T10:05:07Z",
            "actor": {"user": "alice", "via": "Admission"}, "action": "Update", "outcome": "Denied",
            "origin": {"component": "webhook", "instance": "a"},
        })
    }

    fn raw(record: &Value) -> RawRecord {
        RawRecord::from_json(record.to_string()).expect("JSON")
    }

    /// Record 2 with another outcome.
    fn allowed() -> RawRecord {
        let mut record = record(2);
        record["outcome"] = json!("Allowed");
        raw(&record)
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&format!("{seed:02x}").repeat(32)).expect("a key")
    }

    /// Record 2 of 5, with a checkpoint of that many.
    fn found() -> RecordDetail {
        let (mut range, mut nodes) = (Range::empty(0), Nodes::new());
        for seq in 0..5 {
            let leaf = Hash::leaf(&serde_json_canonicalizer::to_vec(&record(seq)).expect("JSON"));
            range.push(leaf, |node: Node, hash| {
                nodes.insert(node, hash);
            });
        }
        let inclusion = Inclusion::prove(2, 5, &nodes).expect("a proof");
        let root = range.root().expect("a root");
        let checkpoint = Checkpoint { origin: "eventcenter/audit/shop".into(), size: 5, root };
        let hash = nodes[&Node { level: 0, index: 2 }];
        let proof = RecordProof { inclusion, checkpoint: Some(checkpoint.sign(&key(1))), root };
        RecordDetail { record: raw(&record(2)), hash, completion: None, proof }
    }

    fn check(found: &RecordDetail, keys: &TrustedKeys) -> Proven {
        prove(found, &shown::record(&found.record).expect("a record"), keys)
    }

    #[test]
    fn a_proof_is_checked_here() {
        let (known, other) =
            (TrustedKeys::parse(&key(1).public_key()), TrustedKeys::parse(&key(2).public_key()));
        assert!(check(&found(), &known).is_ok_and(|told| told.ends_with("the signature is right")));
        assert!(check(&found(), &TrustedKeys::default()).is_ok_and(|told| told.contains("was not checked")));
        assert!(check(&found(), &other).is_err_and(|told| told.contains("not signed by a trusted key")));
        let mut open = found();
        open.proof.checkpoint = None;
        assert!(check(&open, &known).is_ok_and(|told| told.contains("nobody has signed that yet")));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        type Edit = fn(&mut RecordDetail);
        let edits: [(Edit, &str); 7] = [
            (|found| found.record = allowed(), "it was edited"),
            (
                |found| {
                    found.record = allowed();
                    let content = shown::value(&found.record).expect("JSON");
                    found.hash = Hash::leaf(&serde_json_canonicalizer::to_vec(&content).expect("JSON"));
                },
                "is not in the tree",
            ),
            (|found| found.proof.inclusion.index = 3, "the proof is about record 3, and this is 2"),
            (
                |found| found.proof.inclusion.size = 6,
                "the proof is about 6 records, and the checkpoint about 5",
            ),
            (|found| found.proof.inclusion.path.clear(), "is not in the tree"),
            (|found| found.proof.checkpoint = Some("none".into()), "not a signed checkpoint"),
            (
                |found| {
                    let note = found.proof.checkpoint.as_ref().expect("a note");
                    found.proof.checkpoint = Some(note.replace("audit/shop", "audit/other"));
                },
                "not about this log",
            ),
        ];
        let keys = TrustedKeys::parse(&key(1).public_key());
        for (edit, expected) in edits {
            let mut found = found();
            edit(&mut found);
            assert!(check(&found, &keys).is_err_and(|told| told.contains(expected)), "{expected}");
        }
    }
}
