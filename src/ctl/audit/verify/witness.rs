//! What somebody else says of a log: signed checkpoints, and whose signatures count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::super::super::terminal::plain;
use super::super::super::{file, warn};
use crate::domain::audit::LogName;
use crate::domain::audit::checkpoint::{Checkpoint, TrustedKeys, origin};
use crate::domain::audit::verify::{Finding, TrustedCheckpoints};
use crate::error_chain::ErrorChain;
use crate::kubernetes::{Login, Session, SessionError};

/// The operator's namespace unless another is given.
pub(in super::super) const NAMESPACE: &str = "eventcenter-system";

/// How long the cluster has to answer where it may as well be away.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the cluster is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// It has to answer.
    Must,
    /// If it can be reached.
    May,
    /// Not at all.
    Not,
}

/// Whom to believe, and what they say.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    keys: TrustedKeys,
    said: Vec<Said>,
}

/// A signed note.
#[derive(Clone, Debug)]
struct Said {
    /// The log that it is about, by what it says or where it stands.
    log: String,
    note: String,
    /// What it is called.
    witness: String,
    /// Whether somebody gave it, and wants it to be compared.
    is_given: bool,
}

/// The keys of files.
pub(in super::super) fn keys(paths: &[PathBuf]) -> anyhow::Result<TrustedKeys> {
    let mut all = String::new();
    for path in paths {
        let text = read(path)?;
        if TrustedKeys::parse(&text).is_empty() {
            bail!(
                "{}: there is no public key in it: keys are those of the key audit in ConfigMap eventcenter-seals (64 \
                 hexadecimal digits), or verifier keys (NAME+ID+BASE64)",
                path.display()
            );
        }
        all.push_str(&text);
        all.push('\n');
    }
    Ok(TrustedKeys::parse(&all))
}

/// What the cluster says: signed notes by log, and the public keys.
pub(in super::super) async fn of_cluster(
    login: &Login,
    namespace: &str,
) -> Result<(BTreeMap<String, String>, String), SessionError> {
    Session::open(login).await?.get_published_checkpoints(namespace).await
}

impl Trust {
    /// Reads the files that somebody gives, and asks the cluster.
    pub(super) async fn gather(
        key_files: &[PathBuf],
        checkpoints: &[PathBuf],
        (asking, login, namespace): (Asking, &Login, &str),
    ) -> anyhow::Result<Self> {
        let mut keys_text = String::new();
        keys(key_files)?;
        for path in key_files {
            keys_text.push_str(&read(path)?);
            keys_text.push('\n');
        }
        let mut said = Vec::new();
        for path in checkpoints {
            said.push(Said::of_file(path)?);
        }
        if let Some((notes, keys)) = ask(asking, login, namespace).await? {
            keys_text.push_str(&keys);
            said.extend(notes.into_iter().map(|(log, note)| {
                let witness = "the checkpoint of ConfigMap eventcenter-audit-checkpoints".to_owned();
                Said { log, note, witness, is_given: false }
            }));
        }
        let keys = TrustedKeys::parse(&keys_text);
        if keys.is_empty() && !checkpoints.is_empty() {
            bail!("--checkpoint says nothing without a key: give --key FILE or --cluster");
        }
        Ok(Self { keys, said })
    }

    /// Whether nobody is believed, because no key is known.
    pub(super) fn is_blind(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are known.
    pub(super) fn keys(&self) -> &TrustedKeys {
        &self.keys
    }

    /// What is said of a log, each after what it is called; nothing if nobody is believed.
    pub(super) fn notes(&self, log: &LogName) -> Vec<(String, String)> {
        let said = self.said.iter().filter(|said| said.log == log.as_str() && !self.is_blind());
        said.map(|said| (said.witness.clone(), said.note.clone())).collect()
    }

    /// The logs that somebody says something of.
    pub(super) fn logs(&self) -> Vec<LogName> {
        let mut logs: Vec<LogName> = self.said.iter().filter_map(|said| said.log.parse().ok()).collect();
        logs.sort();
        logs.dedup();
        logs
    }

    /// Whether each checkpoint that somebody gave is about one of these logs.
    ///
    /// # Errors
    /// One is about another, so that nothing was compared with it.
    pub(super) fn concerns(&self, logs: &[&LogName]) -> anyhow::Result<()> {
        let is_among = |said: &Said| logs.iter().any(|log| log.as_str() == said.log);
        match self.said.iter().find(|said| said.is_given && !is_among(said)) {
            Some(Said { witness, log, .. }) => {
                bail!("{witness} is about the log {}, which was not verified", plain(log))
            }
            None => Ok(()),
        }
    }

    /// What is said of a log, with notes that stand beside it; notes that are not believed are findings. Where no key is
    /// known all are taken as they are.
    pub(super) fn witnesses(
        &self,
        installation: &str,
        log: &LogName,
        beside: impl IntoIterator<Item = (String, String)>,
    ) -> (TrustedCheckpoints, Vec<Finding>) {
        let origin = origin(installation, log);
        let own = self.said.iter().filter(|said| said.log == log.as_str());
        let own = own.map(|said| (said.witness.clone(), said.note.clone()));
        let (mut believed, mut forged) = (TrustedCheckpoints { checkpoints: Vec::new() }, Vec::new());
        for (witness, note) in own.chain(beside) {
            match self.believe(&note, &origin) {
                Ok(checkpoint) => believed.checkpoints.push((checkpoint, witness)),
                Err(why) => forged.push(Finding::UntrustedCheckpoint { source: witness, problem: why }),
            }
        }
        (believed, forged)
    }

    fn believe(&self, note: &str, origin: &str) -> Result<Checkpoint, String> {
        if !self.is_blind() {
            return Checkpoint::verify(note, origin, &self.keys).map_err(|error| error.to_string());
        }
        let read = Checkpoint::parse_unverified(note).map_err(|error| error.to_string())?;
        match read.origin == origin {
            true => Ok(read),
            false => Err(format!("it is about {}, not about {origin}", plain(&read.origin))),
        }
    }
}

impl Said {
    /// A checkpoint that somebody has kept.
    fn of_file(path: &Path) -> anyhow::Result<Self> {
        let note = read(path)?;
        let read = Checkpoint::parse_unverified(&note).with_context(|| path.display().to_string())?;
        let Some((_, log)) = read.origin.rsplit_once("/audit/") else {
            bail!(
                "{}: this checkpoint is about {}, which is no audit log",
                path.display(),
                plain(&read.origin)
            );
        };
        let witness = format!("the checkpoint of {} records in {}", read.size, path.display());
        Ok(Self { log: log.to_owned(), note, witness, is_given: true })
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    file::text(path).with_context(|| format!("reading {}", file::name(path)))
}

async fn ask(
    asking: Asking,
    login: &Login,
    namespace: &str,
) -> anyhow::Result<Option<(BTreeMap<String, String>, String)>> {
    match asking {
        Asking::Not => Ok(None),
        Asking::Must => Ok(Some(of_cluster(login, namespace).await?)),
        Asking::May => match tokio::time::timeout(PATIENCE, of_cluster(login, namespace)).await {
            Ok(Ok(said)) => Ok(Some(said)),
            // Whoever has no cluster has not forgotten to ask it.
            Ok(Err(SessionError::Kubeconfig(_))) => Ok(None),
            Ok(Err(error)) => {
                warn(&format!("the checkpoints in the cluster are not compared: {}", ErrorChain(&error)));
                Ok(None)
            }
            Err(_) => {
                warn("the checkpoints in the cluster are not compared: it did not answer in time");
                Ok(None)
            }
        },
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

    fn trust(keys: &str, said: &[(&str, String)]) -> Trust {
        let said = said.iter().map(|(log, note)| Said {
            log: (*log).into(),
            note: note.clone(),
            witness: "a note".into(),
            is_given: true,
        });
        Trust { keys: TrustedKeys::parse(keys), said: said.collect() }
    }

    #[test]
    fn only_what_is_said_of_the_log_counts() {
        let trust = trust(&key(1).public_key(), &[("shop", note("shop")), ("other", note("other"))]);
        let shop = "shop".parse().expect("a log");
        let (found, forged) = trust.witnesses("site", &shop, [("beside it".into(), note("shop"))]);
        assert_eq!(forged, []);
        let names: Vec<&str> = found.checkpoints.iter().map(|(_, witness)| witness.as_str()).collect();
        assert_eq!(names, ["a note", "beside it"]);
        assert!(
            trust.concerns(&[&shop]).is_err_and(
                |error| error.to_string() == "a note is about the log other, which was not verified"
            )
        );
        assert_eq!(trust.logs(), ["other".parse().expect("a log"), shop]);
    }

    #[test]
    fn who_is_not_believed_is_named() {
        let shop = "shop".parse().expect("a log");
        let why =
            |trust: &Trust, installation: &str| match trust.witnesses(installation, &shop, []).1.as_slice() {
                [Finding::UntrustedCheckpoint { source: witness, problem: why }] => {
                    format!("{witness}: {why}")
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
        assert_eq!(trust("", &edited).witnesses("site", &shop, []).1, [], "nobody can tell");
    }

    #[test]
    fn files_are_read_and_what_is_wrong_with_them_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let told = |paths: &[PathBuf]| keys(paths).map_err(|error| error.to_string());
        let (one, none) = (path("one", &format!("{}\n", key(1).public_key())), path("none", "no key"));
        assert_eq!(told(std::slice::from_ref(&one)), Ok(TrustedKeys::parse(&key(1).public_key())));
        assert!(told(&[one, none]).is_err_and(|error| error.contains("none: there is no public key in it")));
        assert!(told(&[folder.path().join("gone")]).is_err_and(|error| error.contains("reading")));
        let said = Said::of_file(&path("old", &note("shop"))).expect("a checkpoint");
        assert_eq!(said.log, "shop");
        assert!(said.witness.starts_with("the checkpoint of 5 records in "), "{}", said.witness);
        assert!(Said::of_file(&path("no", "none")).is_err());
    }
}
