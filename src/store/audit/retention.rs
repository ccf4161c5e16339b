//! Dropping records that have become old.

use jiff::Timestamp;

use super::posting::SEGMENT;
use super::record::count;
use super::{Audit, BLOCK, signed};
use crate::domain::audit::LogName;
use crate::store::Error;
use crate::store::database::{snapshot, writing};

const LOOKING: &str = "looking for old records of the audit log";
const DROPPING: &str = "dropping old records of the audit log";

/// Records that one transaction drops, so that none takes long.
const BATCH: u64 = 4 * BLOCK;

impl Audit {
    /// How many records, from the beginning of the log, were written before a time; none of those after the first that was
    /// written later. Those that were dropped count: it is the place up to which records may be dropped.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn older_than(&self, log: &LogName, time: Timestamp) -> Result<u64, Error> {
        // The first block with a record that is not older, then the first such record from there on.
        const BLOCKS: &str =
            "SELECT MIN(idx) FROM audit_node WHERE log = $1 AND level = 8 AND idx >= $2 AND latest >= $3";
        const RECORDS: &str =
            "SELECT seq FROM audit_record WHERE log = $1 AND seq >= $2 AND time >= $3 ORDER BY seq LIMIT 1";
        let head = self.head(log).await?;
        let time = time.as_microsecond();
        let found: Option<i64> = snapshot!(&self.database, LOOKING, transaction => {
            let block: Option<i64> = sqlx::query_scalar(BLOCKS)
                .bind(log.as_str())
                .bind(signed(head.first / BLOCK))
                .bind(time)
                .fetch_one(&mut *transaction)
                .await
                .map_err(Error::driver(LOOKING))?;
            // None of the whole blocks: then one of those after them.
            let from = block.map_or(head.size / BLOCK * BLOCK, |block| count(block, LOOKING).unwrap_or(0) * BLOCK);
            sqlx::query_scalar(RECORDS)
                .bind(log.as_str())
                .bind(signed(from.max(head.first)))
                .bind(time)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(Error::driver(LOOKING))?
        });
        found.map_or(Ok(head.size), |seq| count(seq, LOOKING))
    }

    /// Drops records before a place, as far as whole nodes of them are kept, and says where the log begins now. The nodes
    /// stay.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn drop_before(&self, log: &LogName, seq: u64) -> Result<u64, Error> {
        let head = self.head(log).await?;
        let until = seq.min(head.size) / BLOCK * BLOCK;
        let mut first = head.first;
        while first < until {
            let next = until.min(first + BATCH);
            first = match self.drop_some(log, first, next).await? {
                true => next,
                false => self.moved(log, first).await?,
            };
        }
        Ok(first)
    }

    /// Where the log begins after somebody else was faster.
    async fn moved(&self, log: &LogName, first: u64) -> Result<u64, Error> {
        let head = self.head(log).await?;
        let why = || format!("records of the log {log} are missing after {first}");
        (head.first > first)
            .then_some(head.first)
            .ok_or_else(|| Error::Damaged { what: DROPPING, why: why() })
    }

    /// Records and the note of where the log begins go together.
    async fn drop_some(&self, log: &LogName, from: u64, until: u64) -> Result<bool, Error> {
        // The chain is that up to the last record that goes. Whoever was faster has moved the beginning: then nothing is done.
        const BEGIN: &str = "UPDATE audit_head SET first = $3, first_chain = \
             (SELECT chain FROM audit_record WHERE log = $1 AND seq = $3 - 1) WHERE log = $1 AND first = $2 \
             AND EXISTS (SELECT 1 FROM audit_record WHERE log = $1 AND seq = $3 - 1)";
        const DROP: &str = "DELETE FROM audit_record WHERE log = $1 AND seq < $2";
        const FORGET: &str = "DELETE FROM audit_posting WHERE log = $1 AND segment < $2";
        writing!(&self.database, pool => {
            let mut transaction = pool.begin().await.map_err(Error::driver(DROPPING))?;
            let begun = sqlx::query(BEGIN)
                .bind(log.as_str())
                .bind(signed(from))
                .bind(signed(until))
                .execute(&mut *transaction)
                .await
                .map_err(Error::driver(DROPPING))?;
            if begun.rows_affected() == 1 {
                for (drop, before) in [(DROP, until), (FORGET, until / SEGMENT)] {
                    sqlx::query(drop)
                        .bind(log.as_str())
                        .bind(signed(before))
                        .execute(&mut *transaction)
                        .await
                        .map_err(Error::driver(DROPPING))?;
                }
            }
            transaction.commit().await.map_err(Error::driver(DROPPING))?;
            Ok(begun.rows_affected() == 1)
        })
    }
}
