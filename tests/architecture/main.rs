//! Checks the imports between modules, and other rules of the source.
//!
//! Each Rust file of the workspace is read as tokens: comments and string literals do not count, the contents of macros do.
//! Tests obey the same rules as other code.

// Tests fail by panicking.
#![allow(clippy::panic, clippy::unwrap_used)]

mod circular_imports;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use proc_macro2::TokenStream;

use circular_imports::Modules;
use source::{File, absolute};

/// The top-level modules of the program in layers, from left to right. A module imports only modules of layers to its left.
const LAYERS: &[&[&str]] = &[
    &["error_chain"],
    &["api"],
    &["domain"],
    &["kafka", "store", "kubernetes", "callback", "http"],
    &["controllers", "webhook", "rest", "runner", "dispatcher", "collector"],
    &["app", "ctl"],
    &["main", "eventctl", "kubectl-eventcenter"],
];

const LEFT_ONLY: &str = "imports go to the left only: { sdk | error_chain } ← api ← domain ← { kafka | store | kubernetes | callback | http } ← \
                         { controllers | webhook | rest | runner | dispatcher | collector } ← { app | ctl } ← { main | eventctl }";

const APART: &str =
    "modules inside one pair of braces never import each other: a module to their right wires them";

/// Paths that only some modules may use: their prefixes, the modules, and the rule.
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (
        &["eventcenter_kafka_admin", "rdkafka", "rdkafka_sys"],
        &["kafka"],
        "only the module kafka uses Kafka's client",
    ),
    (&["sqlx"], &["store"], "only the module store uses the database's client"),
    (
        &[
            "kube::Client",
            "kube::Api",
            "kube::Config",
            "kube::api",
            "kube::client",
            "kube::config",
            "kube::runtime::events",
            "kube::runtime::watcher::watcher",
            "kube_client",
        ],
        &["kubernetes"],
        "only the module kubernetes uses the client of Kubernetes: others use resources, not requests",
    ),
    (
        &["hyper::client", "hyper_util::client", "hickory_resolver", "reqwest", "ureq"],
        &["callback"],
        "only the module callback resolves names and sends HTTP requests to other services",
    ),
    (&["clap"], &["app", "ctl"], "only app and ctl parse a command line"),
    (&["anyhow"], &["app", "ctl"], "errors below app and ctl have types: a variant names the operation"),
    (
        &["hyper", "hyper_util"],
        &["callback", "http"],
        "only the modules callback and http use hyper: callback sends requests, http serves them",
    ),
    (&["rcgen", "x509_parser"], &["webhook"], "only the module webhook issues and parses certificates"),
];

const LOWER_CRATES: &[&str] = &["sdk/", "kafka-admin/", "xtask/"];
const BELOW: &str = "sdk, kafka-admin and xtask do not depend on the program";

const ABOVE: &str = "the program does not depend on its tests, benchmarks and commands";

/// Folders of pure functions.
const PURE: &[&str] = &["sdk/src/", "src/api/", "src/domain/", "src/error_chain"];

/// Paths that a pure function does not use.
const IMPURE: &[&str] = &[
    "axum",
    "futures",
    "prometheus_client",
    "rand",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::sync::mpsc",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "tracing",
];

const PURE_RULE: &str = "sdk, api and domain are pure: no runtime, no clock, no randomness, no input or output; pass \
                      what a decision needs as an argument";

const UNSAFE: &str = "only kafka-admin has unsafe code";

const LONG: &str =
    "a file has at most 500 lines without its tests: move a part with a name of its own into another file";

const NAMELESS: &str = "a module is named after its contents, not utils, helpers or common";

/// The circular imports that remain: the files of each, and the reason why removing it would make the code worse.
const CIRCULAR: &[(&[&str], &str)] = &[(
    &[
        "src/api/approval.rs",
        "src/api/change_approval.rs",
        "src/api/event_topic.rs",
        "src/api/kind.rs",
        "src/api/scheduled_task.rs",
        "src/api/task_template.rs",
        "src/api/tenant.rs",
    ],
    "the table of kinds names every type, and the schema of a field of type Kind lists the governed kinds of the table",
)];

/// The violations in a file, a line each.
fn check(path: &str, text: &str) -> Vec<String> {
    let tokens = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file = File::new(path);
    file.read(tokens, &[]);
    let mut violations = file.violations;
    let mut report =
        |line: usize, what: &str, rule: &str| violations.push(format!("{path}:{line}: {what}: {rule}"));

    let paths: Vec<(Vec<String>, usize)> = file
        .paths
        .iter()
        .map(|named| (absolute(&named.segments, &named.module, &file.aliases), named.line))
        .collect();
    let here = module_of_file(path);
    for (segments, line) in &paths {
        let what = segments.join("::");
        for (reserved, owners, rule) in RESERVED {
            if here.is_some_and(|here| !owners.contains(&here))
                && reserved.iter().any(|one| is_below(segments, one))
            {
                report(*line, &what, rule);
            }
        }
        if here.is_some() && segments[0] == "xtask" {
            report(*line, &what, ABOVE);
        }
        if LOWER_CRATES.iter().any(|folder| path.starts_with(folder)) && segments[0] == "eventcenter" {
            report(*line, &what, BELOW);
        }
        if let (Some(here), Some(there)) = (here, module_of_path(segments)) {
            match (layer(here), layer(there)) {
                (Some(here), Some(there)) if there > here => report(*line, &what, LEFT_ONLY),
                (Some(layer), Some(other)) if layer == other && here != there => report(*line, &what, APART),
                _ => {}
            }
        }
        if PURE.iter().any(|pure| path.starts_with(pure)) {
            let asks = ["now", "now_v7", "new_v4"].contains(&segments[segments.len() - 1].as_str());
            if (asks && segments.len() > 1) || IMPURE.iter().any(|impure| is_below(segments, impure)) {
                report(*line, &what, PURE_RULE);
            }
        }
    }

    let code: Vec<&str> = text.lines().collect();
    let tests = (1..code.len()).find(|line| {
        code[line - 1].trim() == "#[cfg(test)]"
            && code[*line].starts_with("mod ")
            && code[*line].ends_with('{')
    });
    let lines = tests.map_or(code.len(), |line| line - 1);
    if lines > 500 && !is_test(path) {
        report(500, &format!("{lines} lines"), LONG);
    }
    for part in path.trim_end_matches(".rs").split('/').filter(|part| is_nameless(part)) {
        report(1, part, NAMELESS);
    }
    violations.sort();
    violations.dedup();
    violations
}

fn is_nameless(name: &str) -> bool {
    ["common", "helper", "helpers", "misc", "util", "utils"].contains(&name)
}

fn is_test(path: &str) -> bool {
    path.contains("tests/") || path.ends_with("/tests.rs")
}

/// The top-level module that a file is in.
fn module_of_file(path: &str) -> Option<&str> {
    let path = path.strip_prefix("src/")?.trim_end_matches(".rs");
    path.split('/').next()
}

/// The top-level module that a path is in.
fn module_of_path(segments: &[String]) -> Option<&str> {
    match segments {
        [root, module, ..] if root == "crate" || root == "eventcenter" => Some(module),
        _ => None,
    }
}

/// The layer of a module, from the left.
fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Whether a path is this one or below it. A glob import covers everything below its path.
fn is_below(path: &[String], reserved: &str) -> bool {
    let reserved: Vec<&str> = reserved.split("::").collect();
    let same = path.iter().zip(&reserved).take_while(|(a, b)| a == b).count();
    same == reserved.len() || (same > 0 && same + 1 == path.len() && path[same] == "*")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_file_breaks_a_rule() {
    let mut files = Vec::new();
    let crates = members().into_iter().filter(|member| member != ".");
    for folder in ["src", "tests"].map(String::from).into_iter().chain(crates) {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 80, "only {} files were found", files.len());
    let mut violations = Vec::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        violations.extend(check(&path, &fs::read_to_string(&file).unwrap()));
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// What `circular_imports` counts as an import is written there.
#[test]
fn no_modules_import_each_other() {
    let mut circles = Vec::new();
    for member in members() {
        let folder = Path::new(&member).join("src").to_str().unwrap().trim_start_matches("./").to_owned();
        let mut files = Vec::new();
        rust_files(&root().join(&folder), &mut files);
        let files: Vec<(String, String)> = files
            .iter()
            .map(|file| (file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), file))
            .filter(|(path, _)| {
                *path != format!("{folder}/main.rs") || !root().join(&folder).join("lib.rs").exists()
            })
            .map(|(path, file)| (path, fs::read_to_string(file).unwrap()))
            .collect();
        circles
            .extend(Modules::read(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))).circles());
    }
    let listed: BTreeSet<BTreeSet<String>> =
        CIRCULAR.iter().map(|(files, _)| files.iter().map(ToString::to_string).collect()).collect();
    let new: Vec<String> = circles
        .iter()
        .filter(|circle| !listed.contains(&circle.files))
        .map(|circle| circle.imports.join("\n"))
        .collect();
    assert!(
        new.is_empty(),
        "modules import each other: move what both need into a module of its own:\n{}",
        new.join("\n\n")
    );
    assert_eq!(circles.len(), listed.len(), "CIRCULAR lists circular imports that do not exist: {listed:#?}");
}

#[test]
fn every_module_has_a_layer() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(module == "lib" || layer(module).is_some(), "src/{name} is missing in LAYERS: {LEFT_ONLY}");
    }
}

/// Only kafka-admin may have unsafe code, so only it does not inherit the lints of the workspace.
#[test]
fn every_other_crate_has_the_lints_of_the_workspace() {
    let read = |manifest: &str| fs::read_to_string(root().join(manifest)).unwrap();
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""), "{UNSAFE}");
    for member in members() {
        let inherits = read(&format!("{member}/Cargo.toml")).contains("[lints]\nworkspace = true");
        assert_eq!(inherits, member != "kafka-admin", "{member}/Cargo.toml: {UNSAFE}");
    }
}

/// The folders of the crates of the workspace.
fn members() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, list) = manifest.split_once("\nmembers = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let names = list.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
    std::iter::once(".").chain(names).map(String::from).collect()
}

/// Each snippet violates exactly the given rule.
#[test]
fn violations_are_reported() {
    let [kafka, store, kubernetes, callback] = std::array::from_fn(|place| RESERVED[place].2);
    for (path, text, rule) in [
        ("src/domain/x.rs", "use crate::kafka::Kafka;", LEFT_ONLY),
        ("src/domain/x.rs", "use crate::{api::Tenant, kubernetes::KubeClient};", LEFT_ONLY),
        ("src/domain/topic/x.rs", "use super::super::super::controllers::run;", LEFT_ONLY),
        ("src/domain/x.rs", "mod tests { use super::super::super::app::main; }", LEFT_ONLY),
        ("src/api/x.rs", "fn f() { crate::domain::age(1) }", LEFT_ONLY),
        ("src/api/x.rs", "fn f() { let x = json!({\"a\": crate::domain::age(1)}); }", LEFT_ONLY),
        ("src/controllers/x.rs", "use crate::app;", LEFT_ONLY),
        ("sdk/src/x.rs", "use eventcenter::api::Tenant;", BELOW),
        ("xtask/src/x.rs", "fn f() { eventcenter::app::main() }", BELOW),
        ("src/kafka/x.rs", "use crate::kubernetes::KubeClient;", APART),
        ("src/store/mod.rs", "pub use super::callback::send;", APART),
        ("src/webhook/x.rs", "type T = crate::controllers::Options;", APART),
        ("src/controllers/x.rs", "use eventcenter_kafka_admin::AdminClient;", kafka),
        ("src/domain/x.rs", "fn f(code: rdkafka::types::RDKafkaErrorCode) {}", kafka),
        ("src/collector/x.rs", "use rdkafka as r; use r::Message;", kafka),
        ("src/rest/x.rs", "use sqlx::Pool;", store),
        ("src/controllers/x.rs", "use kube::{Client, ResourceExt};", kubernetes),
        ("src/controllers/x.rs", "fn f(client: kube::Client) {}", kubernetes),
        ("src/controllers/x.rs", "use kube::api::{Api, Patch};", kubernetes),
        ("src/controllers/x.rs", "use kube as k; fn f(c: k::Client) {}", kubernetes),
        (
            "src/controllers/x.rs",
            "use kube::runtime; fn f() { runtime::events::Recorder::new() }",
            kubernetes,
        ),
        ("src/controllers/x.rs", "use kube::{self as k, ResourceExt}; type A = k::Api<T>;", kubernetes),
        ("src/controllers/x.rs", "use kube::*;", kubernetes),
        ("src/controllers/x.rs", "use kube::runtime::watcher::{self, watcher};", kubernetes),
        ("src/controllers/x.rs", "use reqwest::Client;", callback),
        ("src/runner/x.rs", "use hickory_resolver::Resolver;", callback),
        ("src/callback/x.rs", "use crate::http::serve;", APART),
        ("src/callback/x.rs", "use crate::runner::run;", LEFT_ONLY),
        ("src/runner/x.rs", "use crate::controllers::Options;", APART),
        ("src/http/x.rs", "use hyper_util::client::legacy::Client;", callback),
        ("src/controllers/x.rs", "use hyper::Request;", RESERVED[6].2),
        ("src/webhook/x.rs", "use hyper::server::conn::http1;", RESERVED[6].2),
        ("src/http/x.rs", "use crate::kubernetes::KubeClient;", APART),
        ("src/kubernetes/x.rs", "fn f() { rcgen::KeyPair::generate() }", RESERVED[7].2),
        ("src/domain/x.rs", "use tokio::time::Duration;", PURE_RULE),
        ("src/domain/x.rs", "use std::{collections::BTreeMap, time::{Duration, Instant}};", PURE_RULE),
        ("src/domain/x.rs", "async fn f() {}", PURE_RULE),
        ("src/domain/x.rs", "fn f() { jiff::Timestamp::now() }", PURE_RULE),
        ("src/domain/x.rs", "use jiff::Timestamp; fn f() { Timestamp::now() }", PURE_RULE),
        ("src/domain/x.rs", "fn f() { let home = std::env::var(\"HOME\"); }", PURE_RULE),
        ("src/api/x.rs", "use std::fs;", PURE_RULE),
        ("sdk/src/x.rs", "fn f() { uuid::Uuid::now_v7() }", PURE_RULE),
        ("src/kafka/x.rs", "fn f() { unsafe { g() } }", UNSAFE),
        ("xtask/src/x.rs", "macro_rules! m { () => { unsafe { g() } } }", UNSAFE),
        ("src/kafka/error.rs", "use anyhow::Result;", RESERVED[5].2),
        ("src/controllers/x.rs", "use clap::Parser;", RESERVED[4].2),
        ("src/main.rs", "use clap::Parser;", RESERVED[4].2),
        ("src/ctl/x.rs", "use crate::app::main;", APART),
        ("src/ctl/x.rs", "use kube::Client;", kubernetes),
        ("src/domain/x.rs", "use crate::ctl::main;", LEFT_ONLY),
        ("src/app/x.rs", "use xtask::port;", ABOVE),
        ("src/lib.rs", "pub use rdkafka;", kafka),
        ("src/domain/utils.rs", "", NAMELESS),
        ("src/kafka/common/mod.rs", "", NAMELESS),
        ("src/domain/x.rs", "mod helpers { }", NAMELESS),
        ("src/domain/x.rs", "fn f<K>() -> impl Fn() + use<K> { || tokio::spawn(g()) }", PURE_RULE),
        ("src/domain/x.rs", &"\n".repeat(501), LONG),
    ] {
        let violations = check(path, text);
        let is_expected = |line: &String| line.starts_with(path) && line.ends_with(rule);
        assert!(
            !violations.is_empty() && violations.iter().all(is_expected),
            "{path}: {text}\nexpected: {rule}\nreported: {violations:#?}"
        );
    }
}

/// Legal code that resembles violations.
#[test]
fn legal_code_is_not_reported() {
    let long_with_tests = format!("{}#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(400), "\n".repeat(400));
    for (path, text) in [
        ("src/domain/x.rs", "// use tokio::time;\n/// `crate::kafka::Kafka`\nfn f() { g(\"tokio::spawn\") }"),
        ("src/domain/x.rs", "//! [`crate::kafka`]\nuse std::time::Duration; use jiff::Timestamp;"),
        ("src/domain/x.rs", "fn f(now: Timestamp) { let x = s.now; status(x, now) }"),
        ("src/domain/topic/x.rs", "use super::super::condition; use crate::domain::Refusal;"),
        ("src/domain/mod.rs", "mod tests { use super::*; use crate::api::Tenant; }"),
        ("src/domain/x.rs", "use kube::ResourceExt; fn f(r: &impl kube::Resource) {}"),
        ("src/controllers/x.rs", "use kube::runtime::watcher::{self, Event}; use crate::kafka::Kafka;"),
        (
            "src/controllers/topic/x.rs",
            "use super::super::Context; fn f() { super::super::tenant::watched() }",
        ),
        ("src/kubernetes/x.rs", "use kube::{Api, Client}; use super::KubeClient;"),
        (
            "src/kafka/x.rs",
            "use eventcenter_kafka_admin::AdminClient; async fn f() { tokio::spawn(g()).await }",
        ),
        ("src/http/x.rs", "use hyper::server::conn::http1; use hyper_util::rt::TokioIo;"),
        ("src/callback/x.rs", "use hyper::client::conn::http1; use crate::domain::callback::HostPolicy;"),
        ("src/runner/x.rs", "use crate::callback::CallbackClient; use crate::store::Journal;"),
        ("src/webhook/x.rs", "use crate::http::ServingCertificate; use rcgen::KeyPair;"),
        ("src/main.rs", "fn main() { eventcenter::app::main() }"),
        ("src/eventctl.rs", "fn main() { eventcenter::ctl::main() }"),
        ("src/ctl/x.rs", "use anyhow::Context; use clap::Parser; use crate::domain::schema::check;"),
        ("src/lib.rs", "#![forbid(unsafe_code)] pub mod api; pub mod app;"),
        ("kafka-admin/src/x.rs", "fn f() { unsafe { g() } }"),
        ("src/app/x.rs", &long_with_tests),
    ] {
        let violations = check(path, text);
        assert!(violations.is_empty(), "{path}: {text}\n{violations:#?}");
    }
}
