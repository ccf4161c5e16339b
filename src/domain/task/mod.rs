//! Decisions about ScheduledTasks.

pub mod schedule;
