//! Whether somebody really means it.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::bail;

/// How somebody has said that they mean it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// By having looked at it before.
    pub(super) by_hash: bool,
    /// By wanting no question.
    pub(super) by_yes: bool,
}

/// Whether somebody who sees this agrees. Without a terminal nobody can be asked.
///
/// # Errors
/// There is nobody to ask; then `instead` says what to give.
pub(super) fn agrees(given: Given, shown: &str, question: &str, instead: &str) -> anyhow::Result<bool> {
    if given.by_hash || given.by_yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked, because standard input is no terminal: give {instead}");
    }
    Ok(ask(shown, question, &mut std::io::stdin().lock(), &mut std::io::stderr().lock())?)
}

/// Asks. The dialogue is not what the command answers, so it goes to standard error.
fn ask(
    shown: &str,
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> std::io::Result<bool> {
    write!(output, "{shown}\n\n{question} [y/N] ")?;
    output.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, agrees) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yellow\n", false)]
        {
            let mut output = Vec::new();
            let found = ask("a change", "Approve this change?", &mut answer.as_bytes(), &mut output);
            assert_eq!(found.expect("it is written"), agrees, "{answer:?}");
            assert_eq!(String::from_utf8_lossy(&output), "a change\n\nApprove this change? [y/N] ");
        }
    }
}
