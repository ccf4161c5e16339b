//! ScheduledTasks.

use super::super::cache::Snapshot;
use super::super::context::ReviewContext;
use super::super::request::User;
use super::super::task_rights;
use super::{Admit, AdmitGoverned};
use crate::api::ScheduledTask;
use crate::domain::admission::{self, Change, Verdict};

impl Admit for ScheduledTask {
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        admission::task(change, &snapshot.catalog)
    }

    async fn inspect(change: &Change<'_, Self>, user: &User, context: &ReviewContext) -> Verdict {
        let now = context.now();
        let warnings = context.cache.read(|snapshot| {
            let warnings = admission::task_warnings(change, &snapshot.catalog, now);
            (warnings, task_rights::of_task(change, &snapshot.catalog))
        });
        let (warnings, needed) = warnings.unwrap_or_default();
        Verdict { refusals: task_rights::check(&needed, user, context).await, warnings }
    }
}

impl AdmitGoverned for ScheduledTask {}
