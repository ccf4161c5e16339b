//! Producing messages, each with a delivery confirmation. librdkafka collects concurrent ones into few requests.

use std::ffi::{CString, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{ErrorCode, RequestError};
use crate::options::{AdminOperation, Request};
use crate::sys::{self, rd};

/// The delivery timeout, the same as `message.timeout.ms`.
const TIMEOUT: Duration = Duration::from_secs(20);

const PRODUCE: Request = Request {
    operation: "Produce",
    admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_ANY,
    timeout: TIMEOUT,
    has_operation_timeout: false,
};

/// The tag that announces the type of the next variadic argument.
const fn tag(tag: rd::rd_kafka_vtype_t) -> c_int {
    tag as c_int
}

/// A message to be produced.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Name of the topic, which is not created if it is missing.
    pub topic: &'a str,
    /// The key: messages with the same key go to the same partition.
    pub key: &'a [u8],
    /// Names and values of the headers.
    pub headers: &'a [(String, String)],
    /// The value.
    pub value: &'a [u8],
}

/// Headers that belong to no message yet.
struct Headers(NonNull<rd::rd_kafka_headers_t>);

impl Headers {
    /// Copies headers.
    fn new(headers: &[(String, String)]) -> Option<Self> {
        // SAFETY: no precondition.
        let all = Self(NonNull::new(unsafe { rd::rd_kafka_headers_new(headers.len()) })?);
        for (name, value) in headers {
            // Lengths are those of slices, which are at most `isize::MAX`.
            let (name_length, value_length) = (name.len().cast_signed(), value.len().cast_signed());
            // SAFETY: the headers are alive, both texts have the passed lengths, and librdkafka copies them.
            unsafe {
                rd::rd_kafka_header_add(
                    all.0.as_ptr(),
                    name.as_ptr().cast(),
                    name_length,
                    value.as_ptr().cast(),
                    value_length,
                )
            };
        }
        Some(all)
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: this value owns the headers; it is forgotten when a message takes the ownership.
        unsafe { rd::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

impl AdminClient {
    /// Produces one message and waits until all in-sync replicas have it (`acks=all`). Messages with the same key go to the
    /// same partition. A missing topic is not created.
    ///
    /// # Errors
    /// See [`RequestError`]. After a timeout the broker may still have stored the message.
    pub async fn produce(&self, topic: &str, key: &[u8], value: &[u8]) -> Result<(), RequestError> {
        self.produce_message(Message { topic, key, headers: &[], value }).await
    }

    /// As [`AdminClient::produce`], with headers.
    ///
    /// # Errors
    /// See [`RequestError`]. After a timeout the broker may still have stored the message.
    pub async fn produce_message(&self, message: Message<'_>) -> Result<(), RequestError> {
        self.start_message(message)?.wait().await
    }

    fn start_message(&self, message: Message<'_>) -> Result<Reply<()>, RequestError> {
        let Message { topic, key, headers, value } = message;
        let name = CString::new(topic).map_err(|_| PRODUCE.invalid(topic, "a NUL byte in the name"))?;
        let headers = Headers::new(headers).ok_or_else(|| PRODUCE.invalid(topic, "too many headers"))?;
        self.start_produce(PRODUCE, |handle, number| {
            // SAFETY: the client is alive. Each value has the type that its tag announces, the name is NUL-terminated, both
            // arrays have the passed length, and librdkafka copies all of it. The headers are alive; the message takes their
            // ownership if the call succeeds. The opaque pointer carries a number and is never dereferenced.
            let code = unsafe {
                sys::rd_kafka_producev(
                    handle.client(),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC),
                    name.as_ptr(),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS),
                    rd::RD_KAFKA_MSG_F_COPY as c_int,
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY),
                    key.as_ptr().cast::<c_void>(),
                    key.len(),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE),
                    value.as_ptr().cast::<c_void>(),
                    value.len(),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS),
                    headers.0.as_ptr(),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE),
                    std::ptr::without_provenance_mut::<c_void>(number),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END),
                )
            };
            if code != 0 {
                return Err(ErrorCode::from_c(code));
            }
            std::mem::forget(headers);
            Ok(())
        })
    }
}
