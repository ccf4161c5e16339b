//! Checks the pages: examples, commands, error texts, links, and the names of files, tests, constants, flags and metrics.
//! The commands in a terminal session are checked; their output is not.

// Tests fail by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

mod commands;
mod examples;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use eventcenter_sdk::Reason;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder whose names end in `ending`.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}

/// The paths of the pages of the project.
fn pages() -> Vec<String> {
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(String::from);
    let docs = files("docs", ".md");
    let docs = docs.iter().map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
    own.into_iter().chain(docs).collect()
}

/// The blocks of a page between fences, with their language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// The code spans of a page, outside of its blocks.
fn spans(page: &str) -> Vec<String> {
    let mut inside = false;
    let prose: Vec<&str> = page
        .lines()
        .filter(|line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
        .collect();
    prose.join("\n").split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect()
}

/// The part of a page below a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("there is no {heading}"));
    let body = &page[start + heading.len() + 2..];
    body.find("\n## ").map_or(body, |end| &body[..end])
}

/// The error texts on the page are those of the program and the CRDs.
#[test]
fn error_texts_on_the_pages_exist() {
    let mut sources: String =
        files("src", ".rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    sources.extend(files("crds", ".yaml").iter().map(|path| fs::read_to_string(path).unwrap()));
    let sources = sources.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = read("docs/resources.md");
    let answers = spans(section(&page, "## When something is wrong"));
    let answers: Vec<&String> = answers.iter().filter(|span| span.split(' ').count() > 6).collect();
    assert!(answers.len() >= 5, "{answers:?}");
    for answer in answers {
        assert!(sources.contains(answer.as_str()), "the sources do not contain: {answer}");
    }
}

#[test]
fn link_targets_exist() {
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        let folder = root().join(&page).parent().unwrap().to_owned();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.contains("://") {
                continue;
            }
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root().join(&page) } else { folder.join(file) };
            assert!(path.exists(), "{page}: {target}");
            if !anchor.is_empty() {
                let linked = fs::read_to_string(&path).unwrap();
                let mut headings = linked.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|heading| slug(heading) == anchor), "{page}: {target}");
            }
        }
    }
    assert!(followed > 10);
}

/// The anchor of a heading.
fn slug(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    title
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The README is short: details are in `docs/`.
#[test]
fn the_readme_is_at_most_200_lines_long() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 200, "{lines}");
}

/// Files, tests and constants that the pages name exist.
#[test]
fn files_tests_and_constants_on_the_pages_exist() {
    let mut sources = String::new();
    for folder in ["src", "sdk", "kafka-admin", "xtask", "tests"] {
        for path in files(folder, ".rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let mut missing = Vec::new();
    let (mut paths, mut functions, mut constants) = (0, 0, 0);
    for page in pages().into_iter().filter(|page| page != "CHANGELOG.md") {
        for span in spans(&read(&page)) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let first = span.split('/').next().unwrap_or_default();
            if span.contains('/')
                && span.chars().all(plain)
                && root().join(first).exists()
                && first != "target"
                && !first.is_empty()
            {
                paths += 1;
                if !root().join(&span).exists() {
                    missing.push(format!("{page}: `{span}`"));
                }
            }
            let is_path =
                |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if span.contains("::") && span.split("::").all(is_path) {
                functions += 1;
                let name = span.rsplit("::").next().unwrap();
                if !sources.contains(&format!("fn {name}(")) {
                    missing.push(format!("{page}: `{span}`"));
                }
            }
            if let Some((name, value)) = span.split_once(" = ")
                && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            {
                constants += 1;
                let is_defined = sources.lines().any(|line| {
                    line.contains(&format!("const {name}: ")) && line.contains(&format!(" = {value};"))
                });
                if !is_defined {
                    missing.push(format!("{page}: `{span}`"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "there is no\n{}", missing.join("\n"));
    assert!(paths > 20 && functions > 20 && constants > 8, "{paths} {functions} {constants}");
}

/// The page lists all flags and no others, with their defaults.
#[test]
fn the_settings_are_those_of_the_program() {
    let page = read("docs/operations.md");
    let help = commands::help("run").unwrap();
    let mut documented = BTreeSet::new();
    for line in section(&page, "## Settings").lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        documented.insert(cells[1].to_owned());
        let start =
            help.find(&format!("{} <", cells[1])).unwrap_or_else(|| panic!("there is no {}", cells[1]));
        let about = &help[start + 2..];
        let about = about.find("\n      --").map_or(about, |end| &about[..end]);
        if about.contains("[default: ") {
            assert!(about.contains(&format!("[default: {}]", cells[2])), "{line}\n{about}");
        }
    }
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
    let flags: BTreeSet<String> = flags.map(|flag| format!("--{flag}")).collect();
    assert_eq!(documented, flags);
}

#[test]
fn metrics_and_reasons_are_those_of_the_program() {
    let page = read("docs/operations.md");
    let sources: String = files("src", ".rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let metrics: Vec<String> = spans(section(&page, "## Metrics"))
        .into_iter()
        .filter(|span| span.starts_with("eventcenter_"))
        .collect();
    assert!(metrics.len() > 10);
    for metric in metrics {
        let name = metric.trim_start_matches("eventcenter_").trim_end_matches("_total");
        let name = name.trim_end_matches("_seconds").trim_end_matches("_info");
        assert!(sources.contains(&format!("\"{name}\"")), "{metric}");
    }
    let table = section(&page, "## Troubleshooting");
    let reasons: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.rsplit_once(" |")?.0.split_once(" |"))
        .map(|(reasons, _)| reasons)
        .collect();
    assert!(reasons.len() > 10);
    for reason in reasons.iter().flat_map(|reasons| reasons.split(", ")) {
        let reason = reason.trim_matches('`');
        assert!(reason.parse::<Reason>().is_ok(), "{reason}");
    }
}

/// The page lists all rules for schemas and no others, in the order of the program.
#[test]
fn the_rules_for_schemas_are_those_of_the_program() {
    let page = read("docs/schemas.md");
    let documented =
        section(&page, "## Rules").lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rules: Vec<&str> = eventcenter::domain::schema::Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(documented.collect::<Vec<_>>(), rules);
}
