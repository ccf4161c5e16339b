//! `status`: shows the environment.

use std::process::ExitCode;

use anyhow::Result;
use xtask::{
    environment::{Cluster, Kafka},
    procfs::Identity,
    supervisor::{Health, State},
};

use super::{
    Context, display_path,
    table::{Align, Table},
};

pub(crate) fn run(context: &Context) -> Result<ExitCode> {
    match context.folder.health() {
        Health::Down => {
            println!("Nothing is up. Start it with: {}", context.command("up"));
            Ok(ExitCode::from(3))
        }
        Health::Up(state) => {
            print!("{}", table(&state));
            println!("\nFor the shell: . {}", display_path(&context.folder.env()));
            Ok(ExitCode::SUCCESS)
        }
        Health::Broken(state, problems) => {
            print!("{}", table(&state));
            let up = context.command("up");
            println!("\nBroken: {}. `{up}` removes it and starts a new, empty one.", problems.join(", "));
            println!("Log: {}", display_path(&context.folder.log()));
            Ok(ExitCode::FAILURE)
        }
    }
}

pub(crate) fn table(state: &State) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("PID", Align::Right),
        ("STATE", Align::Left),
        ("RSS PEAK", Align::Right),
        ("ADDRESS", Align::Left),
        ("LOG", Align::Left),
    ]);
    let mut process = |name: &str, identity: &Identity, address: &str, log: &str| {
        let usage = identity.usage();
        let peak = usage.map(|usage| format!("{} MiB", usage.peak_rss_kib / 1024)).unwrap_or_default();
        let alive = if identity.is_alive() { "running" } else { "dead" };
        table.row(&[name, &identity.pid.to_string(), alive, &peak, address, log]);
    };
    process("supervisor", &state.supervisor, "", "");
    for part in &state.components {
        process(&part.name, &part.identity, &part.address, &display_path(&part.log));
    }
    if let Cluster::Existing(kubeconfig) = &state.plan.cluster {
        table.row(&["kubernetes", "", "not ours", "", &display_path(kubeconfig)]);
    }
    if let Kafka::Existing(bootstrap) = &state.plan.kafka {
        table.row(&["kafka", "", "not ours", "", bootstrap]);
    }
    table
}
