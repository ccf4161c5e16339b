//! Splits a stream into lines.

use std::collections::VecDeque;

/// Collects chunks and returns their lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    ready: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl LineBuffer {
    /// Appends a chunk.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let mut parts = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.rest.extend_from_slice(part);
            if parts.peek().is_some() {
                self.ready.push_back(std::mem::take(&mut self.rest));
            }
        }
    }

    /// The next complete line, without its end.
    pub(super) fn next_line(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    /// The length of the incomplete line, in bytes.
    pub(super) fn incomplete_len(&self) -> usize {
        self.rest.len()
    }

    /// The incomplete line at the end of the stream.
    pub(super) fn into_rest(self) -> Option<Vec<u8>> {
        (!self.rest.is_empty()).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_split_into_lines() {
        for size in 1..20 {
            let mut lines = LineBuffer::default();
            b"one\n\ntwo and three\nfour".chunks(size).for_each(|chunk| lines.push(chunk));
            let whole: Vec<Vec<u8>> = std::iter::from_fn(|| lines.next_line()).collect();
            assert_eq!(whole, [b"one".to_vec(), b"".to_vec(), b"two and three".to_vec()], "{size}");
            assert_eq!(lines.into_rest(), Some(b"four".to_vec()));
        }
        let mut lines = LineBuffer::default();
        lines.push(b"one\n");
        assert_eq!((lines.next_line(), lines.into_rest()), (Some(b"one".to_vec()), None));
    }
}
