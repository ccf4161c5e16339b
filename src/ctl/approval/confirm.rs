//! Confirmation by the user.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;

/// How the arguments confirm a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmation {
    /// `--hash` names the reviewed content.
    pub(super) by_hash: bool,
    /// `--yes` is given.
    pub(super) by_yes: bool,
}

/// Whether the arguments confirm the command, or else the user does at the terminal. `remedy` names the flags that
/// confirm it.
///
/// # Errors
/// The arguments do not confirm it, and standard input is not a terminal.
pub(super) fn is_confirmed(
    given: Confirmation,
    preview: &str,
    question: &str,
    remedy: &str,
) -> anyhow::Result<bool> {
    if given.by_hash || given.by_yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("no confirmation: standard input is not a terminal: give {remedy}");
    }
    Ok(ask(preview, question, &mut std::io::stdin().lock(), &mut std::io::stderr().lock())?)
}

/// Asks the user. The dialogue is not the command's result, so it is written to standard error.
fn ask(
    preview: &str,
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> std::io::Result<bool> {
    write!(output, "{preview}\n\n{question} [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_confirms() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yellow\n", false)]
        {
            let mut output = Vec::new();
            let confirmed = ask("a change", "Approve this change?", &mut answer.as_bytes(), &mut output);
            assert_eq!(confirmed.expect("the dialogue is written"), expected, "{answer:?}");
            assert_eq!(String::from_utf8_lossy(&output), "a change\n\nApprove this change? [y/N] ");
        }
    }
}
