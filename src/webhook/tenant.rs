//! Tenants.

use super::cache::Snapshot;
use crate::api::Tenant;
use crate::domain::admission::{self, Change, Verdict};

pub(super) fn judge(change: &Change<'_, Tenant>, known: &Snapshot) -> Verdict {
    admission::tenant(change, known.tenants.iter(), &known.catalog)
}
