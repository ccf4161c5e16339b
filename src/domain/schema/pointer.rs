//! JSON Pointers (RFC 6901).

/// Appends a segment to a JSON Pointer.
pub(super) fn child(pointer: &str, segment: impl std::fmt::Display) -> String {
    let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{segment}")
}
