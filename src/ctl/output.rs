//! The results of commands, and messages on standard error.

use std::io::Write;
use std::path::Path;

use crate::kubernetes::SessionError;

/// The name of the program.
pub(super) const NAME: &str = "eventctl";

/// The result of a command.
pub(super) struct Answer {
    /// Whether the exit code is 0; otherwise it is 1.
    pub(super) yes: bool,
    /// The text for standard output; empty if the command has printed it.
    pub(super) text: String,
}

/// The command is refused and has changed nothing: the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

/// The name by which the user runs the program: `kubectl eventcenter` if it is installed as the plugin
/// `kubectl-eventcenter`.
pub(super) fn program_name() -> &'static str {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("kubectl-eventcenter") { "kubectl eventcenter" } else { NAME }
}

/// Prints a message to standard error.
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

/// An error and its causes on one line. Leaves out a cause that the previous message ends with.
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
        let error = Err::<(), _>(anyhow!("not there")).context("reading x: not there").context("opening");
        assert_eq!(render_error(&error.expect_err("an error")), "opening: reading x: not there");
    }

    #[test]
    fn only_denials_and_conflicts_are_refusals() {
        assert!(is_refusal(&Refused("no".into()).into()));
        let denial = Denial { reason: "x".into(), message: "no".into(), spec_hash: None };
        assert!(is_refusal(&SessionError::Denied(denial).into()));
        assert!(is_refusal(&SessionError::Conflict { what: "x".into() }.into()));
        let forbidden = SessionError::Forbidden { what: "x".into(), message: "y".into() };
        assert!(!is_refusal(&forbidden.into()) && !is_refusal(&anyhow!("away")));
    }
}
