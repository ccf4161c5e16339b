//! Log files of the environment.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The log files in the folder whose path relative to it contains the word, sorted by name.
pub fn find(folder: &Path, word: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    visit(folder, &mut |file| {
        let below = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
        if below.ends_with(".log") && below.contains(word) {
            found.push(file.to_owned());
        }
    });
    found.sort();
    found
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => visit(&entry.path(), each),
            Ok(kind) if kind.is_file() => each(&entry.path()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_found_by_name_at_any_depth() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("pods/a")).expect("the folder is created");
        for name in ["kube-apiserver.log", "pods/a/main.log", "apiserver.txt", "etcd.log"] {
            fs::write(folder.path().join(name), "").expect("the file is written");
        }
        assert_eq!(find(folder.path(), "apiserver"), [folder.path().join("kube-apiserver.log")]);
        assert_eq!(find(folder.path(), "pods"), [folder.path().join("pods/a/main.log")]);
        assert_eq!(find(&folder.path().join("none"), ""), Vec::<PathBuf>::new());
    }
}
