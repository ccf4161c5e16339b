//! The first and last offsets of partitions (ListOffsets).

use std::ffi::{CString, c_int};
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, ItemResults, RequestError};
use crate::input::c_string;
use crate::options::{AdminOperation, AdminOptions, Request};
use crate::sys::{self, rd};

/// Which offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// That of the first record that the partition still has.
    Earliest,
    /// The one after the last record that readers of committed records see.
    Latest,
}

impl OffsetSpec {
    /// The number by which librdkafka knows it.
    const fn number(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
        }
    }
}

/// An owned list of partitions.
struct PartitionList(NonNull<rd::rd_kafka_topic_partition_list_t>);

impl PartitionList {
    fn new(partitions: &[(CString, i32)], offset: i64) -> Option<Self> {
        let size = c_int::try_from(partitions.len()).ok()?;
        // SAFETY: no precondition.
        let list = Self(NonNull::new(unsafe { rd::rd_kafka_topic_partition_list_new(size) })?);
        for (topic, partition) in partitions {
            // SAFETY: the list is alive; the name is NUL-terminated and copied.
            let added =
                unsafe { rd::rd_kafka_topic_partition_list_add(list.0.as_ptr(), topic.as_ptr(), *partition) };
            // SAFETY: the new element, which the list owns; nothing else refers to it.
            unsafe { (*added).offset = offset };
        }
        Some(list)
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: this value owns the list and destroys it once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.0.as_ptr()) }
    }
}

/// A result: topic and partition, and the offset or the error.
type Found = ((String, i32), Result<i64, BrokerError>);

impl AdminClient {
    /// The first or last offsets of partitions, in their order. Each may be named once.
    ///
    /// # Errors
    /// For one partition, among others: no such partition, or a missing authorization. For the request: see [`RequestError`].
    pub async fn list_offsets(
        &self,
        partitions: &[(String, i32)],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<ItemResults<i64>, RequestError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.start_list_offsets(partitions, spec, timeout)?.wait().await?;
        let take = |wanted: &(String, i32)| {
            let place = found.iter().position(|(partition, _)| partition == wanted);
            place
                .map_or_else(|| Err(BrokerError::missing_from_response()), |place| found.swap_remove(place).1)
        };
        Ok(partitions.iter().map(take).collect())
    }

    fn start_list_offsets(
        &self,
        partitions: &[(String, i32)],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Reply<Vec<Found>>, RequestError> {
        let request = Request {
            operation: "ListOffsets",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            timeout,
            has_operation_timeout: false,
        };
        let names = partitions
            .iter()
            .map(|(topic, partition)| c_string(&request, topic, topic).map(|name| (name, *partition)));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let list = PartitionList::new(&names, spec.number())
            .ok_or_else(|| request.invalid("the batch", "too many partitions"))?;
        self.start(
            request,
            |handle, options| {
                read_committed(options);
                // SAFETY: client, list, options and queue are alive during the call, which copies the list and the options.
                unsafe {
                    rd::rd_kafka_ListOffsets(
                        handle.client(),
                        list.0.as_ptr(),
                        options.as_ptr(),
                        handle.queue(),
                    );
                }
            },
            move |event| {
                // SAFETY: both functions belong to ListOffsets.
                let results = unsafe {
                    event
                        .results(rd::rd_kafka_event_ListOffsets_result, rd::rd_kafka_ListOffsets_result_infos)
                };
                let results = results.ok_or_else(|| request.mismatch())?;
                Ok(results.iter().filter_map(|info| read(*info)).collect())
            },
        )
    }
}

/// Lists the offsets that readers of committed records see.
fn read_committed(options: &AdminOptions) {
    let level = rd::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED;
    // SAFETY: the options are alive.
    let error = unsafe { rd::rd_kafka_AdminOptions_set_isolation_level(options.as_ptr(), level) };
    if !error.is_null() {
        // SAFETY: the caller owns the error and destroys it once. The level is valid, so there is none.
        unsafe { rd::rd_kafka_error_destroy(error) };
    }
}

/// Reads a result, which its event owns. `None` for a null pointer.
fn read(info: *const rd::rd_kafka_ListOffsetsResultInfo_t) -> Option<Found> {
    if info.is_null() {
        return None;
    }
    // SAFETY: the result is alive, and owns the partition.
    let partition = unsafe { rd::rd_kafka_ListOffsetsResultInfo_topic_partition(info) };
    if partition.is_null() {
        return None;
    }
    // SAFETY: the partition is alive.
    let topic = unsafe { (*partition).topic };
    // SAFETY: the partition owns the text.
    let topic = unsafe { sys::text(topic) }.unwrap_or_default().into_owned();
    // SAFETY: the partition is alive.
    let number = unsafe { (*partition).partition };
    // SAFETY: the partition is alive.
    let offset = unsafe { (*partition).offset };
    // SAFETY: the partition is alive.
    let code = unsafe { &raw const (*partition).err }.cast::<c_int>();
    // SAFETY: the partition is alive. The code is read as an integer because the broker may send a value that the Rust enum lacks.
    let code = unsafe { code.read() };
    let result = match code {
        0 => Ok(offset),
        code => Err(BrokerError::new(ErrorCode::from_c(code), None)),
    };
    Some(((topic, number), result))
}
