//! librdkafka's functions that return an enumeration whose values come from the broker.
//!
//! rdkafka-sys binds C enumerations as Rust enums, for which an unlisted value is undefined behaviour. librdkafka copies
//! error codes and configuration sources from the wire, so a broker newer than the bindings could send such a value. This
//! module declares these functions again with plain integers, which have the same ABI.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int};

pub(crate) use rdkafka_sys::bindings as rd;

unsafe extern "C" {
    pub(crate) fn rd_kafka_event_error(event: *mut rd::rd_kafka_event_t) -> c_int;
    pub(crate) fn rd_kafka_topic_result_error(result: *const rd::rd_kafka_topic_result_t) -> c_int;
    pub(crate) fn rd_kafka_ConfigResource_error(resource: *const rd::rd_kafka_ConfigResource_t) -> c_int;
    pub(crate) fn rd_kafka_ConfigEntry_source(entry: *const rd::rd_kafka_ConfigEntry_t) -> c_int;
    pub(crate) fn rd_kafka_error_code(error: *const rd::rd_kafka_error_t) -> c_int;
    pub(crate) fn rd_kafka_AclBinding_restype(acl: *const rd::rd_kafka_AclBinding_t) -> c_int;
    pub(crate) fn rd_kafka_AclBinding_resource_pattern_type(acl: *const rd::rd_kafka_AclBinding_t) -> c_int;
    pub(crate) fn rd_kafka_AclBinding_operation(acl: *const rd::rd_kafka_AclBinding_t) -> c_int;
    pub(crate) fn rd_kafka_AclBinding_permission_type(acl: *const rd::rd_kafka_AclBinding_t) -> c_int;
    pub(crate) fn rd_kafka_producev(client: *mut rd::rd_kafka_t, ...) -> c_int;
    pub(crate) fn rd_kafka_err2str(code: c_int) -> *const c_char;
    pub(crate) fn rd_kafka_err2name(code: c_int) -> *const c_char;
    pub(crate) fn rd_kafka_metadata(
        client: *mut rd::rd_kafka_t,
        all_topics: c_int,
        only_topic: *mut rd::rd_kafka_topic_t,
        metadata: *mut *const rd::rd_kafka_metadata,
        timeout_ms: c_int,
    ) -> c_int;
}

/// A C string as text, `None` for a null pointer. Bytes that are not UTF-8 are replaced: the protocol's names and messages
/// are UTF-8, so this only matters for a corrupt response.
///
/// # Safety
/// `pointer` is null, or points to a NUL-terminated string that stays unchanged for `'a`.
pub(crate) unsafe fn text<'a>(pointer: *const c_char) -> Option<Cow<'a, str>> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller guarantees the terminator and the lifetime.
    Some(unsafe { CStr::from_ptr(pointer) }.to_string_lossy())
}

/// A C array as a slice, empty for a null pointer.
///
/// # Safety
/// `pointer` is null, or points to `count` elements that stay unchanged for `'a`.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, count: usize) -> &'a [T] {
    if pointer.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: not null, and the caller guarantees the length and the lifetime.
    unsafe { std::slice::from_raw_parts(pointer, count) }
}

/// The buffer into which librdkafka's functions write an error text.
pub(crate) struct ErrorText([c_char; 512]);

impl ErrorText {
    pub(crate) fn new() -> Self {
        Self([0; 512])
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for ErrorText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: Vec<u8> = self.0.iter().take_while(|c| **c != 0).map(|c| c.cast_unsigned()).collect();
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}
