//! Tenants.

use super::super::cache::Snapshot;
use super::Admit;
use crate::api::Tenant;
use crate::domain::admission::{self, Change, Verdict};

impl Admit for Tenant {
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        admission::tenant(change, snapshot.tenants.iter(), &snapshot.catalog)
    }
}
