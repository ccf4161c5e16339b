//! How text comes to a terminal, or to whoever reads it instead.
//!
//! What others have written, such as a name, a value of a configuration or a comment, is shown without characters that
//! a terminal obeys: whoever decides by it has to see what is there.

use std::io::IsTerminal;

use clap::ValueEnum;

/// Text on one line, without what a terminal or an editor would obey.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

/// Columns as wide as they have to be, three spaces apart, as `kubectl` has them.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    painted_table(heads, rows, |_, _| None)
}

/// The same, where some cells have a colour, by row and column.
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
        padded.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    let rows = rows.iter().enumerate().map(|(at, row)| {
        line(std::array::from_fn(|column| row[column].as_str()), &|column| paint(at, column))
    });
    [line(heads, &|_| None)].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// Text of at most so many characters; the last one tells that there is more.
pub(super) fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Whether people read what is written to standard output, as it is written.
pub(super) fn is_there() -> bool {
    std::io::stdout().is_terminal()
}

/// How many characters a line of standard output has, if it is a terminal.
pub(super) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// When something is coloured.
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

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// It is not known yet.
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
            Self::Auto => is_there() && !set("NO_COLOR") && !is_dumb,
        }
    }
}

/// Text in a colour.
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
    fn what_is_too_long_says_that_there_is_more() {
        assert_eq!(shortened("häuser", 6), "häuser");
        assert_eq!(shortened("häuser", 5), "häus…");
        assert_eq!(shortened("häuser", 0), "…");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        assert_eq!(plain("a\u{1b}[2Kb\nc\u{202e}d"), "a\u{fffd}[2Kb\u{fffd}c\u{fffd}d");
    }

    #[test]
    fn a_colour_that_is_asked_for_is_there() {
        assert!(Color::Always.is_on() && !Color::Never.is_on());
        assert_eq!(painted("no", Paint::Bad), "\u{1b}[31mno\u{1b}[0m");
    }
}
