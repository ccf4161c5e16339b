//! `/api/schedule`: ScheduledTasks, their runs (the job log), and the replicas of the operator.
//!
//! - `access` decides by SubjectAccessReviews which tasks and runs a request is about; `directory` knows which tenant owns a
//!   namespace.
//! - `tasks` reads and writes ScheduledTasks as the caller: with the caller's token, so that RBAC, the webhook, approvals and the
//!   audit see the caller.
//! - `runs` reads the run log. `request` triggers, repeats and cancels runs and `backfill` requests those of a time range: all
//!   insert runs in the state `Requested`, which the controllers plan.
//! - `nodes` lists the replicas. `task` loads the task of a request, `wire` converts runs, `cursor` has the positions of pages.
//!
//! Deliberately absent: which run may start, and when.

mod access;
pub(super) mod backfill;
mod cursor;
mod directory;
mod documentation;
pub(super) mod nodes;
pub(super) mod request;
pub(super) mod runs;
mod task;
mod task_filter;
pub(super) mod tasks;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use access::TaskAuthorizer;
