//! Quotas of tenants.
//!
//! [`mod@limits`] parses them and checks single topics; [`mod@ledger`] counts over all topics of a tenant, and
//! [`mod@unmanaged`] over the Kafka topics that no resource manages.
//!
//! A granted amount is never revoked, so a quota may be lowered below the usage. Further requests are granted by age:
//! of concurrent requests the youngest are put on hold, in any order of reconciles.

mod amount;
pub mod ledger;
pub mod limits;
pub mod unmanaged;

pub use amount::Amount;
pub use ledger::{Ledger, NearLimit, WARNING_PERCENT};
pub use limits::Limits;
pub use unmanaged::{KafkaTopic, UnmanagedTopics};
