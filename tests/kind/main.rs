//! An operator with one more kind than the product: the generic code admits, governs and reconciles it.
//!
//! [`widget`] is all that the kind consists of. This program is both the test and the operator that it starts, so that
//! definitions, webhook configurations and policies come from the same table of kinds as the product's.

#![allow(clippy::panic, reason = "a test fails by a panic, in its helpers as well")]

mod widget;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Arguments, Trial};
use xtask::console::Console;
use xtask::controlplane::{ControlPlane, ControlPlaneOptions};
use xtask::environment::{Cluster, Plan, temporary_folder};
use xtask::kubectl::Kubectl;
use xtask::operator::{Operator, OperatorOptions, webhook_url};

fn main() -> ExitCode {
    if let Some("run" | "crds" | "webhooks") = std::env::args().nth(1).as_deref() {
        return eventcenter::app::main_with(&[widget::kind()]);
    }
    let test = Trial::test("an_added_kind_is_admitted_governed_and_reconciled", || {
        journey().map_err(|error| format!("{error:?}").into())
    });
    // `cargo xtask test` requests times, which this harness does not report.
    let arguments = std::env::args().filter(|argument| argument != "--report-time");
    libtest_mimic::run(&Arguments::from_iter(arguments), vec![test]).exit_code()
}

fn journey() -> Result<()> {
    let plan = Plan::for_tests(&xtask::paths::repository()?, &Console::stderr())?;
    let Cluster::Own(control_plane) = &plan.cluster else { anyhow::bail!("the cluster is not our own") };
    let folder = temporary_folder()?;
    let control_plane = ControlPlane::start(
        &folder.path().join("controlplane"),
        control_plane,
        &ControlPlaneOptions { port: None },
    )?;
    let users =
        Users { kubectl: Kubectl::new(&plan.kubectl, control_plane.kubeconfig()), folder: folder.path() };
    let operator = users.start_operator(&plan.repository)?;
    let result = users.run_scenario();
    result.with_context(|| xtask::process::tail(operator.log(), 40))
}

/// The users of the kind.
struct Users<'a> {
    kubectl: Kubectl,
    folder: &'a Path,
}

impl Users<'_> {
    /// Installs the operator like the product, and starts it.
    fn start_operator(&self, repository: &Path) -> Result<Operator> {
        let program = std::env::current_exe()?;
        let definitions = self.folder.join("crds");
        std::fs::create_dir(&definitions)?;
        let mut print = std::process::Command::new(&program);
        print.args(["crds", "--output-dir"]).arg(&definitions);
        xtask::process::run(print)?;
        self.kubectl.install_crds(self.folder)?;
        let kubeconfig = self.kubectl.prepare_operator(repository, self.folder)?;
        let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kind/setup.yaml");
        self.kubectl.run(&["apply", "-f", &setup.to_string_lossy()])?;
        let port = xtask::port::free()?;
        let mut options = OperatorOptions::new(&program, &kubeconfig);
        options.arguments = ["--roles", "controllers,webhook"].map(String::from).to_vec();
        options.webhook = Some(port);
        let url = webhook_url(port);
        self.kubectl.install_webhook(&program, &url, self.folder)?;
        Operator::start(&options, &self.folder.join("operator.log"))
    }

    fn run_scenario(&self) -> Result<()> {
        self.apply("alice", &widget(3))?;
        self.wait_for("jsonpath={.status.size}=3")?;
        let refusal =
            self.apply("alice", &widget(101)).expect_err("the webhook refuses the request").to_string();
        ensure!(refusal.contains("spec.size: the maximum is 100"), "{refusal}");

        self.apply("alice", &widget(5))?;
        self.wait_for("condition=Approved=False")?;
        self.wait_for("jsonpath={.status.pending.diff[0]}=size: 3 -> 5")?;
        ensure!(self.get("{.status.size}")? == "3", "the active spec stays in force");
        let approval = self.get("{.status.pending.approveWith}")?;
        let refusal =
            self.create("alice", &approval).expect_err("the webhook refuses the request").to_string();
        ensure!(refusal.contains("ApprovalNotAllowed: alice requested or wrote this change"), "{refusal}");
        self.create("bob", &approval)?;
        self.wait_for("jsonpath={.status.size}=5")?;
        self.wait_for("condition=Ready")
    }

    fn apply(&self, user: &str, manifest: &str) -> Result<String> {
        self.submit("apply", user, manifest)
    }

    fn create(&self, user: &str, manifest: &str) -> Result<String> {
        self.submit("create", user, manifest)
    }

    fn submit(&self, verb: &str, user: &str, manifest: &str) -> Result<String> {
        let file = self.folder.join("manifest.yaml");
        std::fs::write(&file, manifest)?;
        let file = file.to_str().context("the path is no text")?;
        self.kubectl.run(&[verb, "-f", file, "--as", user, "--as-group", "approvers"])
    }

    fn wait_for(&self, state: &str) -> Result<()> {
        let condition = format!("--for={state}");
        self.kubectl.run(&["wait", "widget/w", "-n", "shop", "--timeout=60s", &condition]).map(drop)
    }

    fn get(&self, path: &str) -> Result<String> {
        self.kubectl.run(&["get", "widget/w", "-n", "shop", "-o", &format!("jsonpath={path}")])
    }
}

fn widget(size: u32) -> String {
    format!(
        "{{apiVersion: eventcenter.io/v1alpha1, kind: Widget, metadata: {{name: w, namespace: shop}}, spec: {{size: {size}}}}}"
    )
}
