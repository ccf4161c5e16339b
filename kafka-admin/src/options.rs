//! The options of one request.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::time::Duration;

use crate::RequestError;
use crate::error::ErrorCode;
use crate::handle::Link;
use crate::sys::{ErrorText, rd};

pub(crate) use rdkafka_sys::bindings::rd_kafka_admin_op_t as Api;

/// The longest timeout that librdkafka accepts.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is to be asked, apart from its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Kafka's name of the operation, for errors.
    pub(crate) operation: &'static str,
    /// librdkafka's name of it.
    pub(crate) api: Api,
    /// How long the caller waits.
    pub(crate) timeout: Duration,
    /// Whether the broker is told how long it may take, as it is for changes of topics.
    pub(crate) tells_broker: bool,
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

    /// An answer whose type does not fit the question, which would be librdkafka's mistake.
    pub(crate) fn mismatch(&self) -> RequestError {
        self.failed(ErrorCode::BAD_MESSAGE, "librdkafka answered another operation".into(), None)
    }

    pub(crate) fn timeout_ms(&self) -> c_int {
        milliseconds(self.timeout)
    }
}

fn milliseconds(duration: Duration) -> c_int {
    let bounded = duration.clamp(Duration::from_millis(1), LONGEST);
    c_int::try_from(bounded.as_millis()).unwrap_or(c_int::MAX)
}

/// How long the broker may take: a little less than the caller waits, so that its answer for each topic ("still going
/// on") arrives before the client gives up on the whole request.
fn broker_timeout(timeout: Duration) -> Duration {
    timeout - (timeout / 4).min(Duration::from_secs(1))
}

/// librdkafka's object of the options.
pub(crate) struct AdminOptions(NonNull<rd::rd_kafka_AdminOptions_t>);

impl AdminOptions {
    /// `number` comes back with the answer, see [`crate::handle::Event::request`].
    pub(crate) fn new(link: &Link, request: &Request, number: usize) -> Result<Self, RequestError> {
        // SAFETY: the client is alive.
        let options = unsafe { rd::rd_kafka_AdminOptions_new(link.client(), request.api) };
        let Some(options) = NonNull::new(options).map(Self) else {
            return Err(request.failed(
                ErrorCode::INVALID_ARGUMENT,
                "librdkafka lacks the operation".into(),
                None,
            ));
        };
        let mut text = ErrorText::new();
        // SAFETY: the options are alive, the buffer has that length.
        let code = unsafe {
            rd::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                request.timeout_ms(),
                text.as_mut_ptr(),
                text.len(),
            )
        };
        options.check(request, code, &text)?;
        if request.tells_broker {
            let timeout_ms = milliseconds(broker_timeout(request.timeout.min(LONGEST)));
            // SAFETY: the options are alive, the buffer has that length.
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
        // SAFETY: the options are alive; librdkafka never follows the pointer, which is only a number.
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

    /// For calls into librdkafka, which copies the options.
    pub(crate) fn as_ptr(&self) -> *mut rd::rd_kafka_AdminOptions_t {
        self.0.as_ptr()
    }
}

impl Drop for AdminOptions {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { rd::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_stay_in_librdkafkas_range() {
        assert_eq!(milliseconds(Duration::ZERO), 1);
        assert_eq!(milliseconds(Duration::from_millis(1500)), 1500);
        assert_eq!(milliseconds(Duration::MAX), 3_600_000);
    }

    #[test]
    fn the_broker_has_a_little_less_time_than_the_caller() {
        assert_eq!(broker_timeout(Duration::from_secs(30)), Duration::from_secs(29));
        assert_eq!(broker_timeout(Duration::from_secs(2)), Duration::from_millis(1500));
    }
}
