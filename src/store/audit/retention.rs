//! Drops old records.

use jiff::Timestamp;

use super::convert::{to_i64, to_u64};
use super::log::{Audit, BLOCK_RECORDS};
use crate::domain::audit::LogName;
use crate::domain::audit::verify::SEGMENT_RECORDS;
use crate::store::Error;
use crate::store::database::{snapshot, writing};

const FINDING: &str = "finding old records of the audit log";
const DROPPING: &str = "dropping old records of the audit log";

/// Number of records that a transaction drops, to keep it short.
const BATCH_RECORDS: u64 = 4 * BLOCK_RECORDS;

impl Audit {
    /// Returns the position of the first record that is not older than a time, or the size of the log: records before it may be
    /// dropped.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn find_first_since(&self, log: &LogName, time: Timestamp) -> Result<u64, Error> {
        // First the block of that record, then the record.
        const BLOCKS: &str =
            "SELECT MIN(idx) FROM audit_node WHERE log = $1 AND level = 8 AND idx >= $2 AND latest >= $3";
        const RECORDS: &str =
            "SELECT seq FROM audit_record WHERE log = $1 AND seq >= $2 AND time >= $3 ORDER BY seq LIMIT 1";
        let head = self.read_head(log).await?;
        let time = time.as_microsecond();
        let found: Option<i64> = snapshot!(&self.database, FINDING, transaction => {
            let block: Option<i64> = sqlx::query_scalar(BLOCKS)
                .bind(log.as_str())
                .bind(to_i64(head.first / BLOCK_RECORDS))
                .bind(time)
                .fetch_one(&mut *transaction)
                .await
                .map_err(Error::driver(FINDING))?;
            // Without such a block the record is after the last complete block.
            let from = block.map_or(head.size / BLOCK_RECORDS * BLOCK_RECORDS, |block| to_u64(block, FINDING).unwrap_or(0) * BLOCK_RECORDS);
            sqlx::query_scalar(RECORDS)
                .bind(log.as_str())
                .bind(to_i64(from.max(head.first)))
                .bind(time)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(Error::driver(FINDING))?
        });
        found.map_or(Ok(head.size), |seq| to_u64(seq, FINDING))
    }

    /// Drops complete blocks of records before a position, and returns the first remaining record. The nodes of dropped records
    /// are kept.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn drop_before(&self, log: &LogName, seq: u64) -> Result<u64, Error> {
        let head = self.read_head(log).await?;
        let until = seq.min(head.size) / BLOCK_RECORDS * BLOCK_RECORDS;
        let mut first = head.first;
        while first < until {
            let next = until.min(first + BATCH_RECORDS);
            first = match self.drop_batch(log, first, next).await? {
                true => next,
                false => self.read_moved_first(log, first).await?,
            };
        }
        Ok(first)
    }

    /// Reads the first record after another process dropped records.
    async fn read_moved_first(&self, log: &LogName, first: u64) -> Result<u64, Error> {
        let head = self.read_head(log).await?;
        let problem = || format!("records of the log {log} are missing after {first}");
        (head.first > first)
            .then_some(head.first)
            .ok_or_else(|| Error::Corrupt { operation: DROPPING, problem: problem() })
    }

    /// Drops a batch in one transaction. Returns false if another process dropped records before.
    async fn drop_batch(&self, log: &LogName, from: u64, until: u64) -> Result<bool, Error> {
        // `first_chain` is the chain of the last dropped record.
        const MOVE_FIRST: &str = "UPDATE audit_head SET first = $3, first_chain = \
             (SELECT chain FROM audit_record WHERE log = $1 AND seq = $3 - 1) WHERE log = $1 AND first = $2 \
             AND EXISTS (SELECT 1 FROM audit_record WHERE log = $1 AND seq = $3 - 1)";
        const DELETE_RECORDS: &str = "DELETE FROM audit_record WHERE log = $1 AND seq < $2";
        const DELETE_POSTINGS: &str = "DELETE FROM audit_posting WHERE log = $1 AND segment < $2";
        writing!(&self.database, pool => {
            let mut transaction = pool.begin().await.map_err(Error::driver(DROPPING))?;
            let moved = sqlx::query(MOVE_FIRST)
                .bind(log.as_str())
                .bind(to_i64(from))
                .bind(to_i64(until))
                .execute(&mut *transaction)
                .await
                .map_err(Error::driver(DROPPING))?;
            if moved.rows_affected() == 1 {
                for (delete, before) in [(DELETE_RECORDS, until), (DELETE_POSTINGS, until / SEGMENT_RECORDS)] {
                    sqlx::query(delete)
                        .bind(log.as_str())
                        .bind(to_i64(before))
                        .execute(&mut *transaction)
                        .await
                        .map_err(Error::driver(DROPPING))?;
                }
            }
            transaction.commit().await.map_err(Error::driver(DROPPING))?;
            Ok(moved.rows_affected() == 1)
        })
    }
}
