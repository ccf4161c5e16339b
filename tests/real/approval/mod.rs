//! Four eyes: what needs approval waits, and every way around it that was thought of.
//!
//! - `access`: who is let in, and who stays let in, while a change waits.
//! - `admission`: who may ask and who may decide.
//! - `around`: making a resource again, leaving it to others, deleting it.
//! - `command_line`: `eventctl`, and the same as a plugin of kubectl.
//! - `crash`: kills between any two effects, and what is done while nobody looks.
//! - `forged`: what is not signed.
//! - `hold`: what waits, and what takes effect.
//! - `journey`: the same on all parts together.
//! - `people`: who counts, and for how long.
//! - `policy`: what the API server keeps while no webhook is installed.
//! - `removal`: what data goes, and who has to agree before.
//! - `shop`: a tenant with rules, and a test in the webhook's place.
//! - `team`: a tenant with rules, and the people of these tests.

mod access;
mod admission;
mod around;
mod command_line;
mod crash;
mod forged;
mod hold;
mod journey;
mod people;
mod policy;
mod removal;
mod shop;
mod team;
