//! Producing single messages, for rare messages that need a delivery confirmation. Not a producer for event traffic.

use std::ffi::{CString, c_int, c_void};
use std::time::Duration;

use crate::client::AdminClient;
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

impl AdminClient {
    /// Produces one message and waits until all in-sync replicas have it (`acks=all`). Messages with the same key go to the
    /// same partition. A missing topic is not created.
    ///
    /// # Errors
    /// See [`RequestError`]. After a timeout the broker may still have stored the message.
    pub async fn produce(&self, topic: &str, key: &[u8], value: &[u8]) -> Result<(), RequestError> {
        let name = CString::new(topic).map_err(|_| PRODUCE.invalid(topic, "a NUL byte in the name"))?;
        let reply = self.start_produce(PRODUCE, |handle, number| {
            // SAFETY: the client is alive. Each value has the type that its tag announces, the name is NUL-terminated, both
            // arrays have the passed length, and librdkafka copies all of it. The opaque pointer carries a number and is
            // never dereferenced.
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
