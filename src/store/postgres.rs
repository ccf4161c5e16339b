//! Connections to PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use url::Url;

use super::Error;
use super::migration::{self, MIGRATING};

/// Connections of one process: one writes, the others read.
const CONNECTIONS: u32 = 8;
/// How long a connection is waited for, a new one included.
const ACQUIRE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(300);

/// What the server is told first on each connection: nothing runs, or waits for a lock, for ever, and plans are made for the
/// values that are asked for, because one log has many records and another few. To compile a statement takes longer than
/// any of ours. It is not told among the options of the connection, which a PgBouncer between would refuse.
const SETTINGS: &str = "SELECT set_config(name, value, false) FROM (VALUES ('jit', 'off'), ('statement_timeout', '15s'), \
     ('lock_timeout', '5s'), ('idle_in_transaction_session_timeout', '15s'), ('plan_cache_mode', 'force_custom_plan'), \
     ('client_min_messages', 'warning'), ('timezone', 'UTC')) AS settings (name, value)";

pub(super) fn open(url: &str) -> Result<PgPool, Error> {
    read_files(url)?;
    let options: PgConnectOptions =
        url.parse().map_err(Error::driver("reading the address of the database"))?;
    // What is asked for may be personal.
    let options = options.application_name("eventcenter").disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE)
        .after_connect(|connection, _| Box::pin(settle(connection)))
        .connect_lazy_with(options))
}

/// Whether the certificates and keys that an address names can be read: the driver looks for them at each connection, and
/// does not say which of them is missing.
fn read_files(url: &str) -> Result<(), Error> {
    const NAMES: [&str; 7] =
        ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];
    // What is no address is refused in the driver's words.
    let Ok(address) = Url::parse(url) else { return Ok(()) };
    for (name, value) in address.query_pairs() {
        // It may stand there itself.
        if NAMES.contains(&&*name) && !value.trim_start().starts_with("-----BEGIN") {
            std::fs::read(&*value)
                .map_err(|source| Error::File { what: format!("reading {name}={value}"), source })?;
        }
    }
    Ok(())
}

async fn settle(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(SETTINGS).persistent(false).execute(connection).await.map(drop)
}

/// In a connection of its own: the lock goes with it, whatever happens, and it may take longer than other statements.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let options = pool.connect_options();
    let mut connection = tokio::time::timeout(ACQUIRE, options.connect())
        .await
        .map_err(|late| Error::away(MIGRATING, late))?
        .map_err(Error::driver(MIGRATING))?;
    settle(&mut connection).await.map_err(Error::driver(MIGRATING))?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut connection)
        .await
        .map_err(Error::driver(MIGRATING))?;
    let done = sqlx::migrate!("migrations/postgres").run_direct(None, &mut connection, false).await;
    // What is not said in time is said by the end of the connection.
    let _ = tokio::time::timeout(ACQUIRE, connection.close()).await;
    done.map_err(migration::failure)
}
