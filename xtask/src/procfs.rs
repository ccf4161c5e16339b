//! Processes in `/proc`: identity, state, CPU time and memory.
//!
//! A process id alone identifies nothing, because the kernel reuses it. [`Identity`] adds the start time and the boot id,
//! and signals only through a pidfd that was checked after it was opened.

use std::{fs, io, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// The fields of `/proc/PID/stat` that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter: `R` running, `S` sleeping, `T` stopped, `Z` dead and not yet reaped.
    pub state: char,
    /// The parent's process id.
    pub parent: u32,
    /// CPU time in user and kernel mode, in clock ticks.
    pub cpu_ticks: u64,
    /// Start, in clock ticks since boot.
    pub started_ticks: u64,
}

/// Reads the text of `/proc/PID/stat`. The command name stands in parentheses and may itself contain any character.
pub fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        cpu_ticks: number(11)? + number(12)?,
        started_ticks: number(19)?,
    })
}

/// The peak resident memory in KiB (`VmHWM`) from the text of `/proc/PID/status`.
pub fn parse_peak_rss(status: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()
}

fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood: {text}")))
}

/// Identifies a process for the lifetime of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process id.
    pub pid: u32,
    started_ticks: u64,
    boot: String,
}

impl Identity {
    /// The process that has this id now.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, started_ticks: stat(pid)?.started_ticks, boot: boot_id()? })
    }

    /// This process.
    pub fn own() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// Whether the process still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        let same_boot = boot_id().is_ok_and(|boot| boot == self.boot);
        same_boot && stat(self.pid).is_ok_and(|s| s.started_ticks == self.started_ticks && s.state != 'Z')
    }

    /// Sends a signal to the process. `false` if it has ended; no other process receives the signal.
    pub fn signal(&self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // From here on the pidfd refers to this process only, so the check cannot become outdated.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The processes that it has started and that still run.
    pub fn children(&self) -> io::Result<Vec<Self>> {
        let mut children = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that ends at this moment is left out.
            if let (Ok(stat), Ok(child)) = (stat(pid), Self::of(pid))
                && (stat.parent, stat.started_ticks) == (self.pid, child.started_ticks)
            {
                children.push(child);
            }
        }
        Ok(if self.is_alive() { children } else { Vec::new() })
    }

    /// CPU time and memory of the process so far.
    pub fn usage(&self) -> io::Result<Usage> {
        if !self.is_alive() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("process {} has ended", self.pid)));
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        Ok(Usage {
            cpu: ticks_to_duration(stat(self.pid)?.cpu_ticks),
            peak_rss_kib: parse_peak_rss(&status).unwrap_or_default(),
        })
    }

    /// Resets the kernel's peak memory of the process, so that the next [`Usage`] has the peak since now.
    pub fn reset_peak_rss(&self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5")
    }
}

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since the process started, user and kernel.
    pub cpu: Duration,
    /// Peak resident memory, in KiB.
    pub peak_rss_kib: u64,
}

fn ticks_to_duration(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks * 1000 / per_second)
}

fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_any_command_name_is_parsed() {
        let text = "42 (a) b) R 1 2 3) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 98765 1000 10";
        let stat = parse_stat(text).expect("the line is complete");
        assert_eq!(stat, Stat { state: 'S', parent: 7, cpu_ticks: 200, started_ticks: 98765 });
    }

    #[test]
    fn a_short_stat_is_refused() {
        assert_eq!(parse_stat("42 (x) S 1 2"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn the_peak_is_parsed() {
        assert_eq!(parse_peak_rss("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t   4711 kB\n"), Some(4711));
        assert_eq!(parse_peak_rss("Name:\tx\n"), None);
    }

    #[test]
    fn another_process_with_the_same_pid_is_not_signalled() {
        let own = Identity::own().expect("/proc is there");
        assert!(own.is_alive());
        let stale = Identity { started_ticks: own.started_ticks - 1, ..own.clone() };
        assert!(!stale.is_alive());
        assert!(!stale.signal(Signal::TERM).expect("/proc is there"), "another process was signalled");
        let other_boot = Identity { boot: "before".into(), ..own };
        assert!(!other_boot.is_alive());
    }

    #[test]
    fn children_are_found() {
        let own = Identity::own().expect("/proc is there");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("the process starts");
        let found = own.children().expect("/proc is there");
        let listed = found.iter().any(|one| one.pid == child.id());
        child.kill().expect("the process is killed");
        child.wait().expect("the process has ended");
        assert!(listed, "{found:?}");
        let found = own.children().expect("/proc is there");
        assert!(found.iter().all(|one| one.pid != child.id()), "{found:?}");
    }

    #[test]
    fn usage_of_this_process_is_plausible() {
        let usage = Identity::own().and_then(|own| own.usage()).expect("/proc is there");
        assert!(usage.peak_rss_kib > 100, "{usage:?}");
    }
}
