//! kubectl with the kubeconfig of one cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::process;

/// The namespace of the operator.
pub const NAMESPACE: &str = "eventcenter-system";

/// The roles of the operator, each of which has a ServiceAccount `eventcenter-ROLE`.
const ROLES: [&str; 4] = ["controllers", "webhook", "api", "runner"];

/// kubectl for one cluster.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// This program with this kubeconfig.
    pub fn new(program: &Path, kubeconfig: &Path) -> Self {
        Self { program: program.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command for this cluster.
    pub fn command(&self) -> Command {
        let mut command = process::child_command(&self.program);
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Runs it and returns its standard output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(arguments);
        process::run(command)
    }

    fn apply(&self, what: &Path) -> Result<String> {
        let mut command = self.command();
        command.args(["apply", "--server-side", "--force-conflicts", "-f"]).arg(what);
        process::run(command)
    }

    /// Applies the CRDs of the repository and waits until they are established. Returns their number.
    pub fn install_crds(&self, repository: &Path) -> Result<usize> {
        let folder = repository.join("crds");
        let is_yaml = |name: &str| name.ends_with(".yaml");
        let count = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?
            .flatten()
            .filter(|entry| entry.file_name().to_str().is_some_and(is_yaml))
            .count();
        if count > 0 {
            self.apply(&folder)?;
            let mut wait = self.command();
            wait.args(["wait", "--for=condition=Established", "--timeout=60s", "-f"]).arg(&folder);
            process::run(wait)?;
        }
        Ok(count)
    }

    /// Applies the operator's own webhook configurations and policies, for a webhook at this URL.
    pub fn install_webhook(&self, operator: &Path, url: &str, folder: &Path) -> Result<()> {
        let mut manifests = process::child_command(operator);
        manifests.args(["webhooks", "--url", url]);
        let file = folder.join("webhooks.yaml");
        fs::write(&file, process::run(manifests)?)?;
        self.apply(&file).map(drop)
    }

    /// Creates the operator's namespace and, if the repository has them, its ServiceAccounts and RBAC. Returns the kubeconfig
    /// for the operator: that of its ServiceAccount, so that a missing right is noticed, or else this one. Those of the roles are
    /// in the same folder ([`role_kubeconfig`]).
    pub fn prepare_operator(&self, repository: &Path, folder: &Path) -> Result<PathBuf> {
        let namespace = folder.join("namespace.json");
        fs::write(
            &namespace,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}).to_string(),
        )?;
        self.apply(&namespace)?;
        let rights = repository.join("dev/operator-rbac.yaml");
        if !rights.is_file() {
            return Ok(self.kubeconfig.clone());
        }
        self.apply(&rights)?;
        // Roles for users. The operator's own rights do not depend on them.
        let roles = repository.join("dev/user-roles.yaml");
        if roles.is_file() {
            self.apply(&roles)?;
        }
        let admin = self.run(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"])?;
        let admin = serde_json::from_str(&admin)?;
        for role in ROLES {
            self.write_kubeconfig(&admin, &format!("eventcenter-{role}"), &role_kubeconfig(folder, role))?;
        }
        let file = folder.join("operator.kubeconfig");
        self.write_kubeconfig(&admin, "eventcenter", &file)?;
        Ok(file)
    }

    /// Writes the kubeconfig of a ServiceAccount in the operator's namespace.
    fn write_kubeconfig(&self, admin: &Value, account: &str, file: &Path) -> Result<()> {
        // An environment may be up for days.
        let token = self.run(&["create", "token", account, "-n", NAMESPACE, "--duration", "720h"])?;
        write_private(file, &with_token(admin, token.trim())?.to_string())
    }
}

/// The kubeconfig of the ServiceAccount of a role, in the folder of the operator's.
pub fn role_kubeconfig(folder: &Path, role: &str) -> PathBuf {
    folder.join(format!("{role}.kubeconfig"))
}

/// The kubeconfig of the same cluster with another user.
fn with_token(kubeconfig: &Value, token: &str) -> Result<Value> {
    let cluster = kubeconfig.pointer("/clusters/0/cluster").context("the kubeconfig names no cluster")?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "dev", "cluster": cluster}],
        "users": [{"name": "eventcenter", "user": {"token": token}}],
        "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "eventcenter", "namespace": NAMESPACE}}],
        "current-context": "dev",
    }))
}

/// Writes a file that only its owner may read.
fn write_private(file: &Path, text: &str) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut open = fs::File::options();
    open.create(true).write(true).truncate(true).mode(0o600);
    open.open(file)?.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_kubeconfig_has_its_token_and_no_other_key() {
        let admin = json!({
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": "Q0E="}}],
            "users": [{"name": "admin", "user": {"client-key-data": "S0VZ"}}],
        });
        let own = with_token(&admin, "tok").expect("a cluster");
        assert_eq!(own.pointer("/clusters/0/cluster/server"), Some(&json!("https://127.0.0.1:1")));
        assert_eq!(own.pointer("/users/0/user"), Some(&json!({"token": "tok"})));
        assert!(!own.to_string().contains("S0VZ"));
        assert!(with_token(&json!({}), "tok").is_err());
    }
}
