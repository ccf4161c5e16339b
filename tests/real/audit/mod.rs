//! The audit log.
//!
//! - `admission`: the records of admission decisions.
//! - `command_line`: `eventctl audit` on databases and exports.
//! - `platform`: the records of the operator's own Leases, certificates and keys.

mod admission;
mod command_line;
mod platform;
