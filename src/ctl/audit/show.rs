//! `eventctl audit show`: a record, and the proof that it is in its log.

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
use super::log_client::{LogArgs, LogClient};
use super::output_args::{Output, OutputArgs};
use super::render::{self, Layout};
use super::time_arg;
use super::verify::trust;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys};
use crate::domain::audit::merkle::Hash;
use crate::domain::audit::{LogName, Record};

const EXAMPLES: &str = "\
Examples:
  eventctl audit list --since 2h -o wide
  eventctl audit show 019aa5d0-7c5e-7a30-b3b5-0d6e5a5c1f11
  eventctl audit show 019aa5d0-7c5e-7a30-b3b5-0d6e5a5c1f11 --tenant shop --key keys.txt

Exit codes: 0 the proof of the record is valid, 1 the proof is invalid, 2 an error occurred.";

/// Timeout for reading the public keys from the cluster.
const KEYS_TIMEOUT: Duration = Duration::from_secs(5);

/// Show a record with its change, and verify the proof that it is in its log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("color", |color| color.help("When to colour the output")))]
pub(in super::super) struct Show {
    /// Id of the record, as in list -o wide or in the annotation of Kubernetes' own audit log.
    #[arg(value_name = "ID")]
    id: Uuid,
    /// File with trusted public keys. Default: those that the cluster publishes. May be repeated.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Namespace of the operator.
    #[arg(long, value_name = "NAME", default_value = trust::OPERATOR_NAMESPACE)]
    operator_namespace: String,
    #[command(flatten)]
    format: OutputArgs,
    #[command(flatten)]
    server: LogArgs,
}

pub(super) fn answer(arguments: &Show) -> anyhow::Result<Answer> {
    let keys = trust::read_keys(&arguments.keys)?;
    block_on(async {
        let log = arguments.server.open().await?;
        let detail = log.get(arguments.id).await?;
        let record = render::parse_record(&detail.record)?;
        if record.id != arguments.id {
            bail!("the server returned another record: {}", record.id);
        }
        let started = match record.completes {
            Some(start) => Some(read_start(&log, start).await?),
            None => None,
        };
        let keys = match keys.is_empty() {
            true => cluster_keys(arguments).await,
            false => keys,
        };
        let proof = verify_proof(&detail, &record, &keys);
        let text = match arguments.format.output {
            Output::Json => serde_json::to_string_pretty(&to_json(&detail, &proof)?)?,
            Output::Yaml => serde_yaml::to_string(&to_json(&detail, &proof)?)?,
            Output::Table | Output::Wide => {
                let layout = Layout { ids: true, ..arguments.format.layout(&time_arg::now()) };
                to_text(&detail, &record, started.as_ref(), &proof, &layout)?
            }
        };
        Ok(Answer { yes: proof.is_ok(), text })
    })
}

async fn read_start(log: &LogClient, id: Uuid) -> anyhow::Result<Record> {
    let detail = log.get(id).await.context("reading the record of the start")?;
    render::parse_record(&detail.record)
}

/// The public keys that the cluster publishes; none if it cannot be reached.
async fn cluster_keys(arguments: &Show) -> TrustedKeys {
    let login = arguments.server.kubernetes_login();
    let published = trust::read_published(&login, &arguments.operator_namespace);
    match tokio::time::timeout(KEYS_TIMEOUT, published).await {
        Ok(Ok((_, keys))) => TrustedKeys::parse(&keys),
        _ => TrustedKeys::default(),
    }
}

/// Whether the proof is valid, with a sentence for people.
type ProofResult = Result<String, String>;

/// Verifies the content against its hash, the hash against the root, and the root against the signature.
fn verify_proof(detail: &RecordDetail, record: &Record, keys: &TrustedKeys) -> ProofResult {
    let RecordDetail { record: content, hash, completion: _, proof } = detail;
    let content = render::to_json(content).map_err(|error| error.to_string())?;
    let canonical = serde_json_canonicalizer::to_vec(&content).map_err(|error| error.to_string())?;
    if Hash::leaf(&canonical) != *hash {
        return Err("the record was edited: its content does not match its hash".into());
    }
    let RecordProof { inclusion, checkpoint, root } = proof;
    if inclusion.index != record.seq {
        return Err(format!("the proof is of record {}, not of {}", inclusion.index, record.seq));
    }
    let (root, of) = match checkpoint {
        Some(note) => {
            let checkpoint = verify_checkpoint(note, &record.tenant, keys)?;
            if checkpoint.size != inclusion.size {
                return Err(format!(
                    "the proof is of a tree of {} records, the checkpoint of {}",
                    inclusion.size, checkpoint.size
                ));
            }
            let signature = match keys.is_empty() {
                true => "its signature was not verified, because no public key is known (--key)",
                false => "its signature is valid",
            };
            (checkpoint.root, format!("of the checkpoint at {} records; {signature}", checkpoint.size))
        }
        None => (
            *root,
            format!("of the current log of {} records, which no checkpoint covers yet", inclusion.size),
        ),
    };
    match inclusion.holds(hash, &root) {
        true => Ok(format!("the record is in the tree {of}")),
        false => Err(format!("the record is not in the tree {of}")),
    }
}

/// Parses a checkpoint of a log, and verifies its signature if a key is known.
fn verify_checkpoint(note: &str, log: &LogName, keys: &TrustedKeys) -> Result<Checkpoint, String> {
    let checkpoint = Checkpoint::parse_unverified(note).map_err(|error| error.to_string())?;
    if !checkpoint.origin.ends_with(&format!("/audit/{log}")) {
        return Err(format!("the checkpoint is of {}, not of this log", plain(&checkpoint.origin)));
    }
    match keys.is_empty() {
        true => Ok(checkpoint),
        false => Checkpoint::verify(note, &checkpoint.origin, keys).map_err(|error| error.to_string()),
    }
}

fn to_text(
    detail: &RecordDetail,
    record: &Record,
    started: Option<&Record>,
    proof: &ProofResult,
    layout: &Layout,
) -> anyhow::Result<String> {
    let mut lines = render::details(record, layout);
    lines.push(String::new());
    if let Some(started) = started {
        lines.push(format!("completes:    {}", render::summary(started, &layout.zone)));
    }
    if let Some(completion) = &detail.completion {
        lines.push(format!(
            "completed by: {}",
            render::summary(&render::parse_record(completion)?, &layout.zone)
        ));
    }
    lines.push(match proof {
        Ok(sentence) => format!("proof:        {sentence}"),
        Err(sentence) => format!("proof:        invalid: {sentence}"),
    });
    Ok(lines.join("\n"))
}

fn to_json(detail: &RecordDetail, proof: &ProofResult) -> anyhow::Result<Value> {
    let (holds, message) = match proof {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    let mut value = json!({
        "record": render::to_json(&detail.record)?, "hash": detail.hash, "proof": {
            "holds": holds, "message": message, "inclusion": detail.proof.inclusion, "checkpoint": detail.proof.checkpoint,
            "root": detail.proof.root,
        },
    });
    if let Some(completion) = &detail.completion {
        value["completion"] = render::to_json(completion)?;
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

    /// Record 2 of 5, with a checkpoint at 5.
    fn detail() -> RecordDetail {
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

    fn check(detail: &RecordDetail, keys: &TrustedKeys) -> ProofResult {
        verify_proof(detail, &render::parse_record(&detail.record).expect("a record"), keys)
    }

    #[test]
    fn a_proof_is_verified() {
        let (known, other) =
            (TrustedKeys::parse(&key(1).public_key()), TrustedKeys::parse(&key(2).public_key()));
        assert!(check(&detail(), &known).is_ok_and(|text| text.ends_with("its signature is valid")));
        assert!(
            check(&detail(), &TrustedKeys::default()).is_ok_and(|text| text.contains("was not verified"))
        );
        assert!(check(&detail(), &other).is_err_and(|text| text.contains("not signed by a trusted key")));
        let mut unsigned = detail();
        unsigned.proof.checkpoint = None;
        assert!(check(&unsigned, &known).is_ok_and(|text| text.contains("no checkpoint covers yet")));
    }

    #[test]
    fn an_invalid_proof_is_refused() {
        type Edit = fn(&mut RecordDetail);
        let edits: [(Edit, &str); 7] = [
            (|detail| detail.record = allowed(), "the record was edited"),
            (
                |detail| {
                    detail.record = allowed();
                    let content = render::to_json(&detail.record).expect("JSON");
                    detail.hash = Hash::leaf(&serde_json_canonicalizer::to_vec(&content).expect("JSON"));
                },
                "is not in the tree",
            ),
            (|detail| detail.proof.inclusion.index = 3, "the proof is of record 3, not of 2"),
            (
                |detail| detail.proof.inclusion.size = 6,
                "the proof is of a tree of 6 records, the checkpoint of 5",
            ),
            (|detail| detail.proof.inclusion.path.clear(), "is not in the tree"),
            (|detail| detail.proof.checkpoint = Some("none".into()), "not a signed checkpoint"),
            (
                |detail| {
                    let note = detail.proof.checkpoint.as_ref().expect("a note");
                    detail.proof.checkpoint = Some(note.replace("audit/shop", "audit/other"));
                },
                "not of this log",
            ),
        ];
        let keys = TrustedKeys::parse(&key(1).public_key());
        for (edit, expected) in edits {
            let mut detail = detail();
            edit(&mut detail);
            assert!(check(&detail, &keys).is_err_and(|text| text.contains(expected)), "{expected}");
        }
    }
}
