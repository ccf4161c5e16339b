//! One module for each command.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod demo;
pub(crate) mod down;
pub(crate) mod generate;
pub(crate) mod logs;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod test;
pub(crate) mod up;

use std::path::{Path, PathBuf};

use xtask::{console::Console, supervisor::Folder};

/// The input of every command.
pub(crate) struct Context {
    /// The repository.
    pub(crate) repository: PathBuf,
    /// The folder of the environment that `up` starts.
    pub(crate) folder: Folder,
    /// Shows progress.
    pub(crate) console: Console,
}

// No doc comment: clap would use it as the description of the command into which it is flattened.
#[derive(clap::Args, Default, Clone)]
pub(crate) struct Place {
    /// The environment's folder, target/dev by default; another folder is another environment beside it
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Place {
    pub(crate) fn folder(&self, repository: &Path) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| xtask::paths::dev_folder(repository))
    }
}

impl Context {
    /// A command of this program, with the arguments that select this environment.
    pub(crate) fn command(&self, arguments: &str) -> String {
        if self.folder.path() == xtask::paths::dev_folder(&self.repository) {
            return format!("cargo xtask {arguments}");
        }
        format!(
            "cargo xtask {arguments} --dir {}",
            xtask::env_file::quote_if_needed(&display_path(self.folder.path()))
        )
    }
}

/// A path relative to the current folder, if it is inside it.
pub(crate) fn display_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
