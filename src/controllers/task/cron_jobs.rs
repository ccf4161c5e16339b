//! The watched CronJobs of tasks.

use k8s_openapi::api::batch::v1::CronJob;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, Store};

/// The watched CronJobs of tasks.
pub(in crate::controllers) struct CronJobs {
    pub(super) objects: Store<DeserializeGuard<CronJob>>,
    writer: parking_lot::Mutex<Option<Writer<DeserializeGuard<CronJob>>>>,
}

impl CronJobs {
    pub(in crate::controllers) fn new() -> Self {
        let (objects, writer) = reflector::store();
        Self { objects, writer: parking_lot::Mutex::new(Some(writer)) }
    }

    /// The writer, for the one watch; `None` after the first call.
    pub(super) fn take_writer(&self) -> Option<Writer<DeserializeGuard<CronJob>>> {
        self.writer.lock().take()
    }
}
