//! The whole benchmarks with few topics, on the programs of this build: so that they cannot rot.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A program of the workspace. `cargo test --workspace` builds all of them into one folder.
fn program(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_eventcenter-bench")).parent().expect("it is in a folder");
    let program = folder.join(name);
    assert!(program.is_file(), "run `cargo build --workspace` first: {name} is not there");
    program
}

/// What a benchmark says of itself.
fn report(journey: &str) -> Value {
    let output = Command::new(program("xtask"))
        .args(["bench", journey, "--quick", "--json", "--operator"])
        .arg(program("eventcenter"))
        .arg("--generator")
        .arg(env!("CARGO_BIN_EXE_eventcenter-bench"))
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
fn every_step_is_measured_and_nothing_is_lost() {
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
    // How fast it is depends on the machine and the build; what it sends does not.
    let goals =
        rows("steps").into_iter().flat_map(|row| row["goals"].as_array().cloned().unwrap_or_default());
    for goal in goals.filter(|goal| goal["what"] == "not done" || goal["what"] == "writes") {
        assert_eq!(goal["reached"], true, "{report:#}");
    }
    let create = &rows("steps")[0];
    let writes = &create["operatorWrites"];
    for what in ["patch eventtopics", "patch eventtopics/status", "create events"] {
        assert_eq!(writes[what], create["outcome"]["count"], "one {what} a topic: {create:#}");
    }
}

#[test]
fn every_apply_is_reviewed_or_none_is() {
    let report = report("admission");
    let rows = |part: &str| report[part].as_array().expect("a list of steps").clone();
    let names: Vec<String> = rows("steps").iter().map(|row| row["step"].to_string()).collect();
    assert_eq!(
        names.join(" "),
        r#""populate" "start" "create" "change a config" "change a schema" "break a schema" "refused" "sent directly""#,
        "{report:#}"
    );
    // How fast it is depends on the machine and the build; what is asked and what is answered does not.
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
        assert!(row["operatorReviews"].is_null(), "nobody was asked: {row:#}");
    }
    assert!(!report["added"].as_array().expect("a list of figures").is_empty(), "{report:#}");
}

#[test]
fn the_audit_log_is_written_and_read_on_both_databases() {
    let output = Command::new(program("xtask"))
        .args(["bench", "audit", "--quick", "--json", "--generator"])
        .arg(env!("CARGO_BIN_EXE_eventcenter-bench"))
        .output()
        .expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    let stores = report["stores"].as_array().expect("a list of databases");
    assert_eq!(stores.len(), 2, "{report:#}");
    for store in stores {
        let rows = store["steps"].as_array().expect("a list of steps");
        assert_eq!(rows.len(), 8, "{store:#}");
        // How fast it is depends on the machine and the build; that nothing is left out does not.
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
