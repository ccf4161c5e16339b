//! Errors with their causes, as text.

use std::error::Error;
use std::fmt;

/// Displays an error and its causes on one line: `ERROR: CAUSE: CAUSE`.
///
/// Some libraries repeat the cause in the text of the error; such a cause is not shown twice.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.to_string();
        f.write_str(&shown)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !shown.ends_with(&text) {
                write!(f, ": {text}")?;
                shown = text;
            }
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn chain(texts: &[&'static str]) -> String {
        let nested = texts.iter().rev().fold(None, |source, text| Some(Box::new(Layer { text, source })));
        ErrorChain(&*nested.expect("at least one text")).to_string()
    }

    #[test]
    fn causes_follow_the_error() {
        assert_eq!(chain(&["reading x"]), "reading x");
        assert_eq!(chain(&["reading x", "connecting", "refused"]), "reading x: connecting: refused");
    }

    #[test]
    fn a_repeated_cause_is_shown_once() {
        assert_eq!(chain(&["looking", "reading x: not there", "not there"]), "looking: reading x: not there");
        assert_eq!(chain(&["a", "a", "b"]), "a: b");
    }
}
