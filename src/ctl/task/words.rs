//! Schedules as sentences.

use crate::api::{CatchUpMode, DstMode, ScheduledTaskSpec, TaskSchedule, UpstreamResult};
use crate::domain::task::schedule::DEFAULT_ZONE;

/// When a task runs, in a few words.
pub(super) fn describe_schedule(spec: &ScheduledTaskSpec) -> String {
    let Some(schedule) = &spec.schedule else { return "by hand".into() };
    if let Some(cron) = &schedule.cron {
        return match &schedule.time_zone {
            Some(zone) => format!("{cron} {zone}"),
            None => cron.clone(),
        };
    }
    if let Some(every) = &schedule.every {
        return format!("every {every}");
    }
    if let Some(at) = schedule.at {
        return format!("at {at}");
    }
    if !schedule.after.is_empty() {
        let tasks: Vec<&str> = schedule.after.iter().map(|upstream| upstream.task.as_str()).collect();
        return format!("after {}", tasks.join(", "));
    }
    match &schedule.on_event {
        Some(trigger) => match trigger.types.as_slice() {
            [] => format!("on event {}", trigger.topic),
            types => format!("on event {}: {}", trigger.topic, types.join(", ")),
        },
        None => "by hand".into(),
    }
}

/// When a task runs, and how it treats special cases: one sentence each.
pub(super) fn schedule_in_words(spec: &ScheduledTaskSpec) -> Vec<String> {
    let Some(schedule) = &spec.schedule else {
        return vec!["Only by hand: the task has no schedule.".into()];
    };
    let mut sentences = vec![when(schedule)];
    if schedule.cron.is_some() && schedule.dst == Some(DstMode::Once) {
        sentences.push(
            "When the clock changes, each time runs once: a skipped one at the end of the gap, a repeated one the first time."
                .into(),
        );
    }
    if let Some(jitter) = &schedule.jitter {
        sentences.push(format!("Each run is delayed by up to {jitter}."));
    }
    match (schedule.not_before, schedule.not_after) {
        (Some(start), Some(end)) => sentences.push(format!("From {start} to {end}.")),
        (Some(start), None) => sentences.push(format!("Not before {start}.")),
        (None, Some(end)) => sentences.push(format!("Not after {end}.")),
        (None, None) => {}
    }
    if schedule.cron.is_some() || schedule.every.is_some() || schedule.at.is_some() {
        let within = schedule.catch_up_window.as_ref();
        let within = within.map(|window| format!(", up to {window} late")).unwrap_or_default();
        sentences.push(match schedule.catch_up.unwrap_or_default() {
            CatchUpMode::Skip => "Missed times are not made up for.".into(),
            CatchUpMode::Latest => format!("Of missed times, the latest is made up for{within}."),
            CatchUpMode::All => format!("All missed times are made up for, oldest first{within}."),
        });
    }
    if spec.suspend {
        sentences.push("The schedule is suspended: the task runs by hand only.".into());
    }
    sentences
}

fn when(schedule: &TaskSchedule) -> String {
    if let Some(cron) = &schedule.cron {
        let zone = schedule.time_zone.as_deref().unwrap_or(DEFAULT_ZONE);
        return match cron_in_words(cron) {
            Some(words) => format!("{words} in {zone} ({cron})."),
            None => format!("At the times of {cron} in {zone}."),
        };
    }
    if let Some(every) = &schedule.every {
        return match schedule.anchor {
            Some(anchor) => format!("Every {every}, counted from {anchor}."),
            None => format!("Every {every}, counted from the creation of the task."),
        };
    }
    if let Some(at) = schedule.at {
        return format!("Once, at {at}.");
    }
    if let Some(trigger) = &schedule.on_event {
        return match trigger.types.as_slice() {
            [] => format!("For each event of topic {}.", trigger.topic),
            types => format!("For each event {} of topic {}.", types.join(" or "), trigger.topic),
        };
    }
    let upstream = schedule.after.iter().map(|upstream| {
        let ended = match upstream.result {
            UpstreamResult::Succeeded => "has succeeded",
            UpstreamResult::Failed => "has failed",
            UpstreamResult::Completed => "has succeeded or failed",
        };
        format!("task {} {ended}", upstream.task)
    });
    format!("When {}.", upstream.collect::<Vec<_>>().join(" and "))
}

/// Frequent cron expressions in words; `None` for others.
fn cron_in_words(cron: &str) -> Option<String> {
    let fields: Vec<&str> = cron.split_whitespace().collect();
    let number = |text: &str| text.parse::<u8>().ok();
    match fields.as_slice() {
        ["@hourly"] => Some("Every hour".into()),
        ["@daily" | "@midnight"] => Some("Every day at 00:00".into()),
        ["@weekly"] => Some("Every Sunday at 00:00".into()),
        ["@monthly"] => Some("On day 1 of each month at 00:00".into()),
        ["@yearly" | "@annually"] => Some("On January 1 at 00:00".into()),
        ["*", "*", "*", "*", "*"] => Some("Every minute".into()),
        [minute, "*", "*", "*", "*"] => match minute.strip_prefix("*/") {
            Some(step) => number(step)
                .filter(|step| 60_u8.checked_rem(*step) == Some(0))
                .map(|step| format!("Every {step} minutes")),
            None => number(minute).map(|minute| format!("Every hour at minute {minute}")),
        },
        [minute, hour, day, "*", weekday] => {
            let time = format!("at {:02}:{:02}", number(hour)?, number(minute)?);
            match (*day, *weekday) {
                ("*", "*") => Some(format!("Every day {time}")),
                ("*", "1-5" | "MON-FRI") => Some(format!("From Monday to Friday {time}")),
                ("*", weekday) => Some(format!("Every {} {time}", weekday_name(weekday)?)),
                (day, "*") => Some(format!("On day {} of each month {time}", number(day)?)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn weekday_name(field: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 7] = [
        ("SUN", "Sunday"),
        ("MON", "Monday"),
        ("TUE", "Tuesday"),
        ("WED", "Wednesday"),
        ("THU", "Thursday"),
        ("FRI", "Friday"),
        ("SAT", "Saturday"),
    ];
    let index = match field.parse::<usize>() {
        Ok(number) => number,
        Err(_) => NAMES.iter().position(|(short, _)| short.eq_ignore_ascii_case(field))?,
    };
    NAMES.get(index).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::task;
    use expect_test::{Expect, expect};

    fn check(schedule: &str, expected: Expect) {
        let task = task(&format!("{{{schedule} target: {{http: {{url: 'https://a/'}}}}}}"));
        let words = schedule_in_words(&task.spec).join(" ");
        expected.assert_eq(&format!("{} | {words}", describe_schedule(&task.spec)));
    }

    #[test]
    fn schedules_are_described() {
        check("", expect!["by hand | Only by hand: the task has no schedule."]);
        check(
            "schedule: {cron: '0 3 * * *', timeZone: Europe/Berlin},",
            expect![
                "0 3 * * * Europe/Berlin | Every day at 03:00 in Europe/Berlin (0 3 * * *). Of missed times, the latest is made up for."
            ],
        );
        check(
            "suspend: true, schedule: {cron: '1,2 3 * * *', dst: Once, jitter: 5m, catchUp: All, catchUpWindow: 6h},",
            expect![
                "1,2 3 * * * | At the times of 1,2 3 * * * in Etc/UTC. When the clock changes, each time runs once: a skipped one at the end of the gap, a repeated one the first time. Each run is delayed by up to 5m. All missed times are made up for, oldest first, up to 6h late. The schedule is suspended: the task runs by hand only."
            ],
        );
        check(
            "schedule: {every: 30s, catchUp: Skip, notAfter: '2027-01-01T00:00:00Z'},",
            expect![
                "every 30s | Every 30s, counted from the creation of the task. Not after 2027-01-01T00:00:00Z. Missed times are not made up for."
            ],
        );
        check(
            "schedule: {at: '2027-01-01T00:00:00Z'},",
            expect![
                "at 2027-01-01T00:00:00Z | Once, at 2027-01-01T00:00:00Z. Of missed times, the latest is made up for."
            ],
        );
        check(
            "schedule: {after: [{task: a}, {task: b, result: Completed}]},",
            expect!["after a, b | When task a has succeeded and task b has succeeded or failed."],
        );
        check(
            "schedule: {onEvent: {topic: orders, types: [Order.Created.v1]}},",
            expect!["on event orders: Order.Created.v1 | For each event Order.Created.v1 of topic orders."],
        );
    }

    #[test]
    fn frequent_expressions_have_words() {
        let words: Vec<String> = [
            "@daily",
            "* * * * *",
            "*/15 * * * *",
            "*/7 * * * *",
            "*/0 * * * *",
            "5 * * * *",
            "0 9 * * 1-5",
            "30 6 * * mon",
            "0 0 * * 0",
            "0 4 1 * *",
            "0 4 1 * 1",
        ]
        .map(|cron| format!("{cron}: {}", cron_in_words(cron).unwrap_or_else(|| "-".into())))
        .into();
        expect![[r#"
            @daily: Every day at 00:00
            * * * * *: Every minute
            */15 * * * *: Every 15 minutes
            */7 * * * *: -
            */0 * * * *: -
            5 * * * *: Every hour at minute 5
            0 9 * * 1-5: From Monday to Friday at 09:00
            30 6 * * mon: Every Monday at 06:30
            0 0 * * 0: Every Sunday at 00:00
            0 4 1 * *: On day 1 of each month at 04:00
            0 4 1 * 1: -"#]]
        .assert_eq(&words.join("\n"));
    }
}
