//! Errors of migrations.

use sqlx::migrate::MigrateError;

use super::Error;

pub(super) const MIGRATING: &str = "migrating the database";

/// The database has a migration of a newer version.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database was migrated by a newer version of eventcenter (migration {0} is unknown to this version): run that \
     version, or restore a backup from before that migration"
)]
struct NewerVersion(i64);

/// A migration differs from the one that was applied.
#[derive(Debug, thiserror::Error)]
#[error(
    "migration {0} of the database differs from that of this version: run the version that applied it, or restore a backup"
)]
struct ChangedMigration(i64);

pub(super) fn classify(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMissing(version) => {
            Error::Rejected { operation: MIGRATING, source: NewerVersion(version).into() }
        }
        MigrateError::VersionMismatch(version) => {
            Error::Rejected { operation: MIGRATING, source: ChangedMigration(version).into() }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Error::driver(MIGRATING)(error)
        }
        other => Error::Rejected { operation: MIGRATING, source: other.into() },
    }
}
