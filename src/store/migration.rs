//! Bringing tables to the form that this version needs.

use sqlx::migrate::MigrateError;

use super::Error;

pub(super) const MIGRATING: &str = "migrating the database";

/// A newer version has been here.
#[derive(Debug, thiserror::Error)]
#[error(
    "a newer version of eventcenter has used this database (it has migration {0}, which this version does not know); run that \
     version, or restore a backup that was made before it"
)]
struct Newer(i64);

/// A migration is not what it was when it was run.
#[derive(Debug, thiserror::Error)]
#[error(
    "migration {0} of this database was another one than that of this version; restore a backup, or run the version it is of"
)]
struct Other(i64);

pub(super) fn failure(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => {
            Error::Refused { what: MIGRATING, source: Newer(version).into() }
        }
        MigrateError::VersionMismatch(version) => {
            Error::Refused { what: MIGRATING, source: Other(version).into() }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Error::driver(MIGRATING)(error)
        }
        other => Error::Refused { what: MIGRATING, source: other.into() },
    }
}
