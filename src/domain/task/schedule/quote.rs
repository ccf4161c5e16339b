//! Quotes what users wrote in errors.

/// The number of characters that are quoted.
const MAX: usize = 40;

/// The text in quotation marks, without control characters, and shortened if it is long.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
