//! The steps about tasks: one that is retried, its log without its pods, and a run that is skipped.

use anyhow::Result;

use super::stage::{Demo, SOON};

pub(super) fn declare(demo: &Demo<'_>) -> Result<()> {
    demo.heading("Two scheduled tasks are declared, and who may run them by hand");
    demo.run("kubectl apply -f examples/tasks/demo.yaml -f examples/tasks/developer.yaml")?;
    demo.run(
        "kubectl wait --for=condition=Ready stask/import-prices stask/sync-stock -n shop --timeout=60s",
    )?;
    demo.run("eventctl task list -n shop")
}

pub(super) fn retry(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A run by hand: its first attempt fails, and it is retried");
    demo.export("export EVENTCTL_TOKEN=$(kubectl create token developer -n shop)")?;
    demo.run("eventctl task trigger import-prices -n shop --param supplier=globex --wait")?;
    demo.run("eventctl task runs import-prices -n shop --limit 1")?;
    demo.complete("A task was run by hand. Its first attempt failed, and it was retried after a second.");
    Ok(())
}

pub(super) fn logs(demo: &Demo<'_>) -> Result<()> {
    demo.heading("Its log is stored: it is there when its pods are gone");
    demo.run("kubectl delete jobs -l app.kubernetes.io/managed-by=eventcenter -n shop --cascade=foreground")?;
    demo.run("kubectl get jobs,pods -n shop")?;
    demo.run("eventctl task logs import-prices -n shop")?;
    demo.complete("The log of both attempts was read after their pods had been deleted.");
    Ok(())
}

pub(super) fn skip(demo: &Demo<'_>) -> Result<()> {
    demo.heading("A schedule: every 3 seconds, but a run takes longer, and the next one is skipped");
    // The run log still has the runs of an earlier demo.
    let since = demo.query("date --utc +%FT%TZ")?;
    demo.run("eventctl task resume sync-stock -n shop")?;
    for state in ["Succeeded", "Skipped"] {
        let since = since.trim();
        let runs = format!("eventctl task runs sync-stock -n shop --state {state} --since {since} -o json");
        demo.wait_for(&format!("Waiting for a run in the state {state}"), &runs, state, SOON)?;
    }
    demo.run("eventctl task suspend sync-stock -n shop")?;
    demo.run("eventctl task runs sync-stock -n shop --limit 5")?;
    demo.complete(
        "A task ran by its schedule. A run that would have overlapped was skipped, and its record says why.",
    );
    Ok(())
}
