//! The cost of a step for each process: CPU time as a difference, memory as the peak within the step; and the CPU time of
//! the whole machine, which shows whether other processes disturbed the measurement.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use xtask::{
    environment::{Component, Environment},
    procfs::Identity,
};

/// The processes and their names in tables, in the order of the columns.
pub(crate) const PROCESSES: [(&str, &str); 10] = [
    (OPERATOR, "operator"),
    (WEBHOOK, "webhook"),
    (API, "REST API"),
    (RUNNER, "runner"),
    ("apiserver", "API server"),
    ("controlplane", "etcd"),
    ("kafka", "broker"),
    (POSTGRES, "PostgreSQL"),
    ("controller-manager", "controller manager"),
    (GENERATOR, "load generator"),
];

/// The operator, with all of its roles that do not run apart.
pub(crate) const OPERATOR: &str = "operator";

/// The webhook, if it runs apart.
pub(crate) const WEBHOOK: &str = "webhook";

/// The REST API, if it runs apart.
pub(crate) const API: &str = "api";

/// The runner, if it runs apart.
pub(crate) const RUNNER: &str = "runner";

/// PostgreSQL, all processes together.
pub(crate) const POSTGRES: &str = "postgresql";

/// The load generator.
pub(crate) const GENERATOR: &str = "generator";

/// All other processes of the machine.
pub(crate) const OTHERS: &str = "other programs";

/// The sampled processes.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    processes: Vec<(String, Identity)>,
    /// A server whose clients each have a process of their own, which may start and end within a step.
    server: Option<(String, Identity)>,
}

/// A step that runs.
pub(crate) struct Step<'a> {
    sampler: &'a Sampler,
    begun: Instant,
    cpu: Vec<Duration>,
    server: BTreeMap<u32, Duration>,
    machine: Machine,
}

/// The cost of one step.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) wall: Duration,
    costs: BTreeMap<String, Cost>,
    machine: Machine,
}

/// The cost of one step for one process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) peak_rss_kib: u64,
}

/// The time of all processors together, in clock ticks since boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) busy: u64,
    pub(crate) idle: u64,
}

impl Sampler {
    /// Samples all processes of the environment, the given ones, and those of the server.
    pub(crate) fn of(
        environment: &Environment,
        others: &[(&str, &Identity)],
        server: Option<(&str, &Identity)>,
    ) -> Self {
        let named = |part: Component| (part.name, part.identity);
        let owned = |(name, identity): (&str, &Identity)| (name.to_owned(), identity.clone());
        let mut processes: Vec<_> = environment.components().into_iter().map(named).collect();
        processes.extend(others.iter().copied().map(owned));
        Self { processes, server: server.map(owned) }
    }

    /// Begins a step. Earlier CPU time does not count, except that of `new`, a process that the step has started.
    pub(crate) fn begin(&self, new: Option<&Identity>) -> Result<Step<'_>> {
        let mut cpu = Vec::new();
        for (name, process) in &self.processes {
            if new == Some(process) {
                cpu.push(Duration::ZERO);
                continue;
            }
            process.reset_peak_rss().with_context(|| ended(name))?;
            cpu.push(process.usage().with_context(|| ended(name))?.cpu);
        }
        let server = self.server_cpu()?;
        Ok(Step { sampler: self, begun: Instant::now(), cpu, server, machine: Machine::now()? })
    }

    /// CPU time of each process of the server.
    fn server_cpu(&self) -> Result<BTreeMap<u32, Duration>> {
        let Some((_, server)) = &self.server else { return Ok(BTreeMap::new()) };
        let children = server.children()?;
        // A process that ends at this moment is left out.
        let usage = |process: &Identity| Some((process.pid, process.usage().ok()?.cpu));
        Ok(children.iter().chain([server]).filter_map(usage).collect())
    }

    /// CPU time of all sampled processes since their start.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let used =
            |(name, process): &(String, Identity)| Ok(process.usage().with_context(|| ended(name))?.cpu);
        self.processes.iter().map(used).sum()
    }
}

fn ended(name: &str) -> String {
    format!("{name} has ended during the measurement")
}

impl Step<'_> {
    /// The cost up to now.
    pub(crate) fn so_far(&self) -> Result<Measurement> {
        let wall = self.begun.elapsed();
        let machine = Machine::now()?;
        let mut costs = BTreeMap::new();
        for ((name, process), before) in self.sampler.processes.iter().zip(&self.cpu) {
            let usage = process.usage().with_context(|| ended(name))?;
            let cost = Cost { cpu: usage.cpu.saturating_sub(*before), peak_rss_kib: usage.peak_rss_kib };
            costs.insert(name.clone(), cost);
        }
        if let Some((name, _)) = &self.sampler.server {
            let spent = |(pid, cpu): (u32, Duration)| {
                cpu.saturating_sub(self.server.get(&pid).copied().unwrap_or_default())
            };
            let cpu = self.sampler.server_cpu()?.into_iter().map(spent).sum();
            costs.insert(name.clone(), Cost { cpu, ..Cost::default() });
        }
        Ok(Measurement { wall, costs, machine: machine.since(&self.machine) })
    }
}

impl Measurement {
    /// The cost for the process of that name.
    pub(crate) fn cost(&self, name: &str) -> Cost {
        self.costs.get(name).copied().unwrap_or_default()
    }

    /// Whether the process of that name was sampled.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.costs.contains_key(name)
    }

    /// Shares of the processors' time in percent: each sampled process, other processes, idle.
    pub(crate) fn shares(&self) -> Vec<(&'static str, f64)> {
        let all = ticks(self.machine.busy + self.machine.idle).max(f64::EPSILON);
        let percent = |seconds: f64| 100.0 * seconds / all;
        let watched =
            |(name, shown): &(&str, &'static str)| (*shown, percent(self.cost(name).cpu.as_secs_f64()));
        let mut shares: Vec<_> = PROCESSES.iter().map(watched).collect();
        let ours: f64 = shares.iter().map(|(_, share)| share).sum();
        shares.push((OTHERS, (percent(ticks(self.machine.busy)) - ours).max(0.0)));
        shares.push(("idle", percent(ticks(self.machine.idle))));
        shares
    }
}

/// Clock ticks in seconds.
#[expect(clippy::cast_precision_loss, reason = "exact for 2^53 ticks, a million years")]
pub(crate) fn ticks(number: u64) -> f64 {
    number as f64 / rustix::param::clock_ticks_per_second().max(1) as f64
}

impl Machine {
    /// Since boot.
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        Self::parse(&text).context("/proc/stat cannot be parsed")
    }

    /// Since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        // The kernel's iowait may decrease.
        Self { busy: self.busy.saturating_sub(earlier.busy), idle: self.idle.saturating_sub(earlier.idle) }
    }

    /// The first line: user, nice, system, idle, iowait, irq, softirq, steal (guest time is part of user).
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).take(8).collect();
        let [user, nice, system, idle, waiting, interrupts, soft, stolen] = times.try_into().ok()?;
        Some(Self { busy: user + nice + system + interrupts + soft + stolen, idle: idle + waiting })
    }
}

/// The number of processors.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_step_costs_cpu() {
        let own = Identity::own().expect("/proc is there");
        let sampler = Sampler { processes: vec![(GENERATOR.into(), own.clone())], server: None };
        let step = sampler.begin(None).expect("a measurement");
        let mut sum = 0_u64;
        // On a busy machine 300 ms of wall time may be little CPU time, so the loop waits for both.
        let cost = || own.usage().expect("/proc is there").cpu;
        let idle = cost();
        while step.begun.elapsed() < Duration::from_millis(300)
            || (cost() < idle + Duration::from_millis(100) && step.begun.elapsed() < Duration::from_secs(30))
        {
            for _ in 0..100_000 {
                sum = std::hint::black_box(sum.wrapping_add(1));
            }
        }
        let busy = step.so_far().expect("a measurement");
        assert!(busy.wall >= Duration::from_millis(300));
        assert!(busy.cost(GENERATOR).cpu >= Duration::from_millis(50), "{busy:?}");
        assert!(busy.cost(GENERATOR).peak_rss_kib > 100);
        assert_eq!(busy.cost("another").cpu, Duration::ZERO);
        let since_start = sampler.begin(Some(&own)).and_then(|step| step.so_far()).expect("a measurement");
        assert!(since_start.cost(GENERATOR).cpu >= busy.cost(GENERATOR).cpu, "a new process began at zero");
    }

    #[test]
    fn shares_refer_to_all_processors() {
        let second = rustix::param::clock_ticks_per_second();
        let cost = |seconds| Cost { cpu: Duration::from_secs(seconds), peak_rss_kib: 0 };
        let measured = Measurement {
            wall: Duration::from_secs(10),
            costs: [("kafka".to_owned(), cost(5)), ("operator".to_owned(), cost(1))].into(),
            machine: Machine { busy: 8 * second, idle: 12 * second },
        };
        let shares: BTreeMap<_, _> = measured.shares().into_iter().collect();
        let about = |name: &str, percent: f64| (shares[name] - percent).abs() < 0.001;
        assert!(about("broker", 25.0) && about("operator", 5.0) && about("API server", 0.0), "{shares:?}");
        assert!(about("other programs", 10.0) && about("idle", 60.0), "{shares:?}");
    }

    #[test]
    fn the_machines_times_are_parsed() {
        let text = "cpu  10 1 5 100 7 2 3 4 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(Machine::parse(text), Some(Machine { busy: 25, idle: 107 }));
        assert_eq!(Machine::parse("cpu  10 1\n"), None);
        assert!(Machine::now().is_ok());
    }
}
