//! `/api/schedule` of a process of the role `api`, on the API server with the webhook. The controllers of tasks do not take part:
//! ended runs are inserted into the database before the process starts.

mod backfill;
pub(crate) mod fixture;
mod nodes;
mod request;
mod runs;
mod tasks;
