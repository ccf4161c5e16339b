//! Connections to PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

use super::Error;
use super::migration::{self, MIGRATING};

/// Connections of one process: one writes, the others read.
const CONNECTIONS: u32 = 8;
/// How long a connection is waited for, a new one included.
const ACQUIRE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(300);

/// What the server is told of each connection: nothing runs, or waits for a lock, for ever, and plans are made for the
/// values that are asked for, because one log has many records and another few. To compile a statement takes longer than
/// any of ours.
const SETTINGS: [(&str, &str); 7] = [
    ("jit", "off"),
    ("statement_timeout", "15s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "15s"),
    ("plan_cache_mode", "force_custom_plan"),
    ("client_min_messages", "warning"),
    ("timezone", "UTC"),
];

pub(super) fn open(url: &str) -> Result<PgPool, Error> {
    let options: PgConnectOptions =
        url.parse().map_err(Error::driver("reading the address of the database"))?;
    // What is asked for may be personal.
    let options = options.application_name("eventcenter").options(SETTINGS).disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .connect_lazy_with(options))
}

/// In a connection of its own: the lock goes with it, whatever happens, and it may take longer than other statements.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let options = pool.connect_options();
    let mut connection = tokio::time::timeout(ACQUIRE, options.connect())
        .await
        .map_err(|late| Error::away(MIGRATING, late))?
        .map_err(Error::driver(MIGRATING))?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut connection)
        .await
        .map_err(Error::driver(MIGRATING))?;
    let done = sqlx::migrate!("migrations/postgres").run_direct(None, &mut connection, false).await;
    // What is not said in time is said by the end of the connection.
    let _ = tokio::time::timeout(ACQUIRE, connection.close()).await;
    done.map_err(migration::failure)
}
