//! `eventctl task suspend` and `resume`.

use anyhow::bail;
use clap::Args;

use super::super::login::{LoginArgs, block_on};
use super::super::output::Answer;
use crate::api::ScheduledTask;

const SUSPEND_EXAMPLES: &str = "\
Examples:
  eventctl task suspend nightly -n shop

Exit codes: 0 the schedule is suspended, 1 the webhook refuses it, 2 an error occurred.";

/// Suspend the schedule of a task. Runs that have started continue, and times that pass are not made up for.
#[derive(Debug, Args)]
#[command(after_help = SUSPEND_EXAMPLES)]
pub(in super::super) struct Suspend {
    /// Name of the task.
    name: String,
    #[command(flatten)]
    login: LoginArgs,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  eventctl task resume nightly -n shop

Exit codes: 0 the schedule is resumed, 1 the webhook refuses it, 2 an error occurred.";

/// Resume the schedule of a task.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(in super::super) struct Resume {
    /// Name of the task.
    name: String,
    #[command(flatten)]
    login: LoginArgs,
}

pub(super) fn suspend(arguments: &Suspend) -> anyhow::Result<Answer> {
    set_suspend(&arguments.login, &arguments.name, true)
}

pub(super) fn resume(arguments: &Resume) -> anyhow::Result<Answer> {
    set_suspend(&arguments.login, &arguments.name, false)
}

fn set_suspend(login: &LoginArgs, name: &str, suspend: bool) -> anyhow::Result<Answer> {
    block_on(async {
        let session = login.open().await?;
        let namespace = login.namespace_in(&session);
        let Some(task) = session.get_resource::<ScheduledTask>(&namespace, name).await? else {
            bail!("there is no ScheduledTask {name} in namespace {namespace}");
        };
        let schedule = format!("the schedule of task {name} in namespace {namespace}");
        let is_suspended = task["spec"]["suspend"].as_bool().unwrap_or(false);
        let text = match (is_suspended, suspend) {
            (true, true) => format!("{schedule} is suspended already"),
            (false, false) => format!("{schedule} is not suspended: nothing is changed"),
            (_, suspend) => {
                let patch = serde_json::json!({"spec": {"suspend": suspend}});
                session.merge_patch::<ScheduledTask>(&namespace, name, &patch).await?;
                format!("{schedule} is {}", if suspend { "suspended" } else { "resumed" })
            }
        };
        Ok(Answer { yes: true, text })
    })
}
