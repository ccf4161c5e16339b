//! ScheduledTasks: when a task is due, what a run does, and what its result means.
//!
//! | module | contents |
//! |---|---|
//! | [`schedule`] | when a task is due |
//! | [`definition`] | a task as it is executed, parsed and checked |
//! | [`pod`], [`http`], [`event`] | the three targets |
//! | [`event_trigger`], [`event_plan`] | tasks that run for events, and their runs |
//! | [`engine`], [`job`] | who executes the runs; CronJobs and Jobs |
//! | [`work`] | what is stored with a run for its executor |
//! | [`attempt`] | what follows from the result of an attempt |
//! | [`permission`] | what a run may do when it is executed |
//! | [`report`], [`mask`] | what a program reports about its run; values of Secrets in texts |
//! | [`mod@reference`] | references in a target, and their values |
//! | [`run`] | runs and their states |
//! | [`index`] | dependencies and templates of all tasks |
//! | [`board`] | which open runs may start |
//! | [`request`], [`backfill`] | runs that users request |
//! | [`retention`] | how long ended runs are kept |

pub mod attempt;
pub mod backfill;
pub mod board;
pub mod definition;
mod duration;
pub mod engine;
pub mod event;
pub mod event_plan;
pub mod event_trigger;
pub mod failure_action;
mod governed;
pub mod http;
pub mod index;
pub mod job;
pub mod job_event;
pub mod mask;
pub mod observation;
pub mod permission;
pub mod planning;
pub mod pod;
pub mod reference;
pub mod report;
pub mod request;
pub mod retention;
pub mod retry;
pub mod rights;
pub mod run;
pub mod schedule;
pub mod status;
pub mod tenant_rules;
#[cfg(test)]
pub(crate) mod testing;
mod timing;
pub mod validate;
pub mod work;

pub use attempt::{AttemptEnd, AttemptResult};
pub use definition::{Definition, Target};
pub use index::TaskIndex;
pub use job_event::JobEvent;
pub use mask::Mask;
pub use report::Report;
pub use retry::RetryPlan;
pub use run::{Attempt, Executor, NewRun, Outcome, Run, RunId, RunState, TaskKey, Trigger};
pub use tenant_rules::TaskRules;
pub use timing::Timing;
pub use timing::read as read_timing;
pub use validate::{Neighbours, validate, validate_template};
pub use work::Work;
