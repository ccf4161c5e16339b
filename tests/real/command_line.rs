//! The program's command line: refusals, help and printed definitions.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Output;

use anyhow::{Context, Result};
use serde_json::json;
use xtask::process;
use xtask::test_environment::TestEnvironment;

/// Runs the program to its end, without the environment variables of the test process that name a cluster.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = process::child_command(env!("CARGO_BIN_EXE_eventcenter"));
    for name in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"] {
        command.env_remove(name);
    }
    let empty = tempfile::tempdir()?;
    command.args(arguments).env("HOME", empty.path()).envs(variables.iter().copied());
    process::output(command)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn unknown_and_malformed_arguments_are_refused_by_name() -> Result<()> {
    for (arguments, expected) in [
        (&["run", "--unknown"][..], "--unknown"),
        (&["run", "extra"], "extra"),
        (&["run", "--roles", "kitchen"], "--roles"),
        (&["run", "--roles", "controllers,kitchen"], "--roles"),
        (&["run", "--resync-interval", "soon"], "--resync-interval"),
        (&["run", "--resync-interval", "99ms"], "--resync-interval"),
        (&["run", "--resync-interval=-5s"], "--resync-interval"),
        (&["run", "--heartbeat-interval", "10"], "--heartbeat-interval"),
        (&["run", "--kafka-settle-time", "0s"], "--kafka-settle-time"),
        (&["run", "--listen", "localhost"], "--listen"),
        (&["run", "--listen", "127.0.0.1:70000"], "--listen"),
        (&["run", "--concurrency", "0"], "--concurrency"),
        (&["run", "--concurrency", "many"], "--concurrency"),
        (&["run", "--log-format", "xml"], "--log-format"),
        (&["crds", "--output-dir"], "--output-dir"),
        (&["dance"], "dance"),
        (&[], "Usage"),
    ] {
        let output = run(arguments, &[])?;
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    for (variable, value, flag) in [
        ("EVENTCENTER_ROLES", "kitchen", "--roles"),
        ("EVENTCENTER_RESYNC_INTERVAL", "soon", "--resync-interval"),
        ("EVENTCENTER_CONCURRENCY", "0", "--concurrency"),
    ] {
        let output = run(&["run"], &[(variable, value)])?;
        assert_eq!(output.status.code(), Some(2), "{variable}");
        assert!(stderr(&output).contains(flag), "{variable}: {}", stderr(&output));
    }
    Ok(())
}

#[test]
fn an_invalid_log_filter_is_refused_by_name() -> Result<()> {
    let output = run(&["run", "--log", "eventcenter=loud"], &[])?;
    let stderr = stderr(&output);
    assert!(!output.status.success());
    assert!(stderr.contains("--log") && stderr.contains("loud"), "{stderr}");
    Ok(())
}

#[test]
fn without_a_cluster_the_error_names_the_setting() -> Result<()> {
    for variables in [&[][..], &[("KUBECONFIG", "/nowhere/kubeconfig")]] {
        let output = run(&["run", "--listen", "127.0.0.1:0"], variables)?;
        let stderr = stderr(&output);
        assert!(!output.status.success(), "{variables:?}");
        assert!(stderr.contains("KUBECONFIG"), "{variables:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{variables:?}: {stderr}");
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, "this is: [no kubeconfig")?;
    let output = run(&["run", "--listen", "127.0.0.1:0"], &[("KUBECONFIG", &file.display().to_string())])?;
    assert!(!output.status.success() && stderr(&output).contains("KUBECONFIG"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn a_port_in_use_is_named_with_its_flag() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("kubeconfig");
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    });
    std::fs::write(&file, kubeconfig.to_string())?;
    let output = run(&["run", "--listen", &address], &[("KUBECONFIG", &file.display().to_string())])?;
    let stderr = stderr(&output);
    assert!(!output.status.success());
    assert!(stderr.contains("--listen") && stderr.contains(&address), "{stderr}");
    Ok(())
}

#[test]
fn help_lists_every_setting() -> Result<()> {
    let help = |arguments: &[&str]| -> Result<String> {
        let output = run(arguments, &[])?;
        assert!(output.status.success(), "{arguments:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let all = help(&["--help"])?;
    for word in ["run", "crds", "--version", "Usage"] {
        assert!(all.contains(word), "{word}: {all}");
    }
    let text = help(&["run", "--help"])?;
    for flag in [
        "roles",
        "namespace",
        "listen",
        "resync-interval",
        "heartbeat-interval",
        "kafka-settle-time",
        "concurrency",
        "instance",
        "lease",
        "log-format",
        "log",
    ] {
        let section =
            text.split(&format!("--{flag} <")).nth(1).with_context(|| format!("--{flag}: {text}"))?;
        let section = section.split("\n      --").next().unwrap_or_default();
        let variable = format!("[env: EVENTCENTER_{}=]", flag.to_uppercase().replace('-', "_"));
        assert!(section.contains(&variable), "--{flag}: {section}");
        let default = section.contains("[default: ") || section.contains("Default: ");
        assert!(default, "--{flag} has no default: {section}");
        let sentence = section.split("[default").next().unwrap_or_default();
        assert!(sentence.len() > 30, "--{flag} has no description: {section}");
    }
    assert!(help(&["crds", "--help"])?.contains("--output-dir <DIR>"));
    let version = help(&["--version"])?;
    assert_eq!(version.trim(), format!("eventcenter {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[test]
fn printed_definitions_are_accepted() -> Result<()> {
    let environment = TestEnvironment::get()?;
    let printed = run(&["crds"], &[])?;
    assert!(printed.status.success());
    let folder = tempfile::tempdir()?;
    let written = run(&["crds", "--output-dir", &folder.path().display().to_string()], &[])?;
    assert!(written.status.success() && written.stdout.is_empty());
    let one = tempfile::NamedTempFile::with_suffix(".yaml")?;
    std::fs::write(one.path(), &printed.stdout)?;
    for what in [one.path(), folder.path()] {
        let path = what.display().to_string();
        let accepted = environment.kubectl().run(&[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--output=name",
            "-f",
            &path,
        ])?;
        let names: BTreeSet<&str> = accepted.lines().filter_map(|line| line.split('/').nth(1)).collect();
        let expected: Vec<String> =
            eventcenter::api::kinds().map(|kind| format!("{}.eventcenter.io", kind.plural)).collect();
        assert_eq!(names, expected.iter().map(String::as_str).collect(), "{accepted}");
    }
    let nowhere = run(&["crds", "--output-dir", "/nowhere/at/all"], &[])?;
    assert!(!nowhere.status.success() && stderr(&nowhere).contains("/nowhere/at/all"));
    Ok(())
}
