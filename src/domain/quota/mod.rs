//! Quotas of tenants.
//!
//! [`mod@limits`] parses them and checks single topics; [`mod@ledger`] counts over all topics of a tenant.
//!
//! A granted amount is never revoked, so a quota may be lowered below the usage. Further requests are granted by age:
//! of concurrent requests the youngest are put on hold, in any order of reconciles.

pub mod ledger;
pub mod limits;

pub use ledger::{Amount, Ledger, NearLimit, WARNING_PERCENT};
pub use limits::Limits;
