//! Lines of what comes piece by piece.

use std::collections::VecDeque;

/// Puts pieces together to lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ready: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    /// The next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.rest.extend_from_slice(part);
            if parts.peek().is_some() {
                self.ready.push_back(std::mem::take(&mut self.rest));
            }
        }
    }

    /// The next line that is whole, without its end.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
    }

    /// How long the line is that is not whole yet.
    pub(super) fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// What came after the last end of a line.
    pub(super) fn rest(self) -> Option<Vec<u8>> {
        (!self.rest.is_empty()).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        for size in 1..20 {
            let mut lines = Lines::default();
            b"one\n\ntwo and three\nfour".chunks(size).for_each(|piece| lines.push(piece));
            let whole: Vec<Vec<u8>> = std::iter::from_fn(|| lines.next()).collect();
            assert_eq!(whole, [b"one".to_vec(), b"".to_vec(), b"two and three".to_vec()], "{size}");
            assert_eq!(lines.rest(), Some(b"four".to_vec()));
        }
        let mut lines = Lines::default();
        lines.push(b"one\n");
        assert_eq!((lines.next(), lines.rest()), (Some(b"one".to_vec()), None));
    }
}
