//! `eventctl task backfill`: runs a task for the times of a range.

use clap::Args;
use eventcenter_sdk::rest::schedule::{Backfill as Answered, BackfillAction, BackfillRequest};
use jiff::tz::TimeZone;

use super::super::login::block_on;
use super::super::output::Answer;
use super::super::terminal::table;
use super::super::time_arg;
use super::job_log_client::JobLogArgs;
use super::output_format::OutputFormat;

const EXAMPLES: &str = "\
Examples:
  eventctl task backfill nightly -n shop --from 2026-11-01 --to 2026-11-08 --dry-run
  eventctl task backfill hourly -n shop --from 7d --to now --limit 200

Exit codes: 0 the runs are requested or listed, 2 an error occurred.";

/// Run a task for the times of a range that its schedule names.
///
/// A time that has run or will run is left alone; one that was missed or skipped runs again. Repeating the command has no effect.
/// Needs the right create on scheduledtasks/trigger.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Backfill {
    /// Name of the task.
    name: String,
    /// Beginning of the range, inclusive: 7d (ago), yesterday, 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// End of the range, exclusive, in the same formats.
    #[arg(long, value_name = "TIME", default_value = "now")]
    to: String,
    /// Maximum number of times, up to 1000. A range with more of them is refused.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only list the times.
    #[arg(long)]
    dry_run: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    client: JobLogArgs,
}

pub(super) fn answer(arguments: &Backfill) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let (from, to) = (time_arg::parse(&arguments.from, &now)?, time_arg::parse(&arguments.to, &now)?);
    let request = BackfillRequest { from, to, limit: Some(arguments.limit), dry_run: arguments.dry_run };
    let answered = block_on(async {
        let task = arguments.client.task_id(&arguments.name).await?;
        Ok(arguments.client.open().await?.backfill(&task, &request).await?)
    })?;
    let text = arguments.output.render(&answered, || render(&answered, now.time_zone()))?;
    Ok(Answer { yes: true, text })
}

fn render(answered: &Answered, zone: &TimeZone) -> String {
    if answered.items.is_empty() {
        return "the schedule has no times in this range".into();
    }
    let rows: Vec<[String; 4]> = answered
        .items
        .iter()
        .map(|one| {
            let action = match one.action {
                BackfillAction::Run => "run",
                BackfillAction::Rerun => "run again",
                BackfillAction::Keep => "left alone",
            };
            let state = one.state.clone().unwrap_or_else(|| "-".into());
            [time_arg::format(one.time, zone), action.into(), state, one.run.to_string()]
        })
        .collect();
    let new = answered.items.iter().filter(|one| one.action != BackfillAction::Keep).count();
    let count = match (new, answered.dry_run) {
        (1, true) => "1 run would be requested (dry run)".to_owned(),
        (new, true) => format!("{new} runs would be requested (dry run)"),
        (1, false) => "1 run is requested".to_owned(),
        (new, false) => format!("{new} runs are requested"),
    };
    format!("{}\n\n{count}", table(["TIME", "ACTION", "STATE", "RUN"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn the_times_are_a_table() {
        let answered: Answered = serde_json::from_value(json!({"dryRun": true, "items": [
            {"time": "2026-11-21T03:00:00Z", "run": "00000000-0000-0000-0000-000000000001", "action": "Keep", "state": "Succeeded"},
            {"time": "2026-11-22T03:00:00Z", "run": "00000000-0000-0000-0000-000000000002", "action": "Run"},
        ]}))
        .expect("a backfill");
        expect![[r#"
            TIME                  ACTION       STATE       RUN
            2026-11-21 03:00:00   left alone   Succeeded   00000000-0000-0000-0000-000000000001
            2026-11-22 03:00:00   run          -           00000000-0000-0000-0000-000000000002

            1 run would be requested (dry run)"#]]
        .assert_eq(&render(&answered, &TimeZone::UTC));
    }
}
