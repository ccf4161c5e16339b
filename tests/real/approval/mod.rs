//! Approvals: governed changes stay pending until they are approved, and every known bypass.
//!
//! - `access`: ACLs while a change is pending.
//! - `admission`: who may request and who may decide.
//! - `approvers`: whose approvals count, and for how long.
//! - `author`: who counts as the author of a change.
//! - `bypass`: a recreated, unmanaged, paused or deleted resource.
//! - `command_line`: `eventctl`, and the same program as a plugin of kubectl.
//! - `deleter`: deletions through the garbage collector, a robot or a terminating resource; withdrawn decisions.
//! - `fixture`: a tenant with rules, where the test signs in the webhook's place.
//! - `forged`: decisions and statuses that are not signed.
//! - `hold`: what is pending and what takes effect.
//! - `journey`: whole workflows on all parts together.
//! - `pipeline`: the recipe that sets the author from the Git history.
//! - `removal`: deletions of data.
//! - `signing_key`: the key that signs requests and decisions.
//! - `team`: a tenant with rules behind the webhook, and its users.

mod access;
mod admission;
mod approvers;
mod author;
mod bypass;
mod command_line;
mod deleter;
mod fixture;
mod forged;
mod hold;
mod journey;
mod pipeline;
mod removal;
mod signing_key;
mod team;
