//! A table for a terminal: columns as wide as their widest cell.

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// For text.
    Left,
    /// For numbers.
    Right,
}

/// Rows of text under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    headings: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub(crate) fn new(headings: &[(&str, Align)]) -> Self {
        Self {
            headings: headings.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let headings: Vec<String> = self.headings.iter().map(|(name, _)| name.clone()).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |column| lines().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        for row in lines() {
            let mut line = String::new();
            for (column, (_, align)) in self.headings.iter().enumerate() {
                let (text, width) = (cell(row, column), width(column));
                match align {
                    Align::Left => line.push_str(&format!("{text:<width$}  ")),
                    Align::Right => line.push_str(&format!("{text:>width$}  ")),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&[("step", Align::Left), ("rate", Align::Right), ("note", Align::Left)]);
        table.row(&["create", "51.2", ""]);
        table.row(&["délete", "1051.2", "x"]);
        assert_eq!(table.to_string(), "step      rate  note\ncreate    51.2\ndélete  1051.2  x\n");
    }
}
