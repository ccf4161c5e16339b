//! Connections to PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use url::Url;

use super::Error;
use super::migration::{self, MIGRATING};

/// Maximum number of connections of a process: one writes, the others read.
const MAX_CONNECTIONS: u32 = 8;
/// Maximum time to acquire a connection, including opening one.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Settings of each session. Statements and lock waits have timeouts. Plans depend on the arguments, because the sizes of logs
/// differ by orders of magnitude. JIT compilation would take longer than any of our statements. They are not options of the
/// connection, because a PgBouncer would reject these.
const SESSION_SETTINGS: &str = "SELECT set_config(name, value, false) FROM (VALUES ('jit', 'off'), ('statement_timeout', '15s'), \
     ('lock_timeout', '5s'), ('idle_in_transaction_session_timeout', '15s'), ('plan_cache_mode', 'force_custom_plan'), \
     ('client_min_messages', 'warning'), ('timezone', 'UTC')) AS settings (name, value)";

pub(super) fn open(url: &str) -> Result<PgPool, Error> {
    check_tls_files(url)?;
    let options: PgConnectOptions =
        url.parse().map_err(Error::driver("reading the address of the database"))?;
    // Statements contain personal data.
    let options = options.application_name("eventcenter").disable_statement_logging();
    Ok(PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(configure_session(connection)))
        .connect_lazy_with(options))
}

/// Checks that the certificates and keys named in a URL are readable. The driver reads them for each connection, and its errors do
/// not name the file.
fn check_tls_files(url: &str) -> Result<(), Error> {
    const NAMES: [&str; 7] =
        ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];
    // The driver reports malformed URLs.
    let Ok(address) = Url::parse(url) else { return Ok(()) };
    for (name, value) in address.query_pairs() {
        // The value may be the PEM text itself.
        if NAMES.contains(&&*name) && !value.trim_start().starts_with("-----BEGIN") {
            std::fs::read(&*value)
                .map_err(|source| Error::File { operation: format!("reading {name}={value}"), source })?;
        }
    }
    Ok(())
}

async fn configure_session(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(SESSION_SETTINGS).persistent(false).execute(connection).await.map(drop)
}

/// Migrates on a separate connection: closing it always releases the lock, and it has no statement timeout.
pub(super) async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let options = pool.connect_options();
    let mut connection = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect())
        .await
        .map_err(|late| Error::unavailable(MIGRATING, late))?
        .map_err(Error::driver(MIGRATING))?;
    configure_session(&mut connection).await.map_err(Error::driver(MIGRATING))?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut connection)
        .await
        .map_err(Error::driver(MIGRATING))?;
    let migrated = sqlx::migrate!("migrations/postgres").run_direct(None, &mut connection, false).await;
    // After a timeout the connection is dropped.
    let _ = tokio::time::timeout(ACQUIRE_TIMEOUT, connection.close()).await;
    migrated.map_err(migration::classify)
}
