//! A Kubernetes control plane (`dev/controlplane`), with its data in a folder of the caller.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    port,
    process::{self, Service},
    procfs::Identity,
};

const READY: Duration = Duration::from_secs(180);
const GRACE: Duration = Duration::from_secs(30);

/// The options of a control plane.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneOptions {
    /// The API server's port; a free one if not given.
    pub port: Option<u16>,
}

/// A control plane. Dropping it kills all its processes; its folder stays.
#[derive(Debug)]
pub struct ControlPlane {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    ready: Ready,
    service: Option<Service>,
    children: Vec<(&'static str, Identity)>,
}

/// The last line that the program prints when it is up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    kubeconfig: PathBuf,
    server: String,
    apiserver_pid: u32,
    controller_manager_pid: u32,
}

fn parse_ready(output: &str) -> Option<Ready> {
    let line = output.lines().find_map(|line| line.strip_prefix("READY "))?;
    let (kubeconfig, rest) = line.strip_prefix("kubeconfig=")?.split_once(" server=")?;
    let (server, rest) = rest.split_once(" apiserver_pid=")?;
    let (apiserver, controller_manager) = rest.split_once(" controller_manager_pid=")?;
    Some(Ready {
        kubeconfig: kubeconfig.into(),
        server: server.into(),
        apiserver_pid: apiserver.trim().parse().ok()?,
        controller_manager_pid: controller_manager.trim().parse().ok()?,
    })
}

impl ControlPlane {
    /// Starts it. Returns when pods can be created.
    pub fn start(folder: &Path, program: &Path, options: &ControlPlaneOptions) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        port::retry_if_taken(|| {
            let port = options.port.map_or_else(port::free, Ok)?;
            let (service, ready, children) = launch(&folder, program, port)?;
            let program = program.to_owned();
            Ok(Self { program, folder: folder.clone(), port, ready, service: Some(service), children })
        })
        .context("the control plane does not start")
    }

    /// The kubeconfig of the administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.ready.kubeconfig
    }

    /// The API server's address.
    pub fn server(&self) -> &str {
        &self.ready.server
    }

    /// The id of the process that runs etcd and the node and is the parent of the others, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.service.as_ref().map(Service::pid)
    }

    /// Identifies that process, while it runs.
    pub fn identity(&self) -> Option<&Identity> {
        self.service.as_ref().map(Service::identity)
    }

    /// The API server's process id.
    pub fn apiserver_pid(&self) -> u32 {
        self.ready.apiserver_pid
    }

    /// Its child processes, by name.
    pub fn children(&self) -> &[(&'static str, Identity)] {
        &self.children
    }

    /// The folder of certificates, etcd's data and logs.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(&self.folder)
    }

    /// The file with the output of the parent process.
    pub fn log(&self) -> PathBuf {
        log(&self.folder)
    }

    /// Whether it has ended by itself.
    pub fn has_died(&mut self) -> Result<bool> {
        self.service.as_mut().map_or(Ok(false), |service| Ok(service.exited()?.is_some()))
    }

    /// Shuts it down. The data stays.
    pub fn stop(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), |service| service.stop(GRACE).map(drop))
    }

    /// Kills it with SIGKILL, as a crash would end it; its children die with it. The data stays.
    pub fn kill(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), Service::kill)
    }

    /// Starts it again on the same port and data after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub fn start_again(&mut self) -> Result<()> {
        if self.service.is_some() {
            return Ok(());
        }
        for (name, child) in &self.children {
            // They are about to end; until then they hold the port.
            process::terminate(child, GRACE).with_context(|| format!("the old {name} still runs"))?;
        }
        let (service, ready, children) = launch(&self.folder, &self.program, self.port)
            .context("the control plane does not start again")?;
        (self.service, self.ready, self.children) = (Some(service), ready, children);
        Ok(())
    }

    /// Stops and starts it again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }
}

fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("controlplane.log")
}

type Launched = (Service, Ready, Vec<(&'static str, Identity)>);

fn launch(folder: &Path, program: &Path, port: u16) -> Result<Launched> {
    let mut command = process::child_command(program);
    command.args(["up", "--port", &port.to_string(), "--data-dir"]).arg(data_dir(folder));
    // A KUBECONFIG of the shell names another cluster.
    command.env_remove("KUBECONFIG").current_dir(folder);
    let mut service = Service::start("the control plane", command, &log(folder))?;
    let ready = service.wait_ready(READY, |service| Ok(parse_ready(&service.output()?)))?;
    if !ready.kubeconfig.is_file() {
        bail!("it printed READY but {} does not exist", ready.kubeconfig.display());
    }
    let children = vec![
        ("apiserver", Identity::of(ready.apiserver_pid).context("the API server has ended already")?),
        (
            "controller-manager",
            Identity::of(ready.controller_manager_pid).context("the controller manager has ended already")?,
        ),
    ];
    Ok((service, ready, children))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_parsed() {
        let output = "etcd is up\nREADY kubeconfig=/a b/admin.kubeconfig server=https://127.0.0.1:6443 \
                      apiserver_pid=12 controller_manager_pid=34\n";
        let ready = parse_ready(output).expect("the ready line");
        assert_eq!(ready.kubeconfig, Path::new("/a b/admin.kubeconfig"));
        assert_eq!(ready.server, "https://127.0.0.1:6443");
        assert_eq!((ready.apiserver_pid, ready.controller_manager_pid), (12, 34));
    }

    #[test]
    fn an_incomplete_line_is_not_ready() {
        assert_eq!(parse_ready("READY kubeconfig=/a server=https://127.0.0.1:6443 apiserver_pid=12"), None);
        assert_eq!(parse_ready(""), None);
    }
}
