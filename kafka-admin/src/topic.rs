//! Requests that make, grow and remove topics.

use std::ffi::c_int;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, RequestError};
use crate::handle::Event;
use crate::input::{Objects, c_names, c_string, in_order};
use crate::options::{Api, Request};
use crate::sys::{self, ErrorText, rd};

/// A topic to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// The number of partitions; `None` for the broker's `num.partitions` (KIP-464).
    pub partitions: Option<i32>,
    /// The number of replicas of each partition; `None` for the broker's `default.replication.factor` (KIP-464).
    pub replicas: Option<i16>,
    /// Configuration of the topic itself, by name and value.
    pub config: Vec<(String, String)>,
}

type Done = Vec<Result<(), BrokerError>>;

impl AdminClient {
    /// Makes topics (CreateTopics, KIP-4). The results are in the order of `topics`.
    ///
    /// A success means that the controller has recorded the topic; a broker can take a moment longer to know it, so a
    /// describe right afterwards may say that it does not exist. A topic for which the timeout was too short has the
    /// error [`ErrorCode::REQUEST_TIMED_OUT`] and may yet be made.
    ///
    /// # Errors
    /// For one topic, among others: it exists, an invalid name, configuration, or number of partitions or replicas, a
    /// policy, a missing right. For the request: see [`RequestError`]; more than 100,000 partitions or 10,000 replicas are
    /// invalid input because librdkafka cannot express them.
    pub async fn create_topics(&self, topics: &[NewTopic], timeout: Duration) -> Result<Done, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.start_create(topics, timeout)?.wait().await
    }

    fn start_create(&self, topics: &[NewTopic], timeout: Duration) -> Result<Reply<Done>, RequestError> {
        let request = Request {
            operation: "CreateTopics",
            api: Api::RD_KAFKA_ADMIN_OP_CREATETOPICS,
            timeout,
            tells_broker: true,
        };
        let names = c_names(&request, topics.iter().map(|topic| topic.name.as_str()))?;
        // SAFETY: the function that frees what `rd_kafka_NewTopic_new` makes.
        let mut array = unsafe { Objects::new(topics.len(), rd::rd_kafka_NewTopic_destroy) };
        for (topic, name) in topics.iter().zip(&names) {
            let mut text = ErrorText::new();
            let replicas = topic.replicas.map_or(-1, c_int::from);
            // SAFETY: the name is NUL-terminated and copied, the buffer has that length.
            let object = unsafe {
                rd::rd_kafka_NewTopic_new(
                    name.as_ptr(),
                    topic.partitions.unwrap_or(-1),
                    replicas,
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            // SAFETY: just made, or null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&topic.name, text.to_string()));
            }
            for (key, value) in &topic.config {
                let key = c_string(&request, &topic.name, key)?;
                let value = c_string(&request, &topic.name, value)?;
                // SAFETY: the object is alive; both strings are NUL-terminated and copied.
                unsafe { rd::rd_kafka_NewTopic_set_config(object, key.as_ptr(), value.as_ptr()) };
            }
        }
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_CreateTopics(
                    link.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are CreateTopics'.
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

    /// Removes topics with all of their records (DeleteTopics, KIP-4). The results are in the order of `names`.
    ///
    /// # Errors
    /// For one topic, among others: it does not exist, a missing right, `delete.topic.enable=false`. The protocol
    /// version that librdkafka uses carries no text, so the text is the code's description. For the request: see
    /// [`RequestError`].
    pub async fn delete_topics(&self, names: &[String], timeout: Duration) -> Result<Done, RequestError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.start_delete(names, timeout)?.wait().await
    }

    fn start_delete(&self, names: &[String], timeout: Duration) -> Result<Reply<Done>, RequestError> {
        let request = Request {
            operation: "DeleteTopics",
            api: Api::RD_KAFKA_ADMIN_OP_DELETETOPICS,
            timeout,
            tells_broker: true,
        };
        // SAFETY: the function that frees what `rd_kafka_DeleteTopic_new` makes.
        let mut array = unsafe { Objects::new(names.len(), rd::rd_kafka_DeleteTopic_destroy) };
        for name in c_names(&request, names.iter().map(String::as_str))? {
            // SAFETY: the name is NUL-terminated and copied.
            let object = unsafe { rd::rd_kafka_DeleteTopic_new(name.as_ptr()) };
            // SAFETY: just made, or null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&name.to_string_lossy(), "refused by librdkafka"));
            }
        }
        let names = names.to_vec();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DeleteTopics(
                    link.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are DeleteTopics'.
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

    /// Grows topics to a new total number of partitions (CreatePartitions, KIP-195), placed by the controller. The
    /// results are in the order of `topics`.
    ///
    /// # Errors
    /// For one topic, among others: the total is not larger than what there is, the topic does not exist, a missing
    /// right. For the request: see [`RequestError`]; a total outside of 1 to 100,000 is invalid input.
    pub async fn create_partitions(
        &self,
        topics: &[(String, i32)],
        timeout: Duration,
    ) -> Result<Done, RequestError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.start_grow(topics, timeout)?.wait().await
    }

    fn start_grow(&self, topics: &[(String, i32)], timeout: Duration) -> Result<Reply<Done>, RequestError> {
        let request = Request {
            operation: "CreatePartitions",
            api: Api::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS,
            timeout,
            tells_broker: true,
        };
        let names = c_names(&request, topics.iter().map(|(name, _)| name.as_str()))?;
        // SAFETY: the function that frees what `rd_kafka_NewPartitions_new` makes.
        let mut array = unsafe { Objects::new(topics.len(), rd::rd_kafka_NewPartitions_destroy) };
        for ((topic, total), name) in topics.iter().zip(&names) {
            let mut text = ErrorText::new();
            // A negative total becomes 0, which librdkafka refuses with the range.
            let total = usize::try_from(*total).unwrap_or(0);
            // SAFETY: the name is NUL-terminated and copied, the buffer has that length.
            let object = unsafe {
                rd::rd_kafka_NewPartitions_new(name.as_ptr(), total, text.as_mut_ptr(), text.len())
            };
            // SAFETY: just made, or null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(topic, text.to_string()));
            }
        }
        let names: Vec<String> = topics.iter().map(|(name, _)| name.clone()).collect();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_CreatePartitions(
                    link.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are CreatePartitions'.
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
) -> Result<Done, RequestError> {
    let results = results.ok_or_else(|| request.mismatch())?;
    let results = results.iter().filter_map(|result| TopicResult::of(event, *result));
    Ok(in_order(names, results.map(|result| (result.name(), result.outcome()))))
}

/// One topic's result, borrowed from its event.
struct TopicResult<'e> {
    result: *const rd::rd_kafka_topic_result_t,
    _event: &'e Event,
}

impl<'e> TopicResult<'e> {
    /// `None` for a hole in the array: librdkafka leaves one where the broker left a topic out.
    fn of(event: &'e Event, result: *const rd::rd_kafka_topic_result_t) -> Option<Self> {
        (!result.is_null()).then_some(Self { result, _event: event })
    }

    fn name(&self) -> String {
        // SAFETY: the result belongs to the event, which is alive.
        let name = unsafe { rd::rd_kafka_topic_result_name(self.result) };
        // SAFETY: belongs to the result.
        let name = unsafe { sys::text(name) };
        name.unwrap_or_default().into_owned()
    }

    fn outcome(&self) -> Result<(), BrokerError> {
        // SAFETY: the result belongs to the event, which is alive.
        let code = unsafe { sys::rd_kafka_topic_result_error(self.result) };
        if code == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        let message = unsafe { rd::rd_kafka_topic_result_error_string(self.result) };
        // SAFETY: belongs to the result.
        let message = unsafe { sys::text(message) };
        Err(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
    }
}
