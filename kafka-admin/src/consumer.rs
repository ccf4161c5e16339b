//! Reading partitions from given offsets, without a consumer group: nothing joins a group, and no offset is committed.
//!
//! This is librdkafka's legacy consumer. Its newer one needs a group id, and asks for the group's coordinator although it only reads
//! assigned partitions, which needs a right on the group.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::ClientEvent;
use crate::error::{BrokerError, ErrorCode, NewClientError};
use crate::handle::{ClientHandle, ClientKind, Event, EventKind};
use crate::sys::{self, rd};

/// Number of bytes after which [`Consumer::poll`] returns what it has.
const MAX_POLLED_BYTES: usize = 4 << 20;

/// Properties that this consumer depends on: nothing is committed, and an offset that does not exist is an error.
const PROPERTIES: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
];

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The time of the record in milliseconds since 1970; `None` if it has none.
    pub timestamp: Option<i64>,
    /// Names and values of the headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Record {
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
        headers.sum::<usize>() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// What a consumer has received.
#[derive(Clone, Debug)]
pub enum Polled {
    /// A record of a partition that is being read.
    Record(Record),
    /// A partition cannot be read. [`ErrorCode::AUTO_OFFSET_RESET`]: the offset does not exist, and reading has stopped. After
    /// other errors librdkafka tries again by itself.
    Failed {
        /// Name of the topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// For example [`ErrorCode::TOPIC_AUTHORIZATION_FAILED`].
        error: BrokerError,
    },
    /// A log line, or a problem with a connection.
    Client(ClientEvent),
}

/// A topic of a client.
struct Topic(NonNull<rd::rd_kafka_topic_t>);

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference and releases it once.
        unsafe { rd::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

struct Reading {
    topic: Topic,
    /// The partitions that are being read.
    partitions: Vec<i32>,
}

/// A consumer of one Kafka cluster. All methods block: call them on a thread that may.
///
/// It owns a librdkafka client with its threads and connections. Dropping it waits for them.
pub struct Consumer {
    // Declared, and so dropped, before the client that they belong to.
    topics: HashMap<String, Reading>,
    handle: ClientHandle,
}

// SAFETY: librdkafka's topics may be used from any thread; only the one that owns this value uses them.
unsafe impl Send for Consumer {}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("topics", &self.topics.len()).finish_non_exhaustive()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let partitions = |(name, reading): (&String, &Reading)| {
            reading.partitions.iter().map(|partition| (name.clone(), *partition)).collect::<Vec<_>>()
        };
        for (topic, partition) in self.topics.iter().flat_map(partitions).collect::<Vec<_>>() {
            self.stop(&topic, partition);
        }
    }
}

impl Consumer {
    /// Creates a consumer from librdkafka's properties. It reads nothing yet.
    ///
    /// # Errors
    /// librdkafka refuses a property.
    pub fn new(properties: &[(String, String)]) -> Result<Self, NewClientError> {
        let mut all = properties.to_vec();
        all.extend(PROPERTIES.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(Self { topics: HashMap::new(), handle: ClientHandle::new(ClientKind::Consumer, &all)? })
    }

    /// Reads a partition from an offset. If it is being read, it continues at that offset: nothing that was received before the
    /// call is returned after it.
    ///
    /// # Errors
    /// The name or the number is invalid.
    pub fn start(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), ErrorCode> {
        self.stop(topic, partition);
        if !self.topics.contains_key(topic) {
            let reading = Reading { topic: self.open(topic)?, partitions: Vec::new() };
            self.topics.insert(topic.to_owned(), reading);
        }
        let queue = self.handle.queue();
        let Some(reading) = self.topics.get_mut(topic) else { return Err(ErrorCode::INVALID_ARGUMENT) };
        // SAFETY: topic and queue are alive; librdkafka holds its own references.
        let result =
            unsafe { rd::rd_kafka_consume_start_queue(reading.topic.0.as_ptr(), partition, offset, queue) };
        if result != 0 {
            return Err(ErrorCode::INVALID_ARGUMENT);
        }
        reading.partitions.push(partition);
        Ok(())
    }

    /// Reads a partition no longer. Nothing that was received before is returned after the call.
    pub fn stop(&mut self, topic: &str, partition: i32) {
        let Some(reading) = self.topics.get_mut(topic) else { return };
        let Some(place) = reading.partitions.iter().position(|one| *one == partition) else { return };
        reading.partitions.swap_remove(place);
        // SAFETY: the topic is alive, and its partition is being read.
        unsafe { rd::rd_kafka_consume_stop(reading.topic.0.as_ptr(), partition) };
        if reading.partitions.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Waits up to `timeout` for something, and returns that and what has arrived as well, at most `limit` and some megabytes.
    pub fn poll(&mut self, timeout: Duration, limit: usize) -> Vec<Polled> {
        let mut polled = Vec::new();
        let mut bytes = 0;
        let mut timeout_ms = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
        while polled.len() < limit && bytes < MAX_POLLED_BYTES {
            let Some(event) = self.handle.poll(timeout_ms) else { break };
            timeout_ms = 0;
            let Some(one) = read(&event) else { continue };
            if let Polled::Record(record) = &one {
                bytes += record.size();
            }
            polled.push(one);
        }
        polled
    }

    /// The end of a partition as the last response told it: the offset after the last record. `None` before the first response.
    /// Sends no request.
    #[must_use]
    pub fn last_known_end(&self, topic: &str, partition: i32) -> Option<i64> {
        let name = CString::new(topic).ok()?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: the client is alive, the name is NUL-terminated, and both numbers are alive.
        unsafe {
            rd::rd_kafka_get_watermark_offsets(
                self.handle.client(),
                name.as_ptr(),
                partition,
                &mut low,
                &mut high,
            )
        };
        (high >= 0 && low >= 0 && (low, high) != (0, 0)).then_some(high)
    }

    fn open(&self, topic: &str) -> Result<Topic, ErrorCode> {
        let name = CString::new(topic).map_err(|_| ErrorCode::INVALID_ARGUMENT)?;
        // SAFETY: the client is alive, the name is NUL-terminated and copied; a null configuration means the client's.
        let native =
            unsafe { rd::rd_kafka_topic_new(self.handle.client(), name.as_ptr(), std::ptr::null_mut()) };
        NonNull::new(native).map(Topic).ok_or(ErrorCode::INVALID_ARGUMENT)
    }
}

/// Reads an event. `None` if it says nothing to the caller.
fn read(event: &Event) -> Option<Polled> {
    match event.kind() {
        EventKind::Fetch => read_record(event),
        EventKind::Error => {
            let (code, message) = event.error()?;
            Some(match read_partition(event) {
                Some((topic, partition)) => {
                    Polled::Failed { topic, partition, error: BrokerError::new(code, Some(&message)) }
                }
                None => Polled::Client(ClientEvent::Error { code, message }),
            })
        }
        EventKind::Log => {
            let (level, facility, message) = event.log()?;
            Some(Polled::Client(ClientEvent::Log { level, facility, message }))
        }
        EventKind::Delivery | EventKind::Other => None,
    }
}

/// The partition that an event is about.
fn read_partition(event: &Event) -> Option<(String, i32)> {
    // SAFETY: the event is alive; the caller owns the result.
    let partition = NonNull::new(unsafe { rd::rd_kafka_event_topic_partition(event.as_ptr()) })?;
    // SAFETY: the partition is alive.
    let topic = unsafe { (*partition.as_ptr()).topic };
    // SAFETY: the partition is alive.
    let number = unsafe { (*partition.as_ptr()).partition };
    // SAFETY: the partition owns the text.
    let topic = unsafe { sys::text(topic) }.map(std::borrow::Cow::into_owned);
    // SAFETY: the caller owns the partition and destroys it once; the text is a copy.
    unsafe { rd::rd_kafka_topic_partition_destroy(partition.as_ptr()) };
    topic.map(|topic| (topic, number))
}

fn read_record(event: &Event) -> Option<Polled> {
    // SAFETY: the event is alive and owns the message.
    let native = NonNull::new(unsafe { rd::rd_kafka_event_message_next(event.as_ptr()) }.cast_mut())?;
    // SAFETY: the message lives as long as the event, and nothing changes it. A message that was fetched has no error, so its code
    // is one of the enumeration.
    let message = unsafe { native.as_ref() };
    // SAFETY: the topic lives as long as the message.
    let topic = unsafe { rd::rd_kafka_topic_name(message.rkt) };
    // SAFETY: the topic owns the text.
    let topic = unsafe { sys::text(topic) }?.into_owned();
    // SAFETY: the message owns `len` bytes, or the pointer is null.
    let value = unsafe { bytes(message.payload, message.len) };
    let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message is alive; librdkafka writes one of the three types.
    let timestamp = unsafe { rd::rd_kafka_message_timestamp(native.as_ptr(), &mut kind) };
    let record = Record {
        topic,
        partition: message.partition,
        offset: message.offset,
        timestamp: (timestamp >= 0).then_some(timestamp),
        headers: read_headers(native.as_ptr()),
        value,
    };
    Some(Polled::Record(record))
}

/// The headers of a message that is alive.
fn read_headers(message: *mut rd::rd_kafka_message_t) -> Vec<(String, Option<Vec<u8>>)> {
    let mut headers = std::ptr::null_mut();
    // SAFETY: the message is alive; on success it owns the headers.
    unsafe { rd::rd_kafka_message_headers(message, &mut headers) };
    let mut all = Vec::new();
    if headers.is_null() {
        return all;
    }
    loop {
        let (mut name, mut value, mut length) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the headers are alive; librdkafka writes all three values if it returns no error.
        let result =
            unsafe { rd::rd_kafka_header_get_all(headers, all.len(), &mut name, &mut value, &mut length) };
        if result != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return all;
        }
        // SAFETY: the headers own the text.
        let name = unsafe { sys::text(name) }.unwrap_or_default().into_owned();
        // SAFETY: the headers own `length` bytes, or the pointer is null.
        all.push((name, unsafe { bytes(value, length) }));
    }
}

/// A copy of C's bytes, `None` for a null pointer.
///
/// # Safety
/// `pointer` is null, or points to `length` bytes.
unsafe fn bytes(pointer: *const c_void, length: usize) -> Option<Vec<u8>> {
    // SAFETY: the caller guarantees the length.
    (!pointer.is_null()).then(|| unsafe { sys::slice(pointer.cast::<u8>(), length) }.to_vec())
}
