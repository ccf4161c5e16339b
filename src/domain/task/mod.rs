//! ScheduledTasks: when a task is due, what a run does, and what its result means.
//!
//! `run` has the runs of a task and their states.

pub mod run;

pub use run::{Attempt, Executor, NewRun, Outcome, Run, RunId, RunState, TaskKey, Trigger};
