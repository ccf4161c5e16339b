//! The audit log.
//!
//! - `admission`: the records of admission decisions.
//! - `archive`: a database, an export, keys and checkpoints, to tamper with.
//! - `command_line`: `eventctl audit` on databases and exports.
//! - `forgery`: attacks by somebody who knows what `eventctl audit verify` compares.
//! - `platform`: the records of the operator's own Leases, certificates and keys.

mod admission;
mod archive;
mod command_line;
mod forgery;
mod platform;
