//! What a tenant may have, what it has, and who is held because of that.
//!
//! [`mod@limits`] reads the declaration and judges what one topic may ask for by itself;
//! [`mod@ledger`] counts what all topics of a tenant ask for together.
//!
//! What a topic has already is never taken away, so a limit may be lowered below what there is.
//! What is asked for beyond that is granted in the order of age, so that of many that came at once
//! the youngest are held, whoever is asked first.

pub mod ledger;
pub mod limits;

pub use ledger::{Amount, Ledger, NearLimit, WARNING_PERCENT};
pub use limits::Limits;
