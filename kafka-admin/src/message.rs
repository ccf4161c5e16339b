//! Appending messages to topics, one at a time: for what is said seldom and has to stay. It is no producer for events.

use std::ffi::{CString, c_int, c_void};
use std::time::Duration;

use crate::error::ErrorCode;
use crate::options::{Api, Request};
use crate::sys::{self, rd};
use crate::{AdminClient, RequestError};

/// How long a message may wait for a broker; as `message.timeout.ms` says.
const TIMEOUT: Duration = Duration::from_secs(20);

const PRODUCE: Request =
    Request { operation: "Produce", api: Api::RD_KAFKA_ADMIN_OP_ANY, timeout: TIMEOUT, tells_broker: false };

/// What follows in the list of arguments.
const fn tag(tag: rd::rd_kafka_vtype_t) -> c_int {
    tag as c_int
}

impl AdminClient {
    /// Appends a message to a topic, and waits until all replicas that are in sync have it. Messages with the same key go to
    /// the same partition. A topic that does not exist is not made.
    ///
    /// # Errors
    /// See [`RequestError`]. After a timeout the message may have been appended all the same.
    pub async fn append(&self, topic: &str, key: &[u8], value: &[u8]) -> Result<(), RequestError> {
        let name = CString::new(topic).map_err(|_| PRODUCE.invalid(topic, "a NUL byte in the name"))?;
        let reply = self.deliver(PRODUCE, |link, number| {
            // SAFETY: the client is alive. Each value has the type that its tag announces, the name is NUL-terminated, both
            // arrays have that length, and all of it is copied. The opaque pointer is a number and never followed.
            let code = unsafe {
                sys::rd_kafka_producev(
                    link.client(),
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
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE),
                    std::ptr::without_provenance_mut::<c_void>(number),
                    tag(rd::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END),
                )
            };
            if code == 0 { Ok(()) } else { Err(ErrorCode::from_c(code)) }
        })?;
        reply.wait().await
    }
}
