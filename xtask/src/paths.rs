//! Folders of the repository.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository's folder: the one for which cargo started this program, so that two clones can share compiled code.
pub fn repository() -> Result<PathBuf> {
    let started_for = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = std::env::current_dir().ok();
    let compiled_in = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    started_for
        .iter()
        .chain(here.iter())
        .chain(std::iter::once(&compiled_in))
        .find_map(|start| start.ancestors().find(|folder| is_repository(folder)))
        .map(Path::to_path_buf)
        .context("run this inside the eventcenter repository")
}

fn is_repository(folder: &Path) -> bool {
    folder.join("xtask/Cargo.toml").is_file() && folder.join("dev/kafka/pom.xml").is_file()
}

/// The folder of `cargo xtask up`: logs, data, state and the file for the shell.
pub fn dev_folder(repository: &Path) -> PathBuf {
    repository.join("target/dev")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_found() {
        let repository = repository().expect("the tests run inside it");
        assert!(repository.join("xtask/src/paths.rs").is_file());
    }
}
