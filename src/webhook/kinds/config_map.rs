//! ConfigMaps with schemas.

use k8s_openapi::api::core::v1::ConfigMap;

use super::super::cache::Snapshot;
use super::super::context::ReviewContext;
use super::super::request::User;
use super::super::schema;
use super::Admit;
use crate::domain::admission::{Change, Verdict};

impl Admit for ConfigMap {
    fn judge(_: &Change<'_, Self>, _: &Snapshot) -> Verdict {
        Verdict::default()
    }

    async fn inspect(change: &Change<'_, Self>, _: &User, context: &ReviewContext) -> Verdict {
        let topics =
            context.cache.read(|snapshot| schema::topics_using(change, snapshot)).unwrap_or_default();
        schema::judge_config_map(change, &topics, context).await
    }
}
