//! Four eyes: what needs approval waits, and every way around it that was thought of.
//!
//! - `access`: who is let in, and who stays let in, while a change waits.
//! - `admission`: who may ask and who may decide.
//! - `command_line`: `eventctl`, and the same as a plugin of kubectl.
//! - `crash`: kills between any two effects, and what is done while nobody looks.
//! - `hold`: what the operator does with what is signed, and with what is not.
//! - `journey`: the same on all parts together.
//! - `policy`: what the API server keeps while no webhook is installed.
//! - `team`: a tenant with rules, and the people of these tests.

mod access;
mod admission;
mod command_line;
mod crash;
mod hold;
mod journey;
mod policy;
mod team;
