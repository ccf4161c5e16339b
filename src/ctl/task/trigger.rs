//! `eventctl task trigger`: runs a task by hand.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Args;
use eventcenter_sdk::rest::schedule::TriggerRequest;
use uuid::Uuid;

use super::super::login::block_on;
use super::super::output::{Answer, program_name};
use super::follow::wait_for_end;
use super::job_log_client::JobLogArgs;

const EXAMPLES: &str = "\
Examples:
  eventctl task trigger nightly -n shop
  eventctl task trigger nightly -n shop --param day=2026-11-21 --wait
  eventctl task trigger nightly -n shop --id release-17

Exit codes: 0 the run is requested, or has succeeded (--wait), 1 it has not succeeded (--wait), 2 an error occurred.";

/// Run a task by hand, also while its schedule is suspended.
///
/// Needs the right create on scheduledtasks/trigger.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Trigger {
    /// Name of the task.
    name: String,
    /// Value of a parameter of the task. May be repeated.
    #[arg(long = "param", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// An id of the run: the same id never runs twice, however often the command is repeated. Default: a new one.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Wait for the end of the run.
    #[arg(long, short)]
    wait: bool,
    #[command(flatten)]
    client: JobLogArgs,
}

pub(super) fn answer(arguments: &Trigger) -> anyhow::Result<Answer> {
    let parameters = parse_parameters(&arguments.parameters)?;
    // Its own id makes it safe to send the request again.
    let id = arguments.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    block_on(async {
        let task = arguments.client.task_id(&arguments.name).await?;
        let client = arguments.client.open().await?;
        let triggered = client.trigger(&task, &TriggerRequest { id: Some(id), parameters }).await?;
        if arguments.wait {
            return wait_for_end(&client, triggered.run.id).await;
        }
        let run = triggered.run;
        let text = match triggered.created {
            true => format!(
                "run {} of task {} is requested\nfollow it with: {} task logs {} -n {} --run {} -f",
                run.id,
                run.task,
                program_name(),
                run.task,
                run.namespace,
                run.id
            ),
            false => format!("run {} of this id exists already: {}", run.id, run.state),
        };
        Ok(Answer { yes: true, text })
    })
}

/// Parses `KEY=VALUE`.
fn parse_parameters(words: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    for word in words {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--param {word:?} is not a parameter: write KEY=VALUE, such as day=2026-11-21");
        };
        if parameters.insert(name.to_owned(), value.to_owned()).is_some() {
            bail!("--param {name} is given twice: give it once");
        }
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_key_and_a_value() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            parse_parameters(&words).map_err(|error| error.to_string())
        };
        let expected = BTreeMap::from([("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())]);
        assert_eq!(parse(&["a=b=c", "d="]), Ok(expected));
        for words in [&["a"][..], &["=b"], &["a=1", "a=2"]] {
            assert!(parse(words).is_err_and(|error| error.contains("--param")), "{words:?}");
        }
    }
}
