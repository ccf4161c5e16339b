//! Tenants.

use super::cache::Known;
use crate::api::Tenant;
use crate::domain::admission::{self, Change, Verdict};

pub(super) fn judge(change: &Change<'_, Tenant>, known: &Known) -> Verdict {
    admission::tenant(change, known.tenants.iter(), &known.world)
}
