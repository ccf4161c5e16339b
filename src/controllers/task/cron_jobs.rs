//! The watched CronJobs of tasks.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};
use parking_lot::Mutex;

/// The watched CronJobs of tasks.
pub(in crate::controllers) struct CronJobs {
    pub(super) objects: Store<DeserializeGuard<CronJob>>,
    writer: Mutex<Option<Writer<DeserializeGuard<CronJob>>>>,
    /// The last version of each CronJob, by namespace and name. Neither the operator's own writes nor those of the status, which
    /// follow each run, start a reconcile.
    seen: Mutex<HashMap<(Option<String>, String), u64>>,
}

impl CronJobs {
    pub(in crate::controllers) fn new() -> Self {
        let (objects, writer) = reflector::store();
        Self { objects, writer: Mutex::new(Some(writer)), seen: Mutex::default() }
    }

    /// The writer, for the one watch; `None` after the first call.
    pub(super) fn take_writer(&self) -> Option<Writer<DeserializeGuard<CronJob>>> {
        self.writer.lock().take()
    }

    /// Remembers a version. Returns whether it differs from the last one in more than its status.
    pub(super) fn remember(&self, cron_job: &impl kube::Resource) -> bool {
        let version = version_of(cron_job);
        self.seen.lock().insert(key(cron_job), version) != Some(version)
    }

    /// Removes a deleted CronJob.
    pub(super) fn forget(&self, cron_job: &impl kube::Resource) {
        self.seen.lock().remove(&key(cron_job));
    }
}

fn key(cron_job: &impl kube::Resource) -> (Option<String>, String) {
    (cron_job.namespace(), cron_job.name_any())
}

/// A hash of what a task determines of its CronJob. The API server counts changes of the spec as generations.
fn version_of(cron_job: &impl kube::Resource) -> u64 {
    let metadata = cron_job.meta();
    let mut hasher = DefaultHasher::new();
    (&metadata.uid, metadata.generation, &metadata.annotations, &metadata.labels).hash(&mut hasher);
    for owner in cron_job.owner_references() {
        (&owner.uid, owner.controller).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_no_new_version() {
        let cron_jobs = CronJobs::new();
        let remember = |generation: i64, annotations: serde_json::Value, active: usize| {
            let cron_job: CronJob = serde_json::from_value(json!({
                "metadata": {"namespace": "n", "name": "a", "uid": "u", "generation": generation, "annotations": annotations},
                "status": {"active": vec![json!({}); active]},
            }))
            .expect("a CronJob");
            (cron_jobs.remember(&cron_job), cron_job)
        };
        assert!(remember(1, json!({}), 0).0);
        assert!(!remember(1, json!({}), 1).0);
        assert!(remember(2, json!({}), 1).0);
        let (is_new, cron_job) = remember(2, json!({"a": "b"}), 1);
        assert!(is_new);
        cron_jobs.forget(&cron_job);
        assert!(remember(2, json!({"a": "b"}), 1).0, "it was deleted meanwhile");
    }
}
