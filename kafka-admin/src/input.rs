//! Validation of a batch before it is sent, and the C arrays that carry it.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;

use crate::error::{BrokerError, ItemResults, RequestError};
use crate::options::Request;

/// The maximum number of topics in one request.
///
/// librdkafka stores the names of a batch on the stack of the calling thread (IncrementalAlterConfigs) or of its own thread
/// (error texts), and finds the item of each result by linear search. 2,000 topics with names of the maximum length take
/// half a megabyte of the stack, which is 2 MiB in a worker thread of Tokio. KRaft also refuses a change of more than 10,000
/// records (topics + partitions + configs) as a whole; the caller has to respect that limit.
pub const MAX_TOPICS_PER_REQUEST: usize = 2_000;

/// The longest string of the protocol versions that librdkafka uses: the length is a signed 16-bit integer.
const MAX_STRING_BYTES: usize = i16::MAX as usize;

/// Converts a string to the form that librdkafka sends.
pub(crate) fn c_string(request: &Request, item: &str, value: &str) -> Result<CString, RequestError> {
    if value.len() > MAX_STRING_BYTES {
        return Err(request.invalid(item, format!("a string of more than {MAX_STRING_BYTES} bytes")));
    }
    CString::new(value).map_err(|_| request.invalid(item, "a string with a NUL byte"))
}

/// Converts the names of one request: at most [`MAX_TOPICS_PER_REQUEST`], none empty, no duplicate (librdkafka or the
/// broker would refuse the whole request).
pub(crate) fn c_names<'a>(
    request: &Request,
    names: impl ExactSizeIterator<Item = &'a str>,
) -> Result<Vec<CString>, RequestError> {
    if names.len() > MAX_TOPICS_PER_REQUEST {
        let count = names.len();
        return Err(
            request.invalid("the batch", format!("{count} topics, more than {MAX_TOPICS_PER_REQUEST}"))
        );
    }
    let mut unique = HashSet::with_capacity(names.len());
    names
        .map(|name| {
            if name.is_empty() {
                return Err(request.invalid(name, "an empty name"));
            }
            if !unique.insert(name) {
                return Err(request.invalid(name, "named twice in one request"));
            }
            c_string(request, name, name)
        })
        .collect()
}

/// Puts results into the order of the requested names.
pub(crate) fn order_by_name<T>(
    names: &[String],
    results: impl Iterator<Item = (String, Result<T, BrokerError>)>,
) -> ItemResults<T> {
    let mut by_name: HashMap<String, Result<T, BrokerError>> = results.collect();
    names
        .iter()
        .map(|name| by_name.remove(name).unwrap_or_else(|| Err(BrokerError::missing_from_response())))
        .collect()
}

/// An array of C objects, which it owns and destroys. librdkafka copies the objects of a request.
pub(crate) struct ObjectArray<T> {
    pointers: Vec<*mut T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> ObjectArray<T> {
    /// # Safety
    /// `destroy` may be called with the only pointer to an object, and frees the object.
    pub(crate) unsafe fn new(capacity: usize, destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Self { pointers: Vec::with_capacity(capacity), destroy }
    }

    /// Takes ownership of the object. `false` if the pointer is null.
    ///
    /// # Safety
    /// `object` is null, or the only pointer to an object that `destroy` may free.
    pub(crate) unsafe fn push(&mut self, object: *mut T) -> bool {
        if object.is_null() {
            return false;
        }
        self.pointers.push(object);
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = *mut T> {
        self.pointers.iter().copied()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut T {
        self.pointers.as_mut_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.pointers.len()
    }
}

impl<T> Drop for ObjectArray<T> {
    fn drop(&mut self) {
        for object in &self.pointers {
            // SAFETY: the callers of `new` and `push` guarantee that `destroy` may free the object.
            unsafe { (self.destroy)(*object) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorCode;
    use crate::options::AdminOperation;

    const REQUEST: Request = Request {
        operation: "CreateTopics",
        admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_CREATETOPICS,
        timeout: Duration::from_secs(1),
        has_operation_timeout: true,
    };

    fn validate(names: &[&str]) -> String {
        match c_names(&REQUEST, names.iter().copied()) {
            Ok(_) => "accepted".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn invalid_batches_are_refused_with_the_reason() {
        assert_eq!(validate(&["a", "b"]), "accepted");
        assert_eq!(validate(&["a", "b", "a"]), r#"CreateTopics: "a": named twice in one request"#);
        assert_eq!(validate(&["a", ""]), r#"CreateTopics: "": an empty name"#);
        assert_eq!(validate(&["a\0b"]), r#"CreateTopics: "a\0b": a string with a NUL byte"#);
        assert!(validate(&[&"x".repeat(40_000)]).ends_with("a string of more than 32767 bytes"));
        let many: Vec<String> = (0..2_001).map(|i| i.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(validate(&many), r#"CreateTopics: "the batch": 2001 topics, more than 2000"#);
    }

    #[test]
    fn results_are_in_request_order_and_a_missing_one_is_an_error() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let ordered = order_by_name(&names, [("c".to_owned(), Ok(3)), ("a".to_owned(), Ok(1))].into_iter());
        assert_eq!(ordered[0], Ok(1));
        assert_eq!(ordered[1].as_ref().map_err(BrokerError::code), Err(ErrorCode::BAD_MESSAGE));
        assert_eq!(ordered[2], Ok(3));
    }
}
