//! `eventctl task next`: the next times of a task.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::json;

use super::super::login::{LoginArgs, block_on};
use super::super::manifest::Position;
use super::super::output::{Answer, print_warning};
use super::super::terminal::{age, table};
use super::super::{file, manifest, time_arg};
use super::output_format::OutputFormat;
use super::words::describe_schedule;
use crate::api::{ScheduledTask, ScheduledTaskSpec};
use crate::domain::lint;
use crate::domain::task::schedule::{
    ClockChangeKind, DstPolicy, Schedule, Timetable, clock_changes, next_times,
};
use crate::domain::task::{Timing, read_timing};

/// Maximum number of clock changes that are shown.
const MAX_CHANGES: usize = 20;

const EXAMPLES: &str = "\
Examples:
  eventctl task next nightly -n shop
  eventctl task next -f nightly.yaml -c 5
  eventctl task next nightly -n shop --from 2027-03-27 -o json

Exit codes: 0 the times are listed, 1 the task has no further time, 2 an error occurred.";

/// List the next times of a task, in its time zone and in that of the user.
///
/// Also shows the times that a change of the wall clock skips or repeats. With -f the times are those of a manifest, and no
/// cluster is needed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Next {
    /// Name of the task.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// Manifest with a ScheduledTask; - is standard input.
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number of times.
    #[arg(long, short, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Times after this one: now, 2h (ago), 2026-11-21, 2026-11-21T10:00 (local), 2026-11-21T10:00:00Z.
    #[arg(long, value_name = "TIME", default_value = "now")]
    from: String,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    login: LoginArgs,
}

pub(super) fn answer(arguments: &Next) -> anyhow::Result<Answer> {
    let now = time_arg::now();
    let from = time_arg::parse(&arguments.from, &now)?;
    let task = match (&arguments.file, &arguments.name) {
        (Some(path), _) => read_manifest(path, now.timestamp())?,
        (None, Some(name)) => block_on(read_task(&arguments.login, name))?,
        (None, None) => bail!("no task given: write its name, or -f FILE"),
    };
    if task.spec.suspend {
        print_warning("the schedule is suspended: no run starts at these times until it is resumed");
    }
    let timetable = timetable(&task)?;
    let zone = now.time_zone();
    let times = times_in_zone(&timetable, from, usize::from(arguments.count), zone);
    let value: Vec<_> = times
        .iter()
        .map(|time| json!({"time": time.timestamp(), "taskTime": time.to_string(), "userTime": time.with_time_zone(zone.clone()).to_string()}))
        .collect();
    let remarks = remarks(&timetable, from, &times);
    let text = arguments.output.render(&value, || render(&times, &remarks, zone, now.timestamp()))?;
    Ok(Answer { yes: !times.is_empty(), text })
}

async fn read_task(login: &LoginArgs, name: &str) -> anyhow::Result<ScheduledTask> {
    let session = login.open().await?;
    let namespace = login.namespace_in(&session);
    let task = session.get_resource::<ScheduledTask>(&namespace, name).await?;
    let task = task.with_context(|| format!("there is no ScheduledTask {name} in namespace {namespace}"))?;
    serde_json::from_value(task).with_context(|| format!("reading the ScheduledTask {name}"))
}

/// The only ScheduledTask of a manifest. Times that count from its creation count from now.
fn read_manifest(path: &std::path::Path, now: Timestamp) -> anyhow::Result<ScheduledTask> {
    let manifests = manifest::read(path)?;
    let mut tasks = manifests.into_iter().filter(|manifest| manifest.object["kind"] == "ScheduledTask");
    let (Some(task), None) = (tasks.next(), tasks.next()) else {
        bail!("{}: write a file with exactly one ScheduledTask", file::name(path));
    };
    // A misspelt field would be ignored, and the times would be those of another schedule.
    let input = lint::Manifest { object: &task.object, repeated_keys: task.repeated_keys() };
    let mistakes: Vec<String> = lint::check_definition(&input)
        .into_iter()
        .map(|mistake| {
            let Position { line, column } = task.position(&mistake.field);
            format!("{}:{line}:{column}: {}", file::name(path), mistake.message)
        })
        .collect();
    if !mistakes.is_empty() {
        bail!("{}", mistakes.join("\n"));
    }
    let task: Result<ScheduledTask, _> = serde_json::from_value(task.object);
    let mut task = task.with_context(|| format!("{}: this is not a ScheduledTask", file::name(path)))?;
    task.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    Ok(task)
}

/// When a task runs by time.
pub(super) fn timetable(task: &ScheduledTask) -> anyhow::Result<Timetable> {
    let spec: &ScheduledTaskSpec = &task.spec;
    let created = task.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let timing =
        read_timing(spec.schedule.as_ref(), created).map_err(|refusal| anyhow::anyhow!(refusal.message()))?;
    match timing {
        Timing::Time { timetable, .. } => Ok(timetable),
        Timing::OnEvent(_) => {
            bail!("the task has no times: it runs {}, so nobody knows when", describe_schedule(spec))
        }
        Timing::Manual | Timing::After(_) => {
            bail!("the task does not run by time, but {}", describe_schedule(spec))
        }
    }
}

/// The next times, in the zone of the cron expression. Other schedules have no zone: their times are in that of the user.
pub(super) fn times_in_zone(
    timetable: &Timetable,
    after: Timestamp,
    count: usize,
    zone: &TimeZone,
) -> Vec<Zoned> {
    let times = next_times(timetable, after, count);
    match &timetable.schedule {
        Schedule::Cron(_) => times,
        Schedule::Every(_) | Schedule::At(_) => {
            times.iter().map(|time| time.with_time_zone(zone.clone())).collect()
        }
    }
}

/// Which times a change of the wall clock skips or repeats until the last of the times.
pub(super) fn remarks(timetable: &Timetable, from: Timestamp, times: &[Zoned]) -> Vec<String> {
    let Schedule::Cron(cron) = &timetable.schedule else { return Vec::new() };
    let Some(last) = times.last() else { return Vec::new() };
    let changes = clock_changes(cron, from, last.timestamp(), MAX_CHANGES);
    let lines = changes.iter().map(|change| {
        let time = change.time.strftime("%Y-%m-%d %H:%M");
        match (change.kind, cron.dst()) {
            (ClockChangeKind::Skipped, DstPolicy::AsClock) => {
                format!("{time} does not exist, because the clock is put forward: the task does not run (dst: Once would run it)")
            }
            (ClockChangeKind::Skipped, DstPolicy::Once) => {
                let at = change.at.to_zoned(cron.zone().clone());
                format!("{time} does not exist, because the clock is put forward: the task runs at {}", at.strftime("%H:%M"))
            }
            (ClockChangeKind::Repeated, DstPolicy::AsClock) => {
                format!("{time} exists twice, because the clock is put back: the task may run twice (dst: Once would run it once)")
            }
            (ClockChangeKind::Repeated, DstPolicy::Once) => {
                format!("{time} exists twice, because the clock is put back: the task runs the first time")
            }
        }
    });
    lines.collect()
}

/// The times in their zone and in that of the user.
pub(super) fn render(times: &[Zoned], remarks: &[String], zone: &TimeZone, now: Timestamp) -> String {
    let Some(first) = times.first() else { return "the task has no further time".into() };
    let format = |time: &Zoned| time.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
    let offset = |time: &Zoned| {
        if time.timestamp() > now { format!("in {}", age(now, time.timestamp())) } else { "past".into() }
    };
    let is_same_zone = times.iter().all(|time| format(time) == format(&time.with_time_zone(zone.clone())));
    let own = first.time_zone().iana_name().unwrap_or("UTC").to_owned();
    let times = if is_same_zone {
        let rows: Vec<[String; 2]> = times.iter().map(|time| [format(time), offset(time)]).collect();
        table([&format!("TIME ({own})"), "FROM NOW"], &rows)
    } else {
        let rows: Vec<[String; 3]> = times
            .iter()
            .map(|time| [format(time), format(&time.with_time_zone(zone.clone())), offset(time)])
            .collect();
        let user = zone.iana_name().unwrap_or("local");
        table([&format!("TASK ({own})"), &format!("LOCAL ({user})"), "FROM NOW"], &rows)
    };
    match remarks {
        [] => times,
        remarks => format!("{times}\n\n{}", remarks.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::{Expect, expect};

    fn check(schedule: &str, from: &str, count: usize, zone: &str, expected: Expect) {
        let task = task(&format!("{{schedule: {schedule}, target: {{http: {{url: 'https://a/'}}}}}}"));
        let text = match timetable(&task) {
            Ok(timetable) => {
                let from: Timestamp = from.parse().expect("a time");
                let zone = TimeZone::get(zone).expect("a zone");
                let times = times_in_zone(&timetable, from, count, &zone);
                render(&times, &remarks(&timetable, from, &times), &zone, from)
            }
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn times_are_shown_in_both_zones_with_remarks() {
        let berlin = "{cron: '30 2 * * *', timeZone: Europe/Berlin}";
        check(
            berlin,
            "2026-03-27T12:00:00Z",
            3,
            "America/New_York",
            expect![[r#"
                TASK (Europe/Berlin)           LOCAL (America/New_York)      FROM NOW
                Sat 2026-03-28 02:30:00 CET    Fri 2026-03-27 21:30:00 EDT   in 13h
                Mon 2026-03-30 02:30:00 CEST   Sun 2026-03-29 20:30:00 EDT   in 2d12h
                Tue 2026-03-31 02:30:00 CEST   Mon 2026-03-30 20:30:00 EDT   in 3d12h

                2026-03-29 02:30 does not exist, because the clock is put forward: the task does not run (dst: Once would run it)"#]],
        );
        check(
            "{cron: '30 2 * * *', timeZone: Europe/Berlin, dst: Once}",
            "2026-10-24T12:00:00Z",
            2,
            "Europe/Berlin",
            expect![[r#"
            TIME (Europe/Berlin)           FROM NOW
            Sun 2026-10-25 02:30:00 CEST   in 12h
            Mon 2026-10-26 02:30:00 CET    in 37h

            2026-10-25 02:30 exists twice, because the clock is put back: the task runs the first time"#]],
        );
        check(
            "{every: 6h, anchor: '2026-01-01T00:00:00Z'}",
            "2026-01-01T00:00:00Z",
            1,
            "UTC",
            expect![[r#"
            TIME (UTC)                    FROM NOW
            Thu 2026-01-01 06:00:00 UTC   in 6h"#]],
        );
        check(
            "{at: '2026-01-01T00:00:00Z'}",
            "2026-01-01T00:00:00Z",
            1,
            "UTC",
            expect!["the task has no further time"],
        );
        check(
            "{onEvent: {topic: orders, types: [Order.Created.v1]}}",
            "2026-01-01T00:00:00Z",
            1,
            "UTC",
            expect!["the task has no times: it runs on event orders: Order.Created.v1, so nobody knows when"],
        );
        check(
            "{after: [{task: a}]}",
            "2026-01-01T00:00:00Z",
            1,
            "UTC",
            expect!["the task does not run by time, but after a"],
        );
        check(
            "{cron: '61 * * * *'}",
            "2026-01-01T00:00:00Z",
            1,
            "UTC",
            expect![[
                r#"spec.schedule.cron: minute "61": 61 is above the maximum 59: write minutes from 0 to 59, such as "*/15 * * * *""#
            ]],
        );
    }
}
