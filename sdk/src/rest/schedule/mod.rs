//! ScheduledTasks, their runs, and the replicas that execute them.
//!
//! A run is an entry of the job log: one execution of a task, or the record why it was not executed.

mod node;
mod request;
mod run;
mod task;
mod task_id;

pub use node::{Node, NodeStatus, Nodes};
pub use request::{
    Backfill, BackfillAction, BackfillRequest, BackfillTime, CancelResult, Cancellation, NewTask,
    NewTaskMetadata, TaskAction, TaskPatch, TaskReplacement, TriggerRequest, Triggered,
};
pub use run::{Attempt, Run, RunDetail, RunFilter, RunPage, RunTrigger};
pub use task::{DeletedTask, Task, TaskFilter, TaskPage};
pub use task_id::{InvalidTaskId, TaskId};
