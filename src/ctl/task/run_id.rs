//! The id of a run as an argument.

use uuid::Uuid;

/// Parses the id of a run.
pub(super) fn parse_run_id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| "write the id of a run, a UUID as `eventctl task runs` lists it".to_owned())
}
