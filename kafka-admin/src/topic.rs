//! Requests that create and delete topics and add partitions.

use std::ffi::c_int;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, ItemResults, RequestError};
use crate::handle::Event;
use crate::input::{ObjectArray, c_names, c_string, order_by_name};
use crate::options::{AdminOperation, Request};
use crate::sys::{self, ErrorText, rd};

/// A topic to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// The number of partitions; `None` for the broker's `num.partitions` (KIP-464).
    pub partitions: Option<i32>,
    /// The replication factor; `None` for the broker's `default.replication.factor` (KIP-464).
    pub replicas: Option<i16>,
    /// The topic's configuration, as names and values.
    pub config: Vec<(String, String)>,
}

impl AdminClient {
    /// Creates topics (CreateTopics, KIP-4). The results are in the order of `topics`.
    ///
    /// A success means that the controller has recorded the topic. Brokers learn of it slightly later, so an immediate
    /// describe may return that it does not exist. A topic that was not created within the timeout has the error
    /// [`ErrorCode::REQUEST_TIMED_OUT`]; the cluster may still create it.
    ///
    /// # Errors
    /// For one topic, among others: it exists; its name, configuration, or number of partitions or replicas is invalid; a
    /// policy; a missing authorization. For the request: see [`RequestError`]; more than 100,000 partitions or 10,000
    /// replicas are invalid input because librdkafka cannot express them.
    pub async fn create_topics(
        &self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<ItemResults, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.start_create_topics(topics, timeout)?.wait().await
    }

    fn start_create_topics(
        &self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Reply<ItemResults>, RequestError> {
        let request = Request {
            operation: "CreateTopics",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            timeout,
            has_operation_timeout: true,
        };
        let names = c_names(&request, topics.iter().map(|topic| topic.name.as_str()))?;
        // SAFETY: `rd_kafka_NewTopic_destroy` frees an object of `rd_kafka_NewTopic_new`.
        let mut array = unsafe { ObjectArray::new(topics.len(), rd::rd_kafka_NewTopic_destroy) };
        for (topic, name) in topics.iter().zip(&names) {
            let mut text = ErrorText::new();
            let replicas = topic.replicas.map_or(-1, c_int::from);
            // SAFETY: the name is NUL-terminated and copied, and the buffer has the passed length.
            let object = unsafe {
                rd::rd_kafka_NewTopic_new(
                    name.as_ptr(),
                    topic.partitions.unwrap_or(-1),
                    replicas,
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            // SAFETY: `object` was just created and has no other pointer, or is null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&topic.name, text.to_string()));
            }
            for (key, value) in &topic.config {
                let key = c_string(&request, &topic.name, key)?;
                let value = c_string(&request, &topic.name, value)?;
                // SAFETY: the array keeps the object alive; both strings are NUL-terminated and copied.
                unsafe { rd::rd_kafka_NewTopic_set_config(object, key.as_ptr(), value.as_ptr()) };
            }
        }
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_CreateTopics(
                    handle.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to CreateTopics.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_CreateTopics_result,
                        rd::rd_kafka_CreateTopics_result_topics,
                    )
                };
                decode(&request, &names, event, results)
            },
        )
    }

    /// Deletes topics with all of their records (DeleteTopics, KIP-4). The results are in the order of `names`.
    ///
    /// # Errors
    /// For one topic, among others: it does not exist, a missing authorization, `delete.topic.enable=false`. The protocol
    /// version that librdkafka uses carries no text, so the text is the code's description. For the request: see
    /// [`RequestError`].
    pub async fn delete_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<ItemResults, RequestError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.start_delete_topics(names, timeout)?.wait().await
    }

    fn start_delete_topics(
        &self,
        names: &[String],
        timeout: Duration,
    ) -> Result<Reply<ItemResults>, RequestError> {
        let request = Request {
            operation: "DeleteTopics",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DELETETOPICS,
            timeout,
            has_operation_timeout: true,
        };
        // SAFETY: `rd_kafka_DeleteTopic_destroy` frees an object of `rd_kafka_DeleteTopic_new`.
        let mut array = unsafe { ObjectArray::new(names.len(), rd::rd_kafka_DeleteTopic_destroy) };
        for name in c_names(&request, names.iter().map(String::as_str))? {
            // SAFETY: the name is NUL-terminated and copied.
            let object = unsafe { rd::rd_kafka_DeleteTopic_new(name.as_ptr()) };
            // SAFETY: `object` was just created and has no other pointer, or is null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&name.to_string_lossy(), "refused by librdkafka"));
            }
        }
        let names = names.to_vec();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_DeleteTopics(
                    handle.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to DeleteTopics.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_DeleteTopics_result,
                        rd::rd_kafka_DeleteTopics_result_topics,
                    )
                };
                decode(&request, &names, event, results)
            },
        )
    }

    /// Increases the number of partitions of topics to a new total (CreatePartitions, KIP-195); the controller assigns the
    /// replicas. The results are in the order of `topics`.
    ///
    /// # Errors
    /// For one topic, among others: the total does not exceed the current number, the topic does not exist, a missing
    /// authorization. For the request: see [`RequestError`]; a total outside of 1 to 100,000 is invalid input.
    pub async fn create_partitions(
        &self,
        topics: &[(String, i32)],
        timeout: Duration,
    ) -> Result<ItemResults, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.start_create_partitions(topics, timeout)?.wait().await
    }

    fn start_create_partitions(
        &self,
        topics: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Reply<ItemResults>, RequestError> {
        let request = Request {
            operation: "CreatePartitions",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
            timeout,
            has_operation_timeout: true,
        };
        let names = c_names(&request, topics.iter().map(|(name, _)| name.as_str()))?;
        // SAFETY: `rd_kafka_NewPartitions_destroy` frees an object of `rd_kafka_NewPartitions_new`.
        let mut array = unsafe { ObjectArray::new(topics.len(), rd::rd_kafka_NewPartitions_destroy) };
        for ((topic, total), name) in topics.iter().zip(&names) {
            let mut text = ErrorText::new();
            // A negative total becomes 0, which librdkafka refuses with a text that names the valid range.
            let total = usize::try_from(*total).unwrap_or(0);
            // SAFETY: the name is NUL-terminated and copied, and the buffer has the passed length.
            let object = unsafe {
                rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, text.as_mut_ptr(), text.len())
            };
            // SAFETY: `object` was just created and has no other pointer, or is null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(topic, text.to_string()));
            }
        }
        let names: Vec<String> = topics.iter().map(|(name, _)| name.clone()).collect();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_CreatePartitions(
                    handle.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to CreatePartitions.
                let results = unsafe {
                    event.results(
                        rd::rd_kafka_event_CreatePartitions_result,
                        rd::rd_kafka_CreatePartitions_result_topics,
                    )
                };
                decode(&request, &names, event, results)
            },
        )
    }
}

fn decode(
    request: &Request,
    names: &[String],
    event: &Event,
    results: Option<&[*const rd::rd_kafka_topic_result_t]>,
) -> Result<ItemResults, RequestError> {
    let results = results.ok_or_else(|| request.mismatch())?;
    let results = results.iter().filter_map(|result| TopicResultRef::new(event, *result));
    Ok(order_by_name(names, results.map(|result| (result.name(), result.result()))))
}

/// One topic's result, borrowed from its event.
struct TopicResultRef<'e> {
    result: *const rd::rd_kafka_topic_result_t,
    _event: &'e Event,
}

impl<'e> TopicResultRef<'e> {
    /// `None` for a null pointer: librdkafka leaves one if the broker's response lacks a topic.
    fn new(event: &'e Event, result: *const rd::rd_kafka_topic_result_t) -> Option<Self> {
        (!result.is_null()).then_some(Self { result, _event: event })
    }

    fn name(&self) -> String {
        // SAFETY: the event is alive and owns the result.
        let name = unsafe { rd::rd_kafka_topic_result_name(self.result) };
        // SAFETY: the result owns the text.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn result(&self) -> Result<(), BrokerError> {
        // SAFETY: the event is alive and owns the result.
        let code = unsafe { sys::rd_kafka_topic_result_error(self.result) };
        if code == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        let message = unsafe { rd::rd_kafka_topic_result_error_string(self.result) };
        // SAFETY: the result owns the text.
        let message = unsafe { sys::text(message) };
        Err(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
    }
}
