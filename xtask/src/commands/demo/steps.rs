//! The steps in their order. A later capability adds a module with its functions and their lines in [`all`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    audit, manifest,
    stage::Demo,
    task,
    topic::{self, Topic},
};

pub(super) fn all(demo: &Demo<'_>, examples: &Path) -> Result<()> {
    let manifests = copy(demo, examples)?;
    topic::apply(demo, &manifests)?;
    topic::kubernetes_side(demo)?;
    topic::kafka_side(demo)?;
    let chosen = Topic::choose(demo)?;
    topic::change(demo, &manifests, &chosen)?;
    topic::drift(demo, &chosen)?;
    topic::mistake(demo, &manifests, &chosen)?;
    topic::broken_schema(demo, &manifests, &chosen)?;
    topic::approval(demo, &manifests, &chosen)?;
    task::declare(demo)?;
    task::retry(demo)?;
    task::logs(demo)?;
    task::skip(demo)?;
    audit::audit(demo, &chosen)
}

/// Copies the examples with the port of this Kafka, which is not the default one.
fn copy(demo: &Demo<'_>, examples: &Path) -> Result<PathBuf> {
    let folder = demo.folder.join("quickstart");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let files = manifest::files(examples)?;
    if files.is_empty() {
        bail!("there are no .yaml files in {}", examples.display());
    }
    for file in files {
        let text = fs::read_to_string(&file)?;
        let own = manifest::with_bootstrap(&text, demo.variable("KAFKA_BOOTSTRAP"));
        let copy = folder.join(file.strip_prefix(examples)?);
        fs::create_dir_all(copy.parent().context("the copy has a folder")?)?;
        fs::write(copy, own.unwrap_or(text))?;
    }
    Ok(folder)
}

pub(super) fn print_summary(demo: &Demo<'_>) {
    let env = demo.display_path(&demo.context.folder.env());
    demo.heading("That was the demo");
    for line in demo.completed.borrow().iter() {
        demo.say(&format!("✓ {line}"));
    }
    demo.say("\nEverything is still running. To go on:\n");
    for (command, description) in [
        (format!(". {env}"), "KUBECONFIG, KAFKA_BOOTSTRAP, kubectl, eventctl and Kafka's tools"),
        ("kubectl explain stask.spec".to_owned(), "every field of a task; etopic.spec those of a topic"),
        ("kubectl get etopic -A -w".to_owned(), "and edit examples/quickstart/ meanwhile"),
        (
            "kubectl apply -f examples/tasks".to_owned(),
            "more tasks: by cron expression, after another task, of a template",
        ),
        (demo.context.command("logs operator -f"), "what the operator does"),
        (demo.context.command("down"), "stop all of it"),
    ] {
        demo.say(&format!("  {command:<32} # {description}"));
    }
}
