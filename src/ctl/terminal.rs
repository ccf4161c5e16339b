//! Text for terminals.
//!
//! Text from other users, such as names and comments, is printed without control characters: they could hide from an
//! approver what a change does.

use std::io::IsTerminal;

use clap::ValueEnum;
use jiff::Timestamp;

/// Replaces control characters and those that change the direction of writing.
pub(super) fn plain(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_control(c) { '\u{fffd}' } else { c }).collect()
}

/// The time since a moment, in the units of `kubectl`.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |more: i64, unit: &str| if more == 0 { String::new() } else { format!("{more}{unit}") };
    match (minutes, hours, days) {
        (..2, _, _) => format!("{seconds}s"),
        (..10, _, _) => format!("{minutes}m{}", with(seconds % 60, "s")),
        (_, ..3, _) => format!("{minutes}m"),
        (_, ..8, _) => format!("{hours}h{}", with(minutes % 60, "m")),
        (_, ..48, _) => format!("{hours}h"),
        (_, _, ..8) => format!("{days}d{}", with(hours % 24, "h")),
        (_, _, ..730) => format!("{days}d"),
        _ => format!("{}y{}", days / 365, with(days % 365, "d")),
    }
}

/// Number of spaces between the columns of a table.
pub(super) const GAP: usize = 3;

/// A table with columns three spaces apart, as `kubectl` prints it.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    painted_table(heads, rows, |_, _| None)
}

/// A table with coloured cells; `paint` gets row and column.
pub(super) fn painted_table<const N: usize>(
    heads: [&str; N],
    rows: &[[String; N]],
    paint: impl Fn(usize, usize) -> Option<Paint>,
) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N], paint: &dyn Fn(usize) -> Option<Paint>| {
        let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            let padded = format!("{cell:<width$}");
            match paint(column) {
                Some(paint) => padded.replacen(cell, &painted(cell, paint), 1),
                None => padded,
            }
        });
        padded.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    let rows = rows.iter().enumerate().map(|(at, row)| {
        line(std::array::from_fn(|column| row[column].as_str()), &|column| paint(at, column))
    });
    [line(heads, &|_| None)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// Truncates text to a number of characters; an ellipsis replaces what is left out.
pub(super) fn truncated(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Whether standard output is a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// The width of the terminal in characters; `None` if standard output is not a terminal.
pub(super) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The meaning of a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Not completed yet.
    Open,
}

impl Color {
    /// Whether standard output is coloured.
    pub(super) fn is_on(self) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal() && !set("NO_COLOR") && !is_dumb,
        }
    }
}

/// Colours text (ECMA-48).
pub(super) fn painted(text: &str, paint: Paint) -> String {
    let code = match paint {
        Paint::Good => "32",
        Paint::Bad => "31",
        Paint::Open => "33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_truncated() {
        assert_eq!(truncated("häuser", 6), "häuser");
        assert_eq!(truncated("häuser", 5), "häus…");
        assert_eq!(truncated("häuser", 0), "…");
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(plain("a\u{1b}[2Kb\nc\u{202e}d"), "a\u{fffd}[2Kb\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn colours_can_be_forced() {
        assert!(Color::Always.is_on() && !Color::Never.is_on());
        assert_eq!(painted("no", Paint::Bad), "\u{1b}[31mno\u{1b}[0m");
    }
}
