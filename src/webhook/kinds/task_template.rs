//! TaskTemplates.

use super::super::cache::Snapshot;
use super::super::context::ReviewContext;
use super::super::request::User;
use super::super::task_rights;
use super::{Admit, AdmitGoverned};
use crate::api::TaskTemplate;
use crate::domain::admission::{self, Change, Verdict};

impl Admit for TaskTemplate {
    fn judge(change: &Change<'_, Self>, snapshot: &Snapshot) -> Verdict {
        admission::task_template(change, &snapshot.catalog)
    }

    async fn inspect(change: &Change<'_, Self>, user: &User, context: &ReviewContext) -> Verdict {
        let needed = context.cache.read(|snapshot| task_rights::of_template(change, &snapshot.catalog));
        let needed = needed.unwrap_or_default();
        Verdict { refusals: task_rights::check(&needed, user, context).await, warnings: Vec::new() }
    }
}

impl AdmitGoverned for TaskTemplate {}
