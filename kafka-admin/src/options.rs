//! A request's parameters that every operation has, and librdkafka's options object.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::time::Duration;

use crate::error::{ErrorCode, RequestError};
use crate::handle::ClientHandle;
use crate::sys::{ErrorText, rd};

pub(crate) use rdkafka_sys::bindings::rd_kafka_admin_op_t as AdminOperation;

/// The longest timeout that librdkafka accepts.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// A request without its operation-specific arguments.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Kafka's name of the operation, for errors.
    pub(crate) operation: &'static str,
    /// librdkafka's constant for the operation.
    pub(crate) admin_operation: AdminOperation,
    /// How long the caller waits.
    pub(crate) timeout: Duration,
    /// Whether the protocol's request carries a timeout for the broker, as the changes of topics do.
    pub(crate) has_operation_timeout: bool,
}

impl Request {
    pub(crate) fn failed(&self, code: ErrorCode, message: String, cause: Option<String>) -> RequestError {
        match code {
            ErrorCode::TIMED_OUT | ErrorCode::TIMED_OUT_QUEUE => {
                RequestError::Timeout { operation: self.operation, timeout: self.timeout, message, cause }
            }
            ErrorCode::DESTROYED => self.closed(),
            code => RequestError::Failed { operation: self.operation, code, message, cause },
        }
    }

    pub(crate) fn closed(&self) -> RequestError {
        RequestError::Closed { operation: self.operation }
    }

    pub(crate) fn invalid(&self, item: &str, reason: impl Into<String>) -> RequestError {
        RequestError::InvalidInput { operation: self.operation, item: item.to_owned(), reason: reason.into() }
    }

    /// The error for a result of another operation, which would be a bug of librdkafka.
    pub(crate) fn mismatch(&self) -> RequestError {
        self.failed(
            ErrorCode::BAD_MESSAGE,
            "librdkafka returned the result of another operation".into(),
            None,
        )
    }

    pub(crate) fn timeout_ms(&self) -> c_int {
        milliseconds(self.timeout)
    }
}

fn milliseconds(duration: Duration) -> c_int {
    let bounded = duration.clamp(Duration::from_millis(1), MAX_TIMEOUT);
    c_int::try_from(bounded.as_millis()).unwrap_or(c_int::MAX)
}

/// The broker's timeout: slightly shorter than the caller's, so that its response for each topic (`REQUEST_TIMED_OUT`)
/// arrives before the client fails the whole request.
fn broker_timeout(timeout: Duration) -> Duration {
    timeout - (timeout / 4).min(Duration::from_secs(1))
}

/// librdkafka's options object of one request.
pub(crate) struct AdminOptions(NonNull<rd::rd_kafka_AdminOptions_t>);

impl AdminOptions {
    /// `number` comes back with the response, see [`crate::handle::Event::request_number`].
    pub(crate) fn new(handle: &ClientHandle, request: &Request, number: usize) -> Result<Self, RequestError> {
        // SAFETY: the client is alive.
        let options = unsafe { rd::rd_kafka_AdminOptions_new(handle.client(), request.admin_operation) };
        let Some(options) = NonNull::new(options).map(Self) else {
            return Err(request.failed(
                ErrorCode::INVALID_ARGUMENT,
                "librdkafka does not support the operation".into(),
                None,
            ));
        };
        let mut text = ErrorText::new();
        // SAFETY: the options are alive, and the buffer has the passed length.
        let code = unsafe {
            rd::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                request.timeout_ms(),
                text.as_mut_ptr(),
                text.len(),
            )
        };
        options.check(request, code, &text)?;
        if request.has_operation_timeout {
            let timeout_ms = milliseconds(broker_timeout(request.timeout.min(MAX_TIMEOUT)));
            // SAFETY: the options are alive, and the buffer has the passed length.
            let code = unsafe {
                rd::rd_kafka_AdminOptions_set_operation_timeout(
                    options.as_ptr(),
                    timeout_ms,
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            options.check(request, code, &text)?;
        }
        // SAFETY: the options are alive; librdkafka never dereferences the pointer, which only carries a number.
        unsafe {
            rd::rd_kafka_AdminOptions_set_opaque(options.as_ptr(), std::ptr::without_provenance_mut(number));
        }
        Ok(options)
    }

    fn check(
        &self,
        request: &Request,
        code: rd::rd_kafka_resp_err_t,
        text: &ErrorText,
    ) -> Result<(), RequestError> {
        match code {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(request.failed(ErrorCode::from_c(code as c_int), text.to_string(), None)),
        }
    }

    /// The pointer for calls into librdkafka, which copies the options.
    pub(crate) fn as_ptr(&self) -> *mut rd::rd_kafka_AdminOptions_t {
        self.0.as_ptr()
    }
}

impl Drop for AdminOptions {
    fn drop(&mut self) {
        // SAFETY: this value owns the options and destroys them once.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_clamped_to_librdkafkas_range() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_millis(1500)), 1500);
        assert_eq!(milliseconds(Duration::MAX), 3_600_000);
    }

    #[test]
    fn the_brokers_timeout_is_shorter_than_the_callers() {
        assert_eq!(broker_timeout(Duration::from_secs(30)), Duration::from_secs(29));
        assert_eq!(broker_timeout(Duration::from_secs(2)), Duration::from_millis(1500));
    }
}
