//! Where logs end.

use super::record::{count, hash_of};
use super::{Audit, Head};
use crate::domain::audit::LogName;
use crate::domain::audit::merkle::{Hash, Range};
use crate::store::Error;
use crate::store::database::reading;

const READING: &str = "reading where the audit log ends";

/// The columns of a head, but for the times of its last block.
pub(super) type HeadRow = (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// What a log begins with before there is a record.
pub(super) const START: Hash = Hash([0; 32]);

impl Head {
    pub(super) fn empty() -> Self {
        Self { size: 0, first: 0, range: Range::empty(0), chain: START }
    }

    pub(super) fn read(size: i64, first: i64, chain: &[u8], hashes: &[u8]) -> Result<Self, Error> {
        let size = count(size, READING)?;
        let hashes = hashes.chunks(32).map(|hash| hash_of(hash, READING)).collect::<Result<_, _>>()?;
        let range = Range::of(0, size, hashes)
            .map_err(|misfit| Error::Damaged { what: READING, why: misfit.to_string() })?;
        Ok(Self { size, first: count(first, READING)?, range, chain: hash_of(chain, READING)? })
    }

    /// The hashes of the compact range, one after the other.
    pub(super) fn hashes(&self) -> Vec<u8> {
        self.range.hashes().iter().flat_map(|hash| hash.0).collect()
    }
}

impl Audit {
    /// All logs that have records.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn logs(&self) -> Result<Vec<LogName>, Error> {
        const QUERY: &str = "SELECT log FROM audit_head WHERE size > 0 ORDER BY log";
        let logs: Vec<String> =
            reading!(&self.database, pool => sqlx::query_scalar(QUERY).fetch_all(pool).await)
                .map_err(Error::driver("listing the audit logs"))?;
        let name = |log: String| {
            log.parse().map_err(|_| Error::Damaged { what: READING, why: format!("{log:?} is no log") })
        };
        logs.into_iter().map(name).collect()
    }

    /// Where a log ends; one without records is empty.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn head(&self, log: &LogName) -> Result<Head, Error> {
        match self.head_row(log).await? {
            Some((size, first, _, chain, hashes)) => Head::read(size, first, &chain, &hashes),
            None => Ok(Head::empty()),
        }
    }

    /// The chain up to the first record that is there.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn chain_before(&self, log: &LogName) -> Result<Hash, Error> {
        match self.head_row(log).await? {
            Some((_, _, first_chain, _, _)) => hash_of(&first_chain, READING),
            None => Ok(START),
        }
    }

    pub(super) async fn head_row(&self, log: &LogName) -> Result<Option<HeadRow>, Error> {
        const QUERY: &str =
            "SELECT size, first, first_chain, chain, range_hashes FROM audit_head WHERE log = $1";
        reading!(&self.database, pool => sqlx::query_as(QUERY).bind(log.as_str()).fetch_optional(pool).await)
            .map_err(Error::driver(READING))
    }
}
