//! The open runs of all tasks, and which of them may start.
//!
//! One process, the leader, has a board. Runs wait for their task (policy `Queue`), for their group and for their tenant;
//! they start in the order of their scheduled times.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use eventcenter_sdk::name::TenantName;
use jiff::Timestamp;
use uuid::Uuid;

use super::RunId;
use crate::api::ConcurrencyPolicy;

/// What the start of a run depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What happens when a run of the same task has not ended.
    pub policy: ConcurrencyPolicy,
    /// Maximum number of concurrent runs of the task; `None` is unlimited.
    pub task_limit: Option<usize>,
    /// The group and its limit, as this task declares it.
    pub group: Option<(String, usize)>,
    /// Maximum number of concurrent runs of the tenant.
    pub tenant_limit: Option<usize>,
}

/// An open run, as the board needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// The run.
    pub id: RunId,
    /// The uid of its task.
    pub task: Uuid,
    /// The tenant.
    pub tenant: TenantName,
    /// The namespace.
    pub namespace: String,
    /// The time that it is planned for.
    pub scheduled_at: Timestamp,
    /// What its start depends on.
    pub gate: Gate,
}

/// What happens with a new run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may start.
    Start,
    /// It waits; the text says what for.
    Queue(String),
    /// It is skipped; the text says why.
    Skip(String),
    /// It may start after these runs have been cancelled.
    Replace(Vec<RunId>),
}

type QueueKey = (Timestamp, RunId);

/// The open runs.
#[derive(Debug, Default)]
pub struct Board {
    runs: HashMap<RunId, Entry>,
    queue: BTreeMap<QueueKey, ()>,
    running_of_task: HashMap<Uuid, BTreeSet<RunId>>,
    running_of_group: HashMap<(String, String), usize>,
    running_of_tenant: HashMap<TenantName, usize>,
    waiting_of_task: HashMap<Uuid, usize>,
    /// The limits that the tasks of each group declare.
    group_limits: HashMap<(String, String), HashMap<Uuid, usize>>,
}

#[derive(Debug)]
struct Entry {
    run: OpenRun,
    is_started: bool,
}

impl Board {
    /// Decides about a new run and adds it, unless it is skipped. A run that is on the board already is not added again.
    pub fn admit(&mut self, run: OpenRun) -> Admission {
        if let Some(entry) = self.runs.get(&run.id) {
            return match entry.is_started {
                true => Admission::Start,
                false => Admission::Queue(self.obstacle(&entry.run).unwrap_or_default()),
            };
        }
        self.declare_limit(&run);
        let open = self.running_of_task.get(&run.task).map_or(0, BTreeSet::len)
            + self.waiting_of_task.get(&run.task).copied().unwrap_or_default();
        let replaced = match run.gate.policy {
            ConcurrencyPolicy::Forbid if open > 0 => {
                return Admission::Skip("a previous run has not ended (concurrency policy Forbid)".into());
            }
            ConcurrencyPolicy::Replace if open > 0 => self.open_runs_of(run.task),
            _ => Vec::new(),
        };
        if !replaced.is_empty() {
            // It starts at once: the limits count the runs that it replaces until these have ended.
            self.start(run);
            return Admission::Replace(replaced);
        }
        // A run never overtakes one that waits for the same.
        let obstacle = self.obstacle(&run).or_else(|| self.waiting_ahead(&run));
        match obstacle {
            None => {
                self.start(run);
                Admission::Start
            }
            Some(obstacle) => {
                *self.waiting_of_task.entry(run.task).or_default() += 1;
                self.queue.insert((run.scheduled_at, run.id), ());
                self.runs.insert(run.id, Entry { run, is_started: false });
                Admission::Queue(obstacle)
            }
        }
    }

    /// Adds a run that was started before, such as by the previous leader.
    pub fn restore_started(&mut self, run: OpenRun) {
        if !self.runs.contains_key(&run.id) {
            self.declare_limit(&run);
            self.start(run);
        }
    }

    /// Adds a run that waited before.
    pub fn restore_queued(&mut self, run: OpenRun) {
        if self.runs.contains_key(&run.id) {
            return;
        }
        self.declare_limit(&run);
        *self.waiting_of_task.entry(run.task).or_default() += 1;
        self.queue.insert((run.scheduled_at, run.id), ());
        self.runs.insert(run.id, Entry { run, is_started: false });
    }

    /// Removes a run that has ended. Returns whether it was open.
    pub fn end(&mut self, id: RunId) -> bool {
        let Some(Entry { run, is_started }) = self.runs.remove(&id) else { return false };
        if is_started {
            decrement(&mut self.running_of_tenant, &run.tenant);
            if let Some(key) = group_key(&run) {
                decrement(&mut self.running_of_group, &key);
            }
            if let Some(running) = self.running_of_task.get_mut(&run.task) {
                running.remove(&id);
                if running.is_empty() {
                    self.running_of_task.remove(&run.task);
                }
            }
        } else {
            self.queue.remove(&(run.scheduled_at, id));
            decrement(&mut self.waiting_of_task, &run.task);
        }
        true
    }

    /// Lets the waiting runs start that may, oldest first, and returns them.
    pub fn release(&mut self) -> Vec<RunId> {
        let mut released = Vec::new();
        // A run that may not start holds back those that wait for the same, which are younger.
        let mut blocked_tasks = BTreeSet::new();
        let mut blocked_groups = BTreeSet::new();
        let mut blocked_tenants = BTreeSet::new();
        let waiting: Vec<RunId> = self.queue.keys().map(|(_, id)| *id).collect();
        for id in waiting {
            let Some(Entry { run, .. }) = self.runs.get(&id) else { continue };
            let group = group_key(run);
            if blocked_tasks.contains(&run.task)
                || blocked_tenants.contains(&run.tenant)
                || group.as_ref().is_some_and(|group| blocked_groups.contains(group))
            {
                continue;
            }
            match self.blocking(run) {
                None => {
                    let run = run.clone();
                    self.queue.remove(&(run.scheduled_at, id));
                    decrement(&mut self.waiting_of_task, &run.task);
                    self.runs.remove(&id);
                    self.start(run);
                    released.push(id);
                }
                Some(Blocking::Task) => {
                    blocked_tasks.insert(run.task);
                }
                Some(Blocking::Group) => blocked_groups.extend(group),
                Some(Blocking::Tenant) => {
                    blocked_tenants.insert(run.tenant.clone());
                }
            }
        }
        released
    }

    /// Number of open runs of a task: started ones and waiting ones.
    #[must_use]
    pub fn open_of(&self, task: Uuid) -> (usize, usize) {
        let started = self.running_of_task.get(&task).map_or(0, BTreeSet::len);
        (started, self.waiting_of_task.get(&task).copied().unwrap_or_default())
    }

    /// The place of the first waiting run of a task among the waiting runs of its group, or of itself, from 1.
    #[must_use]
    pub fn place_of(&self, task: Uuid) -> Option<usize> {
        let mut waiting = self.queue.keys().filter_map(|(_, id)| self.runs.get(id)).map(|entry| &entry.run);
        let first = waiting.clone().find(|run| run.task == task)?;
        let group = group_key(first);
        let competes = |run: &&OpenRun| match &group {
            Some(_) => group_key(run) == group,
            None if first.gate.tenant_limit.is_some() => run.tenant == first.tenant,
            None => run.task == task,
        };
        waiting.by_ref().filter(competes).position(|run| run.id == first.id).map(|place| place + 1)
    }

    /// The runs of a task that have not ended.
    #[must_use]
    pub fn open_runs_of(&self, task: Uuid) -> Vec<RunId> {
        let started = self.running_of_task.get(&task).into_iter().flatten().copied();
        let waiting = self.queue.keys().map(|(_, id)| *id);
        let waiting = waiting.filter(|id| self.runs.get(id).is_some_and(|entry| entry.run.task == task));
        started.chain(waiting).collect()
    }

    /// Whether a run is on the board.
    #[must_use]
    pub fn contains(&self, id: RunId) -> bool {
        self.runs.contains_key(&id)
    }

    /// The tasks with waiting runs.
    #[must_use]
    pub fn waiting_tasks(&self) -> Vec<Uuid> {
        self.waiting_of_task.keys().copied().collect()
    }

    /// Number of waiting runs.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Forgets what a task declares about its group.
    pub fn forget_task(&mut self, task: Uuid) {
        self.group_limits.retain(|_, limits| {
            limits.remove(&task);
            !limits.is_empty()
        });
    }

    fn start(&mut self, run: OpenRun) {
        *self.running_of_tenant.entry(run.tenant.clone()).or_default() += 1;
        if let Some(key) = group_key(&run) {
            *self.running_of_group.entry(key).or_default() += 1;
        }
        self.running_of_task.entry(run.task).or_default().insert(run.id);
        self.runs.insert(run.id, Entry { run, is_started: true });
    }

    fn declare_limit(&mut self, run: &OpenRun) {
        if let (Some(key), Some((_, limit))) = (group_key(run), &run.gate.group) {
            self.group_limits.entry(key).or_default().insert(run.task, *limit);
        }
    }

    /// The lowest limit that the tasks of a group declare.
    fn group_limit(&self, key: &(String, String)) -> usize {
        self.group_limits.get(key).and_then(|limits| limits.values().min()).copied().unwrap_or(1)
    }

    fn blocking(&self, run: &OpenRun) -> Option<Blocking> {
        let of_task = self.running_of_task.get(&run.task).map_or(0, BTreeSet::len);
        if run.gate.task_limit.is_some_and(|limit| of_task >= limit) {
            return Some(Blocking::Task);
        }
        if let Some(key) = group_key(run) {
            let of_group = self.running_of_group.get(&key).copied().unwrap_or_default();
            if of_group >= self.group_limit(&key) {
                return Some(Blocking::Group);
            }
        }
        let of_tenant = self.running_of_tenant.get(&run.tenant).copied().unwrap_or_default();
        run.gate.tenant_limit.is_some_and(|limit| of_tenant >= limit).then_some(Blocking::Tenant)
    }

    fn obstacle(&self, run: &OpenRun) -> Option<String> {
        Some(match self.blocking(run)? {
            Blocking::Task => {
                format!(
                    "waits for runs of this task; at most {} run at once",
                    run.gate.task_limit.unwrap_or(1)
                )
            }
            Blocking::Group => {
                let key = group_key(run)?;
                format!(
                    "waits in group {}; at most {} of its runs run at once",
                    key.1,
                    self.group_limit(&key)
                )
            }
            Blocking::Tenant => format!(
                "waits for other runs of tenant {}; at most {} run at once",
                run.tenant,
                run.gate.tenant_limit.unwrap_or(1)
            ),
        })
    }

    /// Whether an older run waits for what this one would take.
    fn waiting_ahead(&self, run: &OpenRun) -> Option<String> {
        let group = group_key(run);
        let is_limited = run.gate.task_limit.is_some() || group.is_some() || run.gate.tenant_limit.is_some();
        if !is_limited {
            return None;
        }
        let waiting = self.queue.keys().filter_map(|(_, id)| self.runs.get(id)).map(|entry| &entry.run);
        waiting
            .take_while(|other| (other.scheduled_at, other.id) < (run.scheduled_at, run.id))
            .any(|other| {
                (run.gate.task_limit.is_some() && other.task == run.task)
                    || (group.is_some() && group_key(other) == group)
                    || (run.gate.tenant_limit.is_some() && other.tenant == run.tenant)
            })
            .then(|| "waits for runs that are due before".into())
    }
}

enum Blocking {
    Task,
    Group,
    Tenant,
}

/// A group belongs to a namespace.
fn group_key(run: &OpenRun) -> Option<(String, String)> {
    run.gate.group.as_ref().map(|(group, _)| (run.namespace.clone(), group.clone()))
}

fn decrement<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
