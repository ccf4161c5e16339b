//! Checkpoints from elsewhere, and the public keys that verify them.

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
pub(in super::super) const OPERATOR_NAMESPACE: &str = "eventcenter-system";

/// Timeout for the cluster where it is optional.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether the keys and checkpoints of the cluster are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClusterLookup {
    /// They are required.
    Required,
    /// They are read if the cluster can be reached.
    Optional,
    /// They are not read.
    Skipped,
}

/// Public keys and signed checkpoints.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    keys: TrustedKeys,
    notes: Vec<SignedNote>,
}

/// A signed checkpoint, as a note.
#[derive(Clone, Debug)]
struct SignedNote {
    /// The log that it covers.
    log: String,
    text: String,
    /// Where it is from, for messages.
    source: String,
    /// Whether it is an argument, so that it has to be compared.
    is_given: bool,
}

/// Reads public keys from files.
pub(in super::super) fn read_keys(paths: &[PathBuf]) -> anyhow::Result<TrustedKeys> {
    let mut all = String::new();
    for path in paths {
        let text = read(path)?;
        if TrustedKeys::parse(&text).is_empty() {
            bail!(
                "{}: the file has no public key: write the value of the key audit in ConfigMap eventcenter-seals (64 \
                 hexadecimal digits), or verifier keys (NAME+ID+BASE64)",
                path.display()
            );
        }
        all.push_str(&text);
        all.push('\n');
    }
    Ok(TrustedKeys::parse(&all))
}

/// Reads what the cluster publishes: signed notes by log, and the public keys.
pub(in super::super) async fn read_published(
    login: &Login,
    namespace: &str,
) -> Result<(BTreeMap<String, String>, String), SessionError> {
    Session::open(login).await?.get_published_checkpoints(namespace).await
}

impl Trust {
    /// Reads the keys and checkpoints of files and of the cluster.
    pub(super) async fn collect(
        key_files: &[PathBuf],
        checkpoints: &[PathBuf],
        (lookup, login, namespace): (ClusterLookup, &Login, &str),
    ) -> anyhow::Result<Self> {
        let mut keys_text = String::new();
        read_keys(key_files)?;
        for path in key_files {
            keys_text.push_str(&read(path)?);
            keys_text.push('\n');
        }
        let mut notes = Vec::new();
        for path in checkpoints {
            notes.push(SignedNote::read(path)?);
        }
        if let Some((published, keys)) = look_up(lookup, login, namespace).await? {
            keys_text.push_str(&keys);
            notes.extend(published.into_iter().map(|(log, text)| {
                let source = "the checkpoint of ConfigMap eventcenter-audit-checkpoints".to_owned();
                SignedNote { log, text, source, is_given: false }
            }));
        }
        let keys = TrustedKeys::parse(&keys_text);
        if keys.is_empty() && !checkpoints.is_empty() {
            bail!("--checkpoint cannot be verified without a public key: give --key FILE or --cluster");
        }
        Ok(Self { keys, notes })
    }

    /// Whether a public key is known.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The public keys.
    pub(super) fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// The notes of a log, each after its source.
    pub(super) fn notes(&self, log: &LogName) -> Vec<(String, String)> {
        let notes = self.notes.iter().filter(|note| note.log == log.as_str());
        notes.map(|note| (note.source.clone(), note.text.clone())).collect()
    }

    /// The logs that a note covers.
    pub(super) fn logs(&self) -> Vec<LogName> {
        let mut logs: Vec<LogName> = self.notes.iter().filter_map(|note| note.log.parse().ok()).collect();
        logs.sort();
        logs.dedup();
        logs
    }

    /// Checks that each checkpoint that was given as an argument covers one of these logs.
    ///
    /// # Errors
    /// One covers another log, so that it was not compared.
    pub(super) fn check_given_checkpoints(&self, logs: &[&LogName]) -> anyhow::Result<()> {
        let is_verified = |note: &SignedNote| logs.iter().any(|log| log.as_str() == note.log);
        match self.notes.iter().find(|note| note.is_given && !is_verified(note)) {
            Some(SignedNote { source, log, .. }) => {
                bail!("{source} covers the log {}, which was not verified", plain(log))
            }
            None => Ok(()),
        }
    }

    /// The checkpoints of notes, each of which follows its source. Notes that are not trusted are findings. Without keys no
    /// signature is verified.
    pub(super) fn checkpoints(
        &self,
        installation: &str,
        log: &LogName,
        notes: impl IntoIterator<Item = (String, String)>,
    ) -> (TrustedCheckpoints, Vec<Finding>) {
        let origin = origin(installation, log);
        let (mut trusted, mut untrusted) = (TrustedCheckpoints { checkpoints: Vec::new() }, Vec::new());
        for (source, text) in notes {
            match self.verify(&text, &origin) {
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
        let checkpoint = Checkpoint::parse_unverified(note).map_err(|error| error.to_string())?;
        match checkpoint.origin == origin {
            true => Ok(checkpoint),
            false => Err(format!("its origin is {}, not {origin}", plain(&checkpoint.origin))),
        }
    }
}

impl SignedNote {
    /// Reads a checkpoint from a file.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = read(path)?;
        let checkpoint = Checkpoint::parse_unverified(&text).with_context(|| path.display().to_string())?;
        let Some((_, log)) = checkpoint.origin.rsplit_once("/audit/") else {
            bail!(
                "{}: the checkpoint covers {}, which is not an audit log",
                path.display(),
                plain(&checkpoint.origin)
            );
        };
        let source = format!("the checkpoint of {} records in {}", checkpoint.size, path.display());
        Ok(Self { log: log.to_owned(), text, source, is_given: true })
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    file::text(path).with_context(|| format!("reading {}", file::name(path)))
}

async fn look_up(
    lookup: ClusterLookup,
    login: &Login,
    namespace: &str,
) -> anyhow::Result<Option<(BTreeMap<String, String>, String)>> {
    match lookup {
        ClusterLookup::Skipped => Ok(None),
        ClusterLookup::Required => Ok(Some(read_published(login, namespace).await?)),
        ClusterLookup::Optional => {
            match tokio::time::timeout(CLUSTER_TIMEOUT, read_published(login, namespace)).await {
                Ok(Ok(published)) => Ok(Some(published)),
                // Without a kubeconfig there is no cluster to compare with.
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

    fn sign_checkpoint(log: &str) -> String {
        Checkpoint { origin: format!("site/audit/{log}"), size: 5, root: Hash::leaf(b"x") }.sign(&key(1))
    }

    fn trust(keys: &str, notes: &[(&str, String)]) -> Trust {
        let notes = notes.iter().map(|(log, text)| SignedNote {
            log: (*log).into(),
            text: text.clone(),
            source: "a note".into(),
            is_given: true,
        });
        Trust { keys: TrustedKeys::parse(keys), notes: notes.collect() }
    }

    #[test]
    fn only_notes_of_the_log_count() {
        let trust = trust(
            &key(1).public_key(),
            &[("shop", sign_checkpoint("shop")), ("other", sign_checkpoint("other"))],
        );
        let shop = "shop".parse().expect("a log");
        let (trusted, untrusted) = trust.checkpoints("site", &shop, trust.notes(&shop));
        assert_eq!(untrusted, []);
        let names: Vec<&str> = trusted.checkpoints.iter().map(|(_, source)| source.as_str()).collect();
        assert_eq!(names, ["a note"]);
        assert!(
            trust.check_given_checkpoints(&[&shop]).is_err_and(
                |error| error.to_string() == "a note covers the log other, which was not verified"
            )
        );
        assert_eq!(trust.logs(), ["other".parse().expect("a log"), shop]);
    }

    #[test]
    fn an_untrusted_note_is_reported_with_its_problem() {
        let shop = "shop".parse().expect("a log");
        let problem = |trust: &Trust, installation: &str| match trust
            .checkpoints(installation, &shop, trust.notes(&shop))
            .1
            .as_slice()
        {
            [Finding::UntrustedCheckpoint { source, problem }] => {
                format!("{source}: {problem}")
            }
            other => format!("{other:?}"),
        };
        let notes = [("shop", sign_checkpoint("shop"))];
        assert_eq!(
            problem(&trust(&key(2).public_key(), &notes), "site"),
            "a note: it is not signed by a trusted key"
        );
        assert!(
            problem(&trust(&key(1).public_key(), &notes), "elsewhere")
                .contains("expected is \"elsewhere/audit/shop\"")
        );
        assert!(problem(&trust("", &notes), "elsewhere").contains("not elsewhere/audit/shop"));
        let edited = [("shop", sign_checkpoint("shop").replace("\n5\n", "\n4\n"))];
        assert!(problem(&trust(&key(1).public_key(), &edited), "site").contains("the signature is invalid"));
        let unsigned = trust("", &edited);
        assert_eq!(unsigned.checkpoints("site", &shop, unsigned.notes(&shop)).1, [], "there is no key");
    }

    #[test]
    fn files_with_keys_and_checkpoints() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let check = |paths: &[PathBuf]| read_keys(paths).map_err(|error| error.to_string());
        let (one, none) = (path("one", &format!("{}\n", key(1).public_key())), path("none", "no key"));
        assert_eq!(check(std::slice::from_ref(&one)), Ok(TrustedKeys::parse(&key(1).public_key())));
        assert!(check(&[one, none]).is_err_and(|error| error.contains("none: the file has no public key")));
        assert!(check(&[folder.path().join("gone")]).is_err_and(|error| error.contains("reading")));
        let note = SignedNote::read(&path("old", &sign_checkpoint("shop"))).expect("a checkpoint");
        assert_eq!(note.log, "shop");
        assert!(note.source.starts_with("the checkpoint of 5 records in "), "{}", note.source);
        assert!(SignedNote::read(&path("no", "none")).is_err());
    }
}
