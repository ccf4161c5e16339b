//! A control plane: its objects survive a stop and a crash, and no process is left behind.

use std::time::{Duration, Instant};

use anyhow::Result;
use xtask::{
    artefacts::Artefacts,
    console::Console,
    controlplane::{ControlPlane, ControlPlaneOptions},
    kubectl::Kubectl,
    paths,
    procfs::Identity,
};

fn processes(control_plane: &ControlPlane) -> Vec<Identity> {
    let children = control_plane.children().iter().map(|(_, child)| child.clone());
    control_plane.identity().cloned().into_iter().chain(children).collect()
}

fn all_ended(processes: &[Identity], limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if processes.iter().all(|process| !process.is_alive()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn it_keeps_its_objects_over_a_stop_and_a_crash() -> Result<()> {
    let artefacts = Artefacts::new(&paths::repository()?, &Console::stderr())?;
    let folder = tempfile::tempdir()?;
    let mut control_plane =
        ControlPlane::start(folder.path(), &artefacts.control_plane()?, &ControlPlaneOptions::default())?;
    let server = control_plane.server().to_owned();
    let kubectl = Kubectl::new(&artefacts.kubectl()?, control_plane.kubeconfig());
    kubectl.run(&["create", "namespace", "kept"])?;
    let first = processes(&control_plane);
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(Identity::is_alive));

    control_plane.restart()?;
    assert!(all_ended(&first, Duration::from_secs(5)), "a stop left a process behind");
    assert_eq!(control_plane.server(), server);
    kubectl.run(&["get", "namespace", "kept"])?;

    let second = processes(&control_plane);
    control_plane.kill()?;
    assert!(all_ended(&second, Duration::from_secs(10)), "a crash left a process behind");
    control_plane.start_again()?;
    assert_eq!(control_plane.server(), server);
    kubectl.run(&["get", "namespace", "kept"])?;

    let third = processes(&control_plane);
    drop(control_plane);
    assert!(all_ended(&third, Duration::from_secs(10)), "dropping it left a process behind");
    Ok(())
}
