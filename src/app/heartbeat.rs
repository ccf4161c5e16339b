//! Heartbeats of the roles of the process, by which people see which replicas exist.

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::clock::clock;
use super::config::Role;
use super::roles::Process;
use crate::error_chain::ErrorChain;
use crate::kubernetes::Heartbeat;

/// Interval between heartbeats.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long the end of a role may wait for the API server. Short, because a leader without the API server has to end soon.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Sends heartbeats of a role until the process stops. A failure is logged once; no role depends on its heartbeats.
pub(super) async fn run(process: &Process<'_>, role: Role) {
    let Process { instance, kubernetes, stop, .. } = *process;
    let Some(name) = role.to_possible_value() else { return };
    let heartbeat =
        Heartbeat { role: name.get_name().to_owned(), instance: instance.to_owned(), started: clock() };
    let sending = async {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut has_failed = false;
        loop {
            ticks.tick().await;
            match kubernetes.send_heartbeat(&heartbeat, clock()).await {
                Ok(()) => has_failed = false,
                Err(error) if !has_failed => {
                    has_failed = true;
                    tracing::warn!(role = heartbeat.role, error = %ErrorChain(&error), "cannot send heartbeats");
                }
                Err(_) => {}
            }
        }
    };
    let cleaning = async {
        if let Err(error) = kubernetes.delete_expired_heartbeats(clock()).await {
            tracing::debug!(error = %ErrorChain(&error), "cannot delete expired heartbeats");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = sending => {}
        () = cleaning => {}
        () = stop.cancelled() => {}
    }
    // After a lost connection, the heartbeat expires by itself.
    drop(timeout(END_TIMEOUT, kubernetes.end_heartbeat(&heartbeat)).await);
}
