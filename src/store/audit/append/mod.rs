//! Writing records: their places, hashes and rows, in one transaction for all of a group.

mod entry;
mod layout;
mod postgres;
mod sqlite;

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Connection;

pub(in crate::store) use entry::Entry;
use layout::Layout;

use crate::domain::audit::LogName;
use crate::store::Error;
use crate::store::database::Database;

const WRITING: &str = "writing the audit log";

/// How long a server may take for a group. What is slow must not be tried again and again.
const LONGEST: Duration = Duration::from_secs(10);

/// Entries by log. All writers take logs in this order, so that none waits for another in a circle.
type ByLog<'a> = BTreeMap<&'a LogName, Vec<&'a Entry>>;

/// Writes a group; all of it is durable when this returns, or nothing is known of it: then the group is `repeated`, and what
/// is there already is not written once more. Says which logs have another complete segment now.
pub(in crate::store) async fn append(
    database: &Database,
    group: &[&Entry],
    is_repeated: bool,
) -> Result<Vec<LogName>, Error> {
    let mut logs: ByLog<'_> = BTreeMap::new();
    group.iter().for_each(|entry| logs.entry(entry.log()).or_default().push(entry));
    match database {
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await.map_err(Error::driver(WRITING))?;
            let writing = write_postgres(&mut connection, logs, is_repeated);
            let written = tokio::time::timeout(LONGEST, writing).await;
            let written = written.unwrap_or_else(|late| Err(Error::away(WRITING, late)));
            if matches!(written, Err(Error::Away { .. })) {
                // Nobody knows in which state it is.
                connection.close_on_drop();
            }
            written
        }
        Database::Sqlite(file) => {
            let bytes = group.iter().map(|entry| entry.size() as u64).sum();
            let mut connection = file.writer().acquire().await.map_err(Error::driver(WRITING))?;
            file.shorten(&mut connection).await.map_err(Error::driver(WRITING))?;
            let completed = write_sqlite(&mut connection, logs, is_repeated).await?;
            file.written(bytes);
            Ok(completed)
        }
    }
}

async fn write_postgres(
    connection: &mut sqlx::PgConnection,
    mut logs: ByLog<'_>,
    is_repeated: bool,
) -> Result<Vec<LogName>, Error> {
    let mut transaction = connection.begin().await.map_err(Error::driver(WRITING))?;
    let tails = postgres::lock(&mut transaction, &logs).await?;
    if is_repeated {
        postgres::leave_out_known(&mut transaction, &mut logs).await?;
    }
    let layout = Layout::of(tails, &logs);
    postgres::insert(&mut transaction, &layout).await?;
    transaction.commit().await.map_err(Error::driver(WRITING))?;
    Ok(layout.completed())
}

/// Each question wakes the thread of the connection, which for a record alone takes longer than everything else. So the transaction
/// begins with the first one and ends with the last.
async fn write_sqlite(
    connection: &mut sqlx::SqliteConnection,
    logs: ByLog<'_>,
    is_repeated: bool,
) -> Result<Vec<LogName>, Error> {
    let written = transact_sqlite(connection, logs, is_repeated).await;
    if written.is_err() {
        // It has not begun, or it has to end. If that fails as well, the next one cannot begin, and ends it.
        sqlite::roll_back(connection).await;
    }
    written
}

async fn transact_sqlite(
    connection: &mut sqlx::SqliteConnection,
    mut logs: ByLog<'_>,
    is_repeated: bool,
) -> Result<Vec<LogName>, Error> {
    let tails = sqlite::begin(connection, &logs).await?;
    if is_repeated {
        sqlite::leave_out_known(connection, &mut logs).await?;
    }
    let layout = Layout::of(tails, &logs);
    sqlite::insert_and_commit(connection, &layout).await?;
    Ok(layout.completed())
}
