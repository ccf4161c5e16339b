//! Trusted keys, and the checkpoints that a log is compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::super::super::file;
use super::super::super::output::{print_warning, render_error};
use super::super::super::terminal::plain;
use crate::domain::audit::LogName;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use crate::domain::audit::verify::{Finding, TrustedCheckpoints};
use crate::kubernetes::{Login, Session, SessionError};

/// The default namespace of the operator.
pub(in super::super) const DEFAULT_NAMESPACE: &str = "eventcenter-system";

/// Timeout of reading from a cluster that is optional.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether keys and checkpoints are read from the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterRead {
    /// Fails if the cluster cannot be reached.
    Required,
    /// Only if the cluster can be reached.
    IfReachable,
    /// Never.
    Never,
}

/// The trusted keys and the checkpoints to compare with.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    keys: TrustedKeys,
    notes: Vec<Note>,
}

/// A signed checkpoint.
#[derive(Clone, Debug)]
struct Note {
    /// The log that it is about.
    log: String,
    text: String,
    /// Its description for messages.
    source: String,
    /// Whether the user gave it, so that it must be compared.
    is_given: bool,
}

/// Reads the keys of files.
pub(in super::super) fn read_keys(paths: &[PathBuf]) -> anyhow::Result<TrustedKeys> {
    let mut all = String::new();
    for path in paths {
        let text = read(path)?;
        if TrustedKeys::parse(&text).is_empty() {
            bail!(
                "{}: no public key is in it: keys are those of the key audit in ConfigMap eventcenter-seals (64 \
                 hexadecimal digits), or verifier keys (NAME+ID+BASE64)",
                path.display()
            );
        }
        all.push_str(&text);
        all.push('\n');
    }
    Ok(TrustedKeys::parse(&all))
}

/// Reads the signed checkpoints by log, and the public keys, from the cluster.
pub(in super::super) async fn read_cluster(
    login: &Login,
    namespace: &str,
) -> Result<(BTreeMap<String, String>, String), SessionError> {
    Session::open(login).await?.get_published_checkpoints(namespace).await
}

impl Trust {
    /// Reads the given files, and the cluster.
    pub(super) async fn gather(
        key_files: &[PathBuf],
        checkpoints: &[PathBuf],
        (cluster_read, login, namespace): (ClusterRead, &Login, &str),
    ) -> anyhow::Result<Self> {
        let mut keys_text = String::new();
        read_keys(key_files)?;
        for path in key_files {
            keys_text.push_str(&read(path)?);
            keys_text.push('\n');
        }
        let mut notes = Vec::new();
        for path in checkpoints {
            notes.push(Note::read(path)?);
        }
        if let Some((published, keys)) = read_cluster_if(cluster_read, login, namespace).await? {
            keys_text.push_str(&keys);
            notes.extend(published.into_iter().map(|(log, text)| {
                let source = "the checkpoint of ConfigMap eventcenter-audit-checkpoints".to_owned();
                Note { log, text, source, is_given: false }
            }));
        }
        let keys = TrustedKeys::parse(&keys_text);
        if keys.is_empty() && !checkpoints.is_empty() {
            bail!("--checkpoint needs a key: give --key FILE or --cluster");
        }
        Ok(Self { keys, notes })
    }

    /// Whether signatures can be checked.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The trusted keys.
    pub(super) fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// The checkpoints of a log, each with its description; none if no key is known.
    pub(super) fn notes(&self, log: &LogName) -> Vec<(String, String)> {
        let notes = self.notes.iter().filter(|note| note.log == log.as_str() && self.has_keys());
        notes.map(|note| (note.source.clone(), note.text.clone())).collect()
    }

    /// The logs with a checkpoint.
    pub(super) fn logs(&self) -> Vec<LogName> {
        let mut logs: Vec<LogName> = self.notes.iter().filter_map(|note| note.log.parse().ok()).collect();
        logs.sort();
        logs.dedup();
        logs
    }

    /// Checks that each given checkpoint is about one of these logs.
    ///
    /// # Errors
    /// A checkpoint is about another log, so it was not compared.
    pub(super) fn require_compared(&self, logs: &[&LogName]) -> anyhow::Result<()> {
        let is_among = |note: &Note| logs.iter().any(|log| log.as_str() == note.log);
        match self.notes.iter().find(|note| note.is_given && !is_among(note)) {
            Some(Note { source, log, .. }) => {
                bail!("{source} is about the log {}, which was not verified", plain(log))
            }
            None => Ok(()),
        }
    }

    /// The checkpoints of a log, with those stored beside it. Untrusted ones are findings. Without keys, all are accepted
    /// unverified.
    pub(super) fn checkpoints(
        &self,
        installation: &str,
        log: &LogName,
        beside: impl IntoIterator<Item = (String, String)>,
    ) -> (TrustedCheckpoints, Vec<Finding>) {
        let origin = origin(installation, log);
        let notes = self.notes.iter().filter(|note| note.log == log.as_str());
        let notes = notes.map(|note| (note.source.clone(), note.text.clone()));
        let (mut trusted, mut untrusted) = (TrustedCheckpoints { checkpoints: Vec::new() }, Vec::new());
        for (source, note) in notes.chain(beside) {
            match self.verify(&note, &origin) {
                Ok(checkpoint) => trusted.checkpoints.push((checkpoint, source)),
                Err(problem) => untrusted.push(Finding::UntrustedCheckpoint { source, problem }),
            }
        }
        (trusted, untrusted)
    }

    fn verify(&self, note: &str, origin: &str) -> Result<Checkpoint, String> {
        if self.has_keys() {
            return Checkpoint::verify(note, origin, &self.keys).map_err(|error| error.to_string());
        }
        let read = Checkpoint::parse_unverified(note).map_err(|error| error.to_string())?;
        match read.origin == origin {
            true => Ok(read),
            false => Err(format!("it is about {}, not about {origin}", plain(&read.origin))),
        }
    }
}

impl Note {
    /// Reads a checkpoint from a file.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read(path)?;
        let read = Checkpoint::parse_unverified(&text).with_context(|| path.display().to_string())?;
        let Some((_, log)) = read.origin.rsplit_once("/audit/") else {
            bail!(
                "{}: this checkpoint is about {}, which is not an audit log",
                path.display(),
                plain(&read.origin)
            );
        };
        let source = format!("the checkpoint of {} records in {}", read.size, path.display());
        Ok(Self { log: log.to_owned(), text, source, is_given: true })
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    file::text(path).with_context(|| format!("reading {}", file::name(path)))
}

async fn read_cluster_if(
    cluster_read: ClusterRead,
    login: &Login,
    namespace: &str,
) -> anyhow::Result<Option<(BTreeMap<String, String>, String)>> {
    match cluster_read {
        ClusterRead::Never => Ok(None),
        ClusterRead::Required => Ok(Some(read_cluster(login, namespace).await?)),
        ClusterRead::IfReachable => {
            match tokio::time::timeout(CLUSTER_TIMEOUT, read_cluster(login, namespace)).await {
                Ok(Ok(published)) => Ok(Some(published)),
                // Without a kubeconfig there is no cluster to read.
                Ok(Err(SessionError::Kubeconfig(_))) => Ok(None),
                Ok(Err(error)) => {
                    print_warning(&format!(
                        "the checkpoints in the cluster are not compared: {}",
                        render_error(&error.into())
                    ));
                    Ok(None)
                }
                Err(_) => {
                    print_warning(
                        "the checkpoints in the cluster are not compared: it did not answer in time",
                    );
                    Ok(None)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::merkle::Hash;
    use crate::domain::signature::SigningKey;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&format!("{seed:02x}").repeat(32)).expect("a key")
    }

    fn note(log: &str) -> String {
        Checkpoint { origin: format!("site/audit/{log}"), size: 5, root: Hash::leaf(b"x") }.sign(&key(1))
    }

    fn trust(keys: &str, notes: &[(&str, String)]) -> Trust {
        let notes = notes.iter().map(|(log, text)| Note {
            log: (*log).into(),
            text: text.clone(),
            source: "a note".into(),
            is_given: true,
        });
        Trust { keys: TrustedKeys::parse(keys), notes: notes.collect() }
    }

    #[test]
    fn only_checkpoints_of_the_log_are_used() {
        let trust = trust(&key(1).public_key(), &[("shop", note("shop")), ("other", note("other"))]);
        let shop = "shop".parse().expect("a log");
        let (trusted, untrusted) = trust.checkpoints("site", &shop, [("beside it".into(), note("shop"))]);
        assert_eq!(untrusted, []);
        let names: Vec<&str> = trusted.checkpoints.iter().map(|(_, source)| source.as_str()).collect();
        assert_eq!(names, ["a note", "beside it"]);
        assert!(
            trust.require_compared(&[&shop]).is_err_and(
                |error| error.to_string() == "a note is about the log other, which was not verified"
            )
        );
        assert_eq!(trust.logs(), ["other".parse().expect("a log"), shop]);
    }

    #[test]
    fn untrusted_checkpoints_are_named() {
        let shop = "shop".parse().expect("a log");
        let why =
            |trust: &Trust, installation: &str| match trust.checkpoints(installation, &shop, []).1.as_slice()
            {
                [Finding::UntrustedCheckpoint { source, problem }] => {
                    format!("{source}: {problem}")
                }
                other => format!("{other:?}"),
            };
        let right = [("shop", note("shop"))];
        assert_eq!(
            why(&trust(&key(2).public_key(), &right), "site"),
            "a note: it is not signed by a trusted key"
        );
        assert!(
            why(&trust(&key(1).public_key(), &right), "elsewhere")
                .contains("expected is \"elsewhere/audit/shop\"")
        );
        assert!(why(&trust("", &right), "elsewhere").contains("not about elsewhere/audit/shop"));
        let edited = [("shop", note("shop").replace("\n5\n", "\n4\n"))];
        assert!(why(&trust(&key(1).public_key(), &edited), "site").contains("the signature is invalid"));
        assert_eq!(trust("", &edited).checkpoints("site", &shop, []).1, [], "signatures are not checked");
    }

    #[test]
    fn invalid_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let parsed = |paths: &[PathBuf]| read_keys(paths).map_err(|error| error.to_string());
        let (one, none) = (path("one", &format!("{}\n", key(1).public_key())), path("none", "no key"));
        assert_eq!(parsed(std::slice::from_ref(&one)), Ok(TrustedKeys::parse(&key(1).public_key())));
        assert!(parsed(&[one, none]).is_err_and(|error| error.contains("none: no public key is in it")));
        assert!(parsed(&[folder.path().join("missing")]).is_err_and(|error| error.contains("reading")));
        let old = Note::read(&path("old", &note("shop"))).expect("a checkpoint");
        assert_eq!(old.log, "shop");
        assert!(old.source.starts_with("the checkpoint of 5 records in "), "{}", old.source);
        assert!(Note::read(&path("no", "none")).is_err());
    }
}
