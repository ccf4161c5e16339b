//! Runs every benchmark with few topics and the programs of this build.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The path of a program of the workspace. `cargo test --workspace` builds all of them into one folder.
fn program(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_eventcenter-bench")).parent().expect("a folder");
    let program = folder.join(name);
    assert!(program.is_file(), "{name} is missing: run `cargo build --workspace` first");
    program
}

/// The JSON report of a benchmark.
fn report(benchmark: &str) -> Value {
    let output = Command::new(program("xtask"))
        .args(["bench", benchmark, "--quick", "--json", "--operator"])
        .arg(program("eventcenter"))
        .arg("--generator")
        .arg(env!("CARGO_BIN_EXE_eventcenter-bench"))
        .output()
        .expect("xtask starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON output")
}

#[test]
fn the_topics_benchmark_measures_every_step() {
    let report = report("topics");
    let rows = |part: &str| report[part].as_array().expect("a list of steps").clone();
    let names: Vec<String> = rows("steps").iter().map(|row| row["step"].to_string()).collect();
    assert_eq!(
        names.join(" "),
        r#""create" "change a config" "idle" "restart" "delete" "create at once""#,
        "{report:#}"
    );
    for row in rows("steps").iter().chain(&rows("withoutOperator")) {
        assert_eq!(row["outcome"]["done"], row["outcome"]["count"], "{row:#}");
        assert!(row["processes"]["apiserver"]["peakRssMib"].as_f64().is_some_and(|mib| mib > 0.0), "{row:#}");
    }
    // The speed depends on the machine and the build; the requests do not.
    let goals =
        rows("steps").into_iter().flat_map(|row| row["goals"].as_array().cloned().unwrap_or_default());
    for goal in goals.filter(|goal| goal["what"] == "not done" || goal["what"] == "writes") {
        assert_eq!(goal["reached"], true, "{report:#}");
    }
    let create = &rows("steps")[0];
    let writes = &create["operatorWrites"];
    for operation in ["patch eventtopics", "patch eventtopics/status", "create events"] {
        assert_eq!(writes[operation], create["outcome"]["count"], "one {operation} per topic: {create:#}");
    }
}

#[test]
fn the_admission_benchmark_reviews_every_apply() {
    let report = report("admission");
    let rows = |part: &str| report[part].as_array().expect("a list of steps").clone();
    let names: Vec<String> = rows("steps").iter().map(|row| row["step"].to_string()).collect();
    assert_eq!(
        names.join(" "),
        r#""populate" "start" "create" "change a config" "change a schema" "break a schema" "refused" "sent directly""#,
        "{report:#}"
    );
    // The speed depends on the machine and the build; the reviews and their responses do not.
    for row in rows("steps").iter().skip(2) {
        let (done, reviews) = (row["outcome"]["done"].as_f64(), row["operatorReviews"]["count"].as_f64());
        assert_eq!(row["outcome"]["done"], row["outcome"]["count"], "{row:#}");
        assert!(done.is_some() && reviews >= done, "{row:#}");
        let writes = row["operatorWrites"].as_object().expect("writes by their names");
        assert!(writes.is_empty(), "the webhook writes nothing: {row:#}");
    }
    for refused in &rows("steps")[5..=6] {
        assert_eq!(
            refused["operatorReviews"]["refused"].as_f64(),
            refused["outcome"]["count"].as_f64(),
            "{refused:#}"
        );
    }
    for row in rows("beforeTheWebhook").iter().chain(&rows("afterTheWebhook")) {
        assert_eq!(row["outcome"]["done"], row["outcome"]["count"], "{row:#}");
        assert!(row["operatorReviews"].is_null(), "unexpected reviews: {row:#}");
    }
    assert!(!report["added"].as_array().expect("a list of figures").is_empty(), "{report:#}");
}

#[test]
fn the_audit_benchmark_runs_on_both_databases() {
    let output = Command::new(program("xtask"))
        .args(["bench", "audit", "--quick", "--json", "--generator"])
        .arg(env!("CARGO_BIN_EXE_eventcenter-bench"))
        .output()
        .expect("xtask starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{errors}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON output");
    let stores = report["stores"].as_array().expect("a list of databases");
    assert_eq!(stores.len(), 2, "{report:#}");
    for store in stores {
        let rows = store["steps"].as_array().expect("a list of steps");
        assert_eq!(rows.len(), 8, "{store:#}");
        // The speed depends on the machine and the build; the completeness does not.
        for row in rows {
            assert_eq!(row["outcome"]["done"], row["outcome"]["count"], "{row:#}");
        }
        let cases = rows.iter().filter_map(|row| row["outcome"]["cases"].as_array()).flatten();
        let found = |name: &str| {
            let case = cases.clone().find(|case| case["name"] == name);
            case.and_then(|case| case["found"].as_u64()).unwrap_or_else(|| panic!("no {name}: {store:#}"))
        };
        for name in
            ["everything: deep page", "actor: first page", "outcome Denied: first page", "open: first page"]
        {
            assert!(found(name) > 0, "{name}: {store:#}");
        }
        assert_eq!(found("text, nowhere: first page"), 0);
    }
}
