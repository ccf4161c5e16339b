//! The audit log on PostgreSQL and SQLite.
//!
//! - [`database`]: a separate database for each test, and SQL without the store; [`journal`]: writes and verifies logs.
//! - [`behaviour`]: reading, searching and proving records. [`v0`]: data of the version before the redesign.
//! - [`tamper`]: tampering with a database is detected and described; [`derived`]: that with values derived from the records.
//! - [`crash`]: databases and writers are killed at random moments without losing acknowledged records.
//! - [`runs`]: the run log and the work queue of tasks.
//! - [`replica`]: concurrent replicas. [`outage`]: outages of the database. [`tls`]: PostgreSQL with TLS.

mod behaviour;
mod crash;
pub(crate) mod database;
mod derived;
mod journal;
mod outage;
mod replica;
mod runs;
mod tamper;
mod tls;
mod v0;

/// Runs functions as tests with both databases.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(crate::store::database::TestDatabase::postgres()?).await
                }
            )*
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(crate::store::database::TestDatabase::sqlite()?).await
                }
            )*
        }
    };
}

pub(crate) use on_both;
