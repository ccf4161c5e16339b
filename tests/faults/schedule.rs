//! The schedules of tasks against Kubernetes' own code: the validation of the API server and the library of the CronJob
//! controller, which `controlplane cron` calls (`dev/controlplane/cron.go`).

mod random;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{Seek, Write};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use eventcenter::domain::task::schedule::{CronExpression, DstPolicy, Schedule, parse_zone};
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use xtask::{artefacts::Artefacts, console::Console, paths, process};

use random::Random;

/// Both zone databases are compared, and both implementations, from 2000 to 2037: rules for later years are predictions.
const FROM: i64 = 946_684_800;
const UNTIL: i64 = 2_145_916_800;

/// The cases whose seed is always the same, and those of another seed in each run, which the test prints.
const FIXED: (u64, usize) = (2026, 3000);
const VARYING_CASES: usize = 3000;
/// Sets the other seed, to repeat a failure.
const SEED_VARIABLE: &str = "EVENTCENTER_SCHEDULE_SEED";

/// Where each offset begins, and its seconds from UTC.
type Offsets = Vec<(i64, i32)>;

/// Answers to queries, one for each.
fn ask(queries: &[String]) -> Result<Vec<String>> {
    let program = Artefacts::new(&paths::repository()?, &Console::stderr())?.control_plane()?;
    let mut input = tempfile::tempfile()?;
    input.write_all(queries.iter().map(|query| format!("{query}\n")).collect::<String>().as_bytes())?;
    input.rewind()?;
    let mut command = process::child_command(program);
    command.arg("cron").stdin(Stdio::from(input)).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The kernel kills the program with this thread, which waits for it.
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    ensure!(answers.len() == queries.len(), "{} answers to {} queries", answers.len(), queries.len());
    Ok(answers)
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

/// The offsets of each zone as Kubernetes has them. `None` if it has no such zone.
fn offsets_of_kubernetes(zones: &[String]) -> Result<Vec<Option<Offsets>>> {
    let queries: Vec<String> = zones.iter().map(|zone| format!("offsets\t{FROM}\t{UNTIL}\t{zone}")).collect();
    let parse = |pair: &str| {
        let (start, offset) = pair.split_once(':').context("no colon")?;
        anyhow::Ok((start.parse()?, offset.parse()?))
    };
    ask(&queries)?
        .iter()
        .map(|answer| match answer.starts_with("invalid") {
            true => Ok(None),
            false => answer.split_whitespace().map(parse).collect::<Result<_>>().map(Some),
        })
        .collect()
}

fn offsets_of(zone: &str) -> Offsets {
    let zone = parse_zone(zone).expect("a zone of the database");
    let mut offsets = vec![(FROM, zone.to_offset(second(FROM)).seconds())];
    for change in zone.following(second(FROM)).take_while(|change| change.timestamp() < second(UNTIL)) {
        offsets.push((change.timestamp().as_second(), change.offset().seconds()));
    }
    offsets
}

/// Without the changes that change only the name of the offset.
fn distinct(mut offsets: Offsets) -> Offsets {
    offsets.dedup_by_key(|(_, offset)| *offset);
    offsets
}

/// The zones that both databases have with the same offsets, with the times of their changes.
fn common_zones() -> Result<BTreeMap<String, Vec<i64>>> {
    let names: Vec<String> = TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.as_str().to_owned())
        .filter(|name| parse_zone(name).is_ok())
        .collect();
    let (mut common, mut missing, mut different) = (BTreeMap::new(), Vec::new(), Vec::new());
    for (name, theirs) in names.iter().zip(offsets_of_kubernetes(&names)?) {
        let ours = distinct(offsets_of(name));
        match theirs.map(distinct) {
            None => missing.push(name),
            Some(theirs) if theirs != ours => {
                let first = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
                let first = first.map_or("at the end".to_owned(), |(ours, theirs)| {
                    format!("from {}", second(ours.0.min(theirs.0)).strftime("%Y-%m"))
                });
                different.push(format!("{name} {first}"));
            }
            Some(_) => drop(common.insert(name.clone(), ours.into_iter().map(|(start, _)| start).collect())),
        }
    }
    eprintln!("{} zones, absent in Kubernetes: {missing:?}, with other offsets: {different:?}", names.len());
    // Two releases of the database differ in few zones.
    ensure!(common.len() * 20 > names.len() * 19, "only {} of {} zones agree", common.len(), names.len());
    Ok(common)
}

/// What the answer should be: the same words as those of `controlplane cron`, without its message.
fn answer(from: i64, zone: &str, n: usize, expression: &str) -> String {
    let (Ok(zone), Ok(expression)) = (parse_zone(zone), CronExpression::parse(expression)) else {
        return "invalid".to_owned();
    };
    let schedule = Schedule::from_cron(&expression, zone, DstPolicy::AsClock, second(from));
    let times = schedule.occurrences_after(second(from)).take(n).map(|time| time.as_second().to_string());
    times.collect::<Vec<_>>().join(" ")
}

/// The answer without its message and without times after 2037.
fn comparable(answer: &str) -> Vec<&str> {
    if answer.starts_with("invalid") {
        return vec!["invalid"];
    }
    let is_compared = |time: &&str| time.parse::<i64>().is_ok_and(|time| time < UNTIL);
    answer.split_whitespace().take_while(is_compared).collect()
}

#[test]
fn random_schedules_have_the_times_of_the_cronjob_controller() -> Result<()> {
    let zones = common_zones()?;
    let varying = match std::env::var(SEED_VARIABLE) {
        Ok(seed) => seed.parse().with_context(|| format!("{SEED_VARIABLE} is no number"))?,
        Err(_) => RandomState::new().hash_one(0),
    };
    eprintln!("{SEED_VARIABLE}={varying} repeats the varying cases");
    let mut cases = Vec::new();
    for (seed, count) in [FIXED, (varying, VARYING_CASES)] {
        let mut random = Random::new(seed);
        cases.extend((0..count).map(|_| random.case(&zones)));
    }
    let queries: Vec<String> = cases
        .iter()
        .map(|case| format!("next\t{}\t{}\t{}\t{}", case.from, case.zone, case.n, case.expression))
        .collect();
    let (mut invalid, mut times, mut ended, mut failures) = (0, 0, 0, Vec::new());
    for (case, theirs) in cases.iter().zip(ask(&queries)?) {
        let ours = answer(case.from, &case.zone, case.n, &case.expression);
        let (ours, theirs_comparable) = (comparable(&ours), comparable(&theirs));
        if ours != theirs_comparable {
            failures.push(format!(
                "{:?} in {:?} from {} ({}):\n  eventcenter: {ours:?}\n  Kubernetes:  {theirs}",
                case.expression,
                case.zone,
                case.from,
                second(case.from),
            ));
        }
        match &ours[..] {
            ["invalid"] => invalid += 1,
            found => {
                times += found.len();
                ended += usize::from(found.len() < case.n);
            }
        }
    }
    eprintln!("{} cases: {invalid} invalid, {times} times, {ended} searches that end", cases.len());
    let first: Vec<&str> = failures.iter().take(10).map(String::as_str).collect();
    ensure!(failures.is_empty(), "{} cases differ, such as\n{}", failures.len(), first.join("\n"));
    // The cases are of every kind.
    ensure!(
        invalid > 300 && invalid * 2 < cases.len() && ended > 50 && times > 20_000,
        "the cases are one-sided"
    );
    Ok(())
}
