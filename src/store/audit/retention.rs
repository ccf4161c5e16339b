//! Drops old records.

use jiff::Timestamp;

use super::convert::to_i64;
use super::log::{Audit, BLOCK_RECORDS, Head, StoredRecord};
use crate::domain::audit::drop::DroppedRecords;
use crate::domain::audit::merkle::{Hash, Range};
use crate::domain::audit::verify::{Columns, SEGMENT_RECORDS};
use crate::domain::audit::{Action, Filter, LogName};
use crate::store::Error;
use crate::store::database::writing;

const FINDING: &str = "finding old records of the audit log";
const DROPPING: &str = "dropping old records of the audit log";

/// Number of records that are read at once: whole blocks, because a log begins with a block.
const MAX_SCANNED_RECORDS: usize = 4 * BLOCK_RECORDS as usize;

/// Number of records of drops that are read at once.
const DROPS_PER_PAGE: usize = 50;

/// Number of records that a transaction drops, to keep it short.
const BATCH_RECORDS: u64 = 4 * BLOCK_RECORDS;

impl Audit {
    /// Returns the position of the first record that is not older than a time, or the size of the log: records before it may be
    /// dropped. Reads the records themselves and compares them with the stored nodes: a column of times that was changed does
    /// not cause the drop of younger records.
    ///
    /// # Errors
    /// The database is unavailable, or records do not match their nodes.
    pub async fn find_first_since(&self, log: &LogName, time: Timestamp) -> Result<u64, Error> {
        let Head { size, first, .. } = self.read_head(log).await?;
        let time = time.as_microsecond();
        let mut start = first;
        // Usually the first record is not older yet.
        let mut limit = 1;
        while start < size {
            let rows = self.read_rows(log, start, limit).await?;
            let mut older = Range::empty(start);
            let mut blocks = older.clone();
            for row in rows.iter().filter(|row| row.seq < size) {
                // A missing record ends the search.
                if row.seq != older.end() || time_of(&row.body, row.seq)? >= time {
                    break;
                }
                older.push(Hash::leaf(&row.body), |_, _| {});
                if older.end().is_multiple_of(BLOCK_RECORDS) {
                    blocks = older.clone();
                }
            }
            if blocks != self.read_range(log, start, blocks.end()).await? {
                let last = blocks.end() - 1;
                let problem = format!("records {start} to {last} of the log {log} do not match their nodes");
                return Err(Error::Corrupt { operation: FINDING, problem });
            }
            if older.end() - start < limit as u64 {
                return Ok(older.end());
            }
            if limit == MAX_SCANNED_RECORDS {
                start = older.end();
            }
            limit = MAX_SCANNED_RECORDS;
        }
        Ok(size)
    }

    /// Finds the oldest record which shows that the retention dropped the records before a position.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn find_drop(&self, log: &LogName, first: u64) -> Result<Option<StoredRecord>, Error> {
        let filter = Filter { action: Some(Action::DropRecords.to_string()), ..Filter::default() };
        let (mut found, mut before) = (None, None);
        loop {
            let page = self.list_backward(log, &filter, before, DROPS_PER_PAGE).await?;
            for stored in page.records {
                match DroppedRecords::parse(&stored.record) {
                    Some(dropped) if dropped.until >= first => found = Some(stored),
                    // Older drops have ended before it as well.
                    Some(_) => return Ok(found),
                    None => {}
                }
            }
            before = page.next;
            if before.is_none() {
                return Ok(found);
            }
        }
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

/// The time in a record, in microseconds since 1970.
fn time_of(body: &[u8], seq: u64) -> Result<i64, Error> {
    let parsed = Columns::parse(body).map_err(|error| Error::Corrupt {
        operation: FINDING,
        problem: format!("record {seq} cannot be read: {error}"),
    })?;
    Ok(parsed.time)
}
