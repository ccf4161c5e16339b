//! The audit log on the real databases: the same on PostgreSQL and on SQLite.
//!
//! - [`place`]: a database of a test's own, and SQL behind the product's back; [`keeper`]: writing and verifying, with few
//!   words.
//! - [`behaviour`]: what is written is found, by whoever may ask, and can be proved.
//! - [`tamper`]: what somebody did to a database is found and named.
//! - [`crash`]: databases and writers are killed at random moments, and nothing that was acknowledged is missing.
//! - [`replica`]: several write one log at once. [`away`]: the database does not answer for a while. [`tls`]: it is reached by
//!   TLS.

mod away;
mod behaviour;
mod crash;
mod keeper;
mod place;
mod replica;
mod tamper;
mod tls;

/// Runs each of these functions on both databases.
macro_rules! on_both {
    ($($name:ident,)*) => {
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(crate::store::place::Place::postgres()?).await
                }
            )*
        }

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(crate::store::place::Place::sqlite()?).await
                }
            )*
        }
    };
}

use on_both;
