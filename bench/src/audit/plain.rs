//! The baseline: the same rows in the same database, without hashes, logs and waiting writers.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use eventcenter::domain::audit::canonical_json;
use eventcenter::store::StoreUrl;
use futures::TryStreamExt;
use jiff::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Row};
use uuid::Uuid;

use super::event;
use crate::protocol::{Message, Report};

enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn connect(url: &StoreUrl) -> Result<Self> {
        Ok(match url {
            StoreUrl::Sqlite(file) => {
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full);
                Self::Sqlite(SqliteConnection::connect_with(&options).await.context("opening the file")?)
            }
            StoreUrl::Postgres(url) => {
                Self::Postgres(PgConnection::connect(url).await.context("connecting to PostgreSQL")?)
            }
        })
    }

    /// Inserts rows in one transaction.
    async fn insert(&mut self, bodies: &[String]) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let mut transaction = connection.begin().await?;
                for body in bodies {
                    let insert = sqlx::query("INSERT INTO plain (body) VALUES (?)").bind(body);
                    insert.execute(&mut *transaction).await?;
                }
                transaction.commit().await?;
            }
            Self::Postgres(connection) => {
                let insert =
                    sqlx::query("INSERT INTO plain (body) SELECT * FROM unnest($1::text[])").bind(bodies);
                insert.execute(connection).await?;
            }
        }
        Ok(())
    }
}

/// Inserts rows with one connection, as many per transaction as there would be writers.
pub(crate) async fn insert(url: &StoreUrl, records: u32, batch: u32) -> Result<Report> {
    let mut database = Database::connect(url).await?;
    match &mut database {
        Database::Sqlite(connection) => {
            let table = sqlx::query("CREATE TABLE plain (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)");
            table.execute(connection).await?;
        }
        Database::Postgres(connection) => {
            let table = sqlx::query("CREATE TABLE plain (seq bigserial PRIMARY KEY, body text NOT NULL)");
            table.execute(connection).await?;
        }
    }
    let log = event::log(0)?;
    let now = Timestamp::now();
    let body = |number: u32| {
        let (event, _) = event::event(number, log.clone());
        let draft = event.into_draft(Uuid::from_u128(number.into()), now, "webhook", "bench");
        String::from_utf8(canonical_json(&draft.at_seq(number.into()))).context("JSON is UTF-8")
    };
    let batches: Vec<_> = (0..records).step_by(usize::try_from(batch)?).collect();
    let start = crate::protocol::ready().await?;
    let (mut preparing, mut shown) = (Duration::ZERO, start);
    for from in batches {
        let to = records.min(from + batch);
        let before = std::time::Instant::now();
        let bodies = (from..to).map(body).collect::<Result<Vec<_>>>()?;
        preparing += before.elapsed();
        database.insert(&bodies).await?;
        if shown.elapsed() > Duration::from_millis(500) {
            shown = std::time::Instant::now();
            Message::Progress { sent: to, done: to }.print()?;
        }
    }
    // Only the time of the database counts.
    let wall = (start.elapsed() - preparing).as_secs_f64();
    Ok(Report {
        wall_seconds: wall,
        written_seconds: wall,
        count: records,
        done: records,
        ..Report::default()
    })
}

/// Reads the bodies of all records of the log, by position.
pub(crate) async fn scan(url: &StoreUrl) -> Result<Report> {
    let mut database = Database::connect(url).await?;
    let log = event::log(0)?;
    let start = crate::protocol::ready().await?;
    let (mut records, mut bytes) = (0_u32, 0_usize);
    match &mut database {
        Database::Sqlite(connection) => {
            let select =
                sqlx::query("SELECT body FROM audit_record WHERE log = ? ORDER BY seq").bind(log.as_str());
            let mut rows = select.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                bytes += row.try_get::<&str, _>(0)?.len();
                records += 1;
            }
        }
        Database::Postgres(connection) => {
            let select =
                sqlx::query("SELECT body FROM audit_record WHERE log = $1 ORDER BY seq").bind(log.as_str());
            let mut rows = select.fetch(connection);
            while let Some(row) = rows.try_next().await? {
                bytes += row.try_get::<&str, _>(0)?.len();
                records += 1;
            }
        }
    }
    if bytes == 0 {
        bail!("there are no records");
    }
    let wall = start.elapsed().as_secs_f64();
    Ok(Report {
        wall_seconds: wall,
        written_seconds: wall,
        count: records,
        done: records,
        ..Report::default()
    })
}
