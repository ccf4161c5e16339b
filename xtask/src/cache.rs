//! The user's cache folder: artefacts that are downloaded or compiled once, keyed by their sources.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{console::Console, interrupt};

/// Entries that were not used for this long are removed when a new one is made.
const MAX_IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A file whose modification time is the last use of an entry.
const USED: &str = ".used";

/// A folder of artefacts; several processes may use it at the same time.
#[derive(Debug, Clone)]
pub struct Cache(PathBuf);

impl Cache {
    /// `$EVENTCENTER_CACHE`, or `$XDG_CACHE_HOME/eventcenter`, or `~/.cache/eventcenter`.
    pub fn of_user() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("EVENTCENTER_CACHE")
            .or_else(|| Some(set("XDG_CACHE_HOME")?.join("eventcenter")))
            .or_else(|| Some(set("HOME")?.join(".cache/eventcenter")))
            .context("no cache folder: set EVENTCENTER_CACHE, XDG_CACHE_HOME or HOME")?;
        Self::at(&folder)
    }

    /// A cache in this folder.
    pub fn at(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the cache {}", folder.display()))?;
        Ok(Self(folder.canonicalize()?))
    }

    /// The folder of an artefact; `None` if it is not in the cache.
    pub fn find(&self, name: &str, key: &Key) -> Option<PathBuf> {
        let folder = self.0.join(name).join(&key.0);
        folder.is_dir().then(|| {
            // Without the file the artefact is still good, so an error does not matter.
            let _ = File::create(folder.join(USED));
            folder
        })
    }

    /// The folder of an artefact. If it is missing, `make` fills a temporary folder, which is renamed when it is complete.
    /// Of two processes that need the same artefact, one makes it and the other one waits.
    pub fn get(
        &self,
        console: &Console,
        name: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        if let Some(folder) = self.find(name, key) {
            return Ok(folder);
        }
        let shelf = self.0.join(name);
        fs::create_dir_all(&shelf)?;
        let _lock = lock(&shelf.join(".lock"), console, &format!("Waiting for another run to make {name}"))?;
        if let Some(folder) = self.find(name, key) {
            return Ok(folder);
        }
        clean(&shelf);
        let unfinished = tempfile::Builder::new().prefix(".new-").tempdir_in(&shelf)?;
        make(unfinished.path())?;
        let folder = shelf.join(&key.0);
        fs::rename(unfinished.path(), &folder)
            .with_context(|| format!("cannot put {name} into {}", folder.display()))?;
        let _ = File::create(folder.join(USED));
        Ok(folder)
    }
}

/// Removes unfinished folders of earlier runs (the caller holds the lock, so none of them still runs) and unused entries.
fn clean(shelf: &Path) {
    for entry in fs::read_dir(shelf).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let used = fs::metadata(entry.path().join(USED)).and_then(|file| file.modified());
        let idle = used.ok().and_then(|used| SystemTime::now().duration_since(used).ok());
        if name.starts_with(".new-") || idle.is_some_and(|idle| idle > MAX_IDLE) {
            // The next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Takes a lock that ends with the returned file or with this process. Shows `waiting` while another process holds it.
pub fn lock(path: &Path, console: &Console, waiting: &str) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))?;
    let mut task = None;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) => {
                task.get_or_insert_with(|| console.task(waiting));
                interrupt::check()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    if let Some(task) = task {
        task.finish();
    }
    Ok(file)
}

/// A short hash of the sources of an artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Hashes files (names relative to `root`, in any order) and further values such as flags.
    pub fn of(root: &Path, files: &[PathBuf], values: &[&str]) -> Result<Self> {
        if files.is_empty() {
            bail!("nothing to make an artefact from in {}", root.display());
        }
        let mut files = files.to_vec();
        files.sort();
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        for file in files {
            add(file.strip_prefix(root).unwrap_or(&file).as_os_str().as_encoded_bytes());
            add(&fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        values.iter().for_each(|value| add(value.as_bytes()));
        let hash = hash.finalize();
        Ok(Self(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(word: &str) -> Key {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("source");
        fs::write(&file, "text").expect("the file is written");
        Key::of(folder.path(), &[file], &[word]).expect("the file is read")
    }

    #[test]
    fn the_key_depends_on_the_content_and_not_on_the_folder() {
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn an_artefact_is_made_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(folder.path()).expect("a cache");
        let mut made = 0;
        for _ in 0..3 {
            let artefact = cache.get(&Console::silent(), "thing", &key("a"), |folder| {
                made += 1;
                Ok(fs::write(folder.join("file"), "x")?)
            });
            assert!(artefact.expect("an artefact").join("file").is_file());
        }
        assert_eq!(made, 1);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(folder.path()).expect("a cache");
        let failed = cache.get(&Console::silent(), "thing", &key("a"), |folder| {
            fs::write(folder.join("half"), "x")?;
            bail!("no")
        });
        assert!(failed.is_err());
        assert_eq!(cache.find("thing", &key("a")), None);
        let left: Vec<_> =
            fs::read_dir(folder.path().join("thing")).expect("the folder exists").flatten().collect();
        assert_eq!(left.len(), 1, "only the lock: {left:?}");
    }

    #[test]
    fn concurrent_callers_make_an_artefact_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = Cache::at(folder.path()).expect("a cache");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    cache
                        .get(&Console::silent(), "thing", &key("a"), |_| {
                            made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(150));
                            Ok(())
                        })
                        .expect("an artefact")
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
