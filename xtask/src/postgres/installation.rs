//! Where PostgreSQL is installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The oldest supported version.
const MIN_VERSION: u32 = 15;

/// The folder in which Debian's packages install each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The folder of the programs of the newest supported version.
pub(crate) fn find() -> Option<PathBuf> {
    newest(Path::new(VERSIONS))
}

pub(super) fn newest(versions: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(versions).ok()?.flatten();
    let found = entries.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        let complete = ["initdb", "postgres", "psql"].iter().all(|name| programs.join(name).is_file());
        (version >= MIN_VERSION && complete).then_some((version, programs))
    });
    found.max().map(|(_, programs)| programs)
}
