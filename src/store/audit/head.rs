//! Reads the ends of logs.

use super::convert::{to_hash, to_u64};
use super::log::{Audit, Head};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Range};
use crate::domain::audit::verify::StoredEnd;
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading the end of the audit log";

/// The columns of `audit_head`.
type HeadRow = (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, Option<i64>, Option<i64>);

/// The hash chain before the first record.
const INITIAL_CHAIN: Hash = Hash([0; 32]);

impl Head {
    pub(super) fn empty() -> Self {
        Self { size: 0, first: 0, range: Range::empty(0), chain: INITIAL_CHAIN }
    }

    pub(super) fn from_columns(size: i64, first: i64, chain: &[u8], hashes: &[u8]) -> Result<Self, Error> {
        let size = to_u64(size, READING)?;
        let hashes = hashes.chunks(32).map(|hash| to_hash(hash, READING)).collect::<Result<_, _>>()?;
        let range = Range::of(0, size, hashes)
            .map_err(|mismatch| Error::Corrupt { operation: READING, problem: mismatch.to_string() })?;
        Ok(Self { size, first: to_u64(first, READING)?, range, chain: to_hash(chain, READING)? })
    }

    /// The concatenated hashes of the compact range.
    pub(super) fn range_hashes(&self) -> Vec<u8> {
        self.range.hashes().iter().flat_map(|hash| hash.0).collect()
    }
}

impl Audit {
    /// Lists the logs that have records.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn list_logs(&self) -> Result<Vec<LogName>, Error> {
        const QUERY: &str = "SELECT log FROM audit_head WHERE size > 0 ORDER BY log";
        let logs: Vec<String> =
            reading!(&self.database, pool => sqlx::query_scalar(QUERY).fetch_all(pool).await)
                .map_err(Error::driver("listing the audit logs"))?;
        let parse = |log: String| {
            log.parse()
                .map_err(|_| Error::Corrupt { operation: READING, problem: format!("{log:?} is not a log") })
        };
        logs.into_iter().map(parse).collect()
    }

    /// Reads the end of a log.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_head(&self, log: &LogName) -> Result<Head, Error> {
        match self.read_head_row(log).await? {
            Some((size, first, _, chain, hashes, ..)) => Head::from_columns(size, first, &chain, &hashes),
            None => Ok(Head::empty()),
        }
    }

    /// Reads the end of a log with the values that only a verification compares.
    ///
    /// # Errors
    /// The database is unavailable.
    pub(super) async fn read_end(&self, log: &LogName) -> Result<StoredEnd, Error> {
        let (head, times) = match self.read_head_row(log).await? {
            Some((size, first, _, chain, hashes, earliest, latest)) => {
                (Head::from_columns(size, first, &chain, &hashes)?, earliest.zip(latest))
            }
            None => (Head::empty(), None),
        };
        Ok(StoredEnd { size: head.size, range: head.range, chain: head.chain, times })
    }

    /// Reads the hash chain before the first record that exists.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn read_first_chain(&self, log: &LogName) -> Result<Hash, Error> {
        match self.read_head_row(log).await? {
            Some((_, _, first_chain, ..)) => to_hash(&first_chain, READING),
            None => Ok(INITIAL_CHAIN),
        }
    }

    async fn read_head_row(&self, log: &LogName) -> Result<Option<HeadRow>, Error> {
        const QUERY: &str = "SELECT size, first, first_chain, chain, range_hashes, earliest, latest FROM audit_head WHERE log = $1";
        reading!(&self.database, pool => sqlx::query_as(QUERY).bind(log.as_str()).fetch_optional(pool).await)
            .map_err(Error::driver(READING))
    }
}
