//! `generate`: writes the files that are generated from the code.

use std::{collections::BTreeMap, fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use xtask::process;

use super::{Context, build, display_path};

/// Write crds/*.yaml and docs/openapi.json from the types.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; print the differences and fail if there are any
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<ExitCode> {
    let definitions = definitions(context, arguments)?;
    let description = description(context, arguments)?;
    Ok(if definitions && description { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Updates crds/, or checks it. Returns whether it is up to date.
fn definitions(context: &Context, arguments: &Arguments) -> Result<bool> {
    let fresh = tempfile::tempdir()?;
    context.console.run("Generating the resource definitions", |_| {
        generate(context, &["crds", "--output-dir"], fresh.path())
    })?;
    let folder = context.repository.join("crds");
    fs::create_dir_all(&folder)?;
    let (old, new) = (read(&folder)?, read(fresh.path())?);
    if new.is_empty() {
        anyhow::bail!("`eventcenter crds` wrote no .yaml file");
    }
    let changes = changes(&old, &new);
    if changes.is_empty() {
        println!("{} is up to date ({} files).", display_path(&folder), new.len());
        return Ok(true);
    }
    if arguments.check {
        print_diff(&["-ruN", "--exclude=[!*].[!y]*"], &folder, fresh.path())?;
        println!(
            "\n{} is out of date: {}. Run: cargo xtask generate",
            display_path(&folder),
            changes.join(", ")
        );
        return Ok(false);
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in &new {
        if old.get(name) != Some(text) {
            fs::write(folder.join(name), text)?;
        }
    }
    println!("{}: {}.", display_path(&folder), changes.join(", "));
    Ok(true)
}

/// Updates docs/openapi.json, or checks it. Returns whether it is up to date.
fn description(context: &Context, arguments: &Arguments) -> Result<bool> {
    let fresh = tempfile::NamedTempFile::new()?;
    context.console.run("Generating the description of the API", |_| {
        generate(context, &["openapi", "--output"], fresh.path())
    })?;
    let file = context.repository.join("docs/openapi.json");
    let new = fs::read(fresh.path())?;
    if fs::read(&file).is_ok_and(|old| old == new) {
        println!("{} is up to date.", display_path(&file));
        return Ok(true);
    }
    if arguments.check {
        print_diff(&["-uN"], &file, fresh.path())?;
        println!("\n{} is out of date. Run: cargo xtask generate", display_path(&file));
        return Ok(false);
    }
    fs::write(&file, new)?;
    println!("{} changed.", display_path(&file));
    Ok(true)
}

/// Runs the operator so that it writes to this path.
fn generate(context: &Context, arguments: &[&str], path: &Path) -> Result<()> {
    let mut command = build::cargo(&context.repository);
    command.args(["run", "--quiet", "--package", "eventcenter", "--"]).args(arguments).arg(path);
    process::run(command).map(drop)
}

/// Prints the differences.
fn print_diff(options: &[&str], old: &Path, new: &Path) -> Result<()> {
    let mut diff = process::child_command("diff");
    diff.args(options).arg(old).arg(new);
    print!("{}", String::from_utf8_lossy(&process::output(diff)?.stdout));
    Ok(())
}

fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}

fn changes(old: &BTreeMap<String, Vec<u8>>, new: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let written = new.iter().filter_map(|(name, text)| match old.get(name) {
        None => Some(format!("{name} added")),
        Some(before) if before != text => Some(format!("{name} changed")),
        Some(_) => None,
    });
    let removed = old.keys().filter(|name| !new.contains_key(*name)).map(|name| format!("{name} removed"));
    written.chain(removed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_changed_and_removed_files_are_listed() {
        let files = |files: &[(&str, &str)]| {
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
        };
        let old = files(&[("a.yaml", "1"), ("b.yaml", "1"), ("c.yaml", "1")]);
        let new = files(&[("a.yaml", "1"), ("b.yaml", "2"), ("d.yaml", "1")]);
        assert_eq!(changes(&old, &new), ["b.yaml changed", "d.yaml added", "c.yaml removed"]);
        assert!(changes(&new, &new).is_empty());
    }
}
