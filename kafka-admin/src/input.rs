//! Checks that a batch can be sent, and the C arrays that carry it.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;

use crate::options::Request;
use crate::{BrokerError, RequestError};

/// The most topics that one request may name.
///
/// librdkafka keeps the names of a batch on the stack of the calling thread (IncrementalAlterConfigs) or of its own
/// (error texts), and looks each answer up by a linear search. 2,000 topics of the longest name take half a megabyte of
/// a stack, which in an asynchronous worker is 2 MiB. Besides, KRaft refuses a change of more than 10,000 records
/// (topics + partitions + configs) as a whole, which is for the caller to respect.
pub const MAX_TOPICS_PER_REQUEST: usize = 2_000;

/// The longest string of the protocol versions that librdkafka uses: the length is a signed 16-bit number.
const LONGEST_STRING: usize = i16::MAX as usize;

/// A string that can be sent.
pub(crate) fn c_string(request: &Request, item: &str, value: &str) -> Result<CString, RequestError> {
    if value.len() > LONGEST_STRING {
        return Err(request.invalid(item, format!("a string of more than {LONGEST_STRING} bytes")));
    }
    CString::new(value).map_err(|_| request.invalid(item, "a string with a NUL byte"))
}

/// Names that can be sent in one request: not too many, none empty, none twice (librdkafka or the broker would refuse
/// the whole request).
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
    let mut seen = HashSet::with_capacity(names.len());
    names
        .map(|name| {
            if name.is_empty() {
                return Err(request.invalid(name, "an empty name"));
            }
            if !seen.insert(name) {
                return Err(request.invalid(name, "named twice in one request"));
            }
            c_string(request, name, name)
        })
        .collect()
}

/// Puts the answers into the order of the names that were asked for.
pub(crate) fn in_order<T>(
    names: &[String],
    answers: impl Iterator<Item = (String, Result<T, BrokerError>)>,
) -> Vec<Result<T, BrokerError>> {
    let mut by_name: HashMap<String, Result<T, BrokerError>> = answers.collect();
    names.iter().map(|name| by_name.remove(name).unwrap_or_else(|| Err(BrokerError::unanswered()))).collect()
}

/// An array of C objects, each destroyed with the array. librdkafka copies what it is given.
pub(crate) struct Objects<T> {
    pointers: Vec<*mut T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Objects<T> {
    /// # Safety
    /// `destroy` frees an object of which it gets the only pointer.
    pub(crate) unsafe fn new(capacity: usize, destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Self { pointers: Vec::with_capacity(capacity), destroy }
    }

    /// Takes the object. `false` for a null pointer, which is not taken.
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

impl<T> Drop for Objects<T> {
    fn drop(&mut self) {
        for object in &self.pointers {
            // SAFETY: promised by whoever made the array and pushed the object.
            unsafe { (self.destroy)(*object) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorCode;
    use crate::options::Api;

    const REQUEST: Request = Request {
        operation: "CreateTopics",
        api: Api::RD_KAFKA_ADMIN_OP_CREATETOPICS,
        timeout: Duration::from_secs(1),
        tells_broker: true,
    };

    fn refusal(names: &[&str]) -> String {
        match c_names(&REQUEST, names.iter().copied()) {
            Ok(_) => "accepted".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn batches_that_cannot_be_sent_are_refused_with_the_reason() {
        assert_eq!(refusal(&["a", "b"]), "accepted");
        assert_eq!(refusal(&["a", "b", "a"]), r#"CreateTopics: "a": named twice in one request"#);
        assert_eq!(refusal(&["a", ""]), r#"CreateTopics: "": an empty name"#);
        assert_eq!(refusal(&["a\0b"]), r#"CreateTopics: "a\0b": a string with a NUL byte"#);
        assert!(refusal(&[&"x".repeat(40_000)]).ends_with("a string of more than 32767 bytes"));
        let many: Vec<String> = (0..2_001).map(|i| i.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refusal(&many), r#"CreateTopics: "the batch": 2001 topics, more than 2000"#);
    }

    #[test]
    fn answers_follow_the_question_and_a_missing_one_is_an_error() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let ordered = in_order(&names, [("c".to_owned(), Ok(3)), ("a".to_owned(), Ok(1))].into_iter());
        assert_eq!(ordered[0], Ok(1));
        assert_eq!(ordered[1].as_ref().map_err(BrokerError::code), Err(ErrorCode::BAD_MESSAGE));
        assert_eq!(ordered[2], Ok(3));
    }
}
