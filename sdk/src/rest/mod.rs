//! The REST API's wire types: what the server writes and its clients read.
//!
//! Each type is here once; the server, `eventctl` and other clients use the same. Their JSON is the contract described by
//! `/api/openapi.json`. With the feature `openapi` they derive the schemas of that document; only the server enables it.
//!
//! Readers ignore unknown fields, and enumerations that may grow (actions, reasons) are strings, so that an older client reads
//! the answers of a newer server.

pub mod audit;
mod response;
pub mod schedule;

pub use response::{ErrorDetails, ErrorResponse, Response};
