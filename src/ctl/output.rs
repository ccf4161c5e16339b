//! What every command ends with: an answer, a refusal or an error, and notes beside them.

use std::io::Write;
use std::path::Path;

use crate::kubernetes::SessionError;

/// The program's own name, unless it is called by another.
pub(super) const NAME: &str = "eventctl";

/// The answer of a command.
pub(super) struct Answer {
    /// Whether it is yes: the exit code is 0 then, and 1 otherwise.
    pub(super) yes: bool,
    /// For people or programs; empty if it is already on standard output.
    pub(super) text: String,
}

/// What was asked for is refused, so nothing was done: the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

/// The name that the program is called by: `kubectl eventcenter` if kubectl runs it, which finds it as
/// `kubectl-eventcenter`.
pub(super) fn program_name() -> &'static str {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("kubectl-eventcenter") { "kubectl eventcenter" } else { NAME }
}

/// Prints a note to standard error, where standard output is for something else.
pub(super) fn print_note(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Prints a warning to standard error.
pub(super) fn print_warning(text: &str) {
    drop(writeln!(std::io::stderr(), "warning: {text}"));
}

/// Whether an error is a refusal: then the exit code is 1 instead of 2.
pub(super) fn is_refusal(error: &anyhow::Error) -> bool {
    let is_refused =
        |error: &SessionError| matches!(error, SessionError::Denied(_) | SessionError::Conflict { .. });
    error.is::<Refused>() || error.downcast_ref::<SessionError>().is_some_and(is_refused)
}

/// An error and its causes on one line. A cause that the error before it repeats is left out.
pub(super) fn render_error(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        before if before.ends_with(&cause) => line,
        before => format!("{before}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::Denial;
    use anyhow::{Context, anyhow};

    #[test]
    fn a_repeated_cause_is_left_out() {
        let error = Err::<(), _>(anyhow!("not there")).context("reading x: not there").context("looking");
        assert_eq!(render_error(&error.expect_err("an error")), "looking: reading x: not there");
    }

    #[test]
    fn only_refusals_are_refusals() {
        assert!(is_refusal(&Refused("no".into()).into()));
        let denial = Denial { reason: "x".into(), message: "no".into(), spec_hash: None };
        assert!(is_refusal(&SessionError::Denied(denial).into()));
        assert!(is_refusal(&SessionError::Conflict { what: "x".into() }.into()));
        let forbidden = SessionError::Forbidden { what: "x".into(), message: "y".into() };
        assert!(!is_refusal(&forbidden.into()) && !is_refusal(&anyhow!("away")));
    }
}
