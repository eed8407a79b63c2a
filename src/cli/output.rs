//! What a person sees: data on stdout, talk on stderr, colours only on a terminal and never against `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::{Done, Exit, Failure};
use crate::diagnostic::Diagnostic;

/// Whether stderr gets colours.
pub fn colours_on_stderr() -> bool {
    wants_colours(io::stderr().is_terminal())
}

/// Whether stdout gets colours.
pub fn colours_on_stdout() -> bool {
    wants_colours(io::stdout().is_terminal())
}

fn wants_colours(terminal: bool) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    terminal && !no_color && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the terminal, 100 where there is none.
pub fn width() -> usize {
    std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|n| *n >= 40)
        .unwrap_or(100)
}

/// Writes data to stdout. A reader that went away (`cordon runs | head`) is no failure.
pub fn data(text: &str) -> Done {
    let mut out = io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    match write!(out, "{text}{end}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("cannot write the answer: {error}"),
            "",
        )),
    }
}

/// Writes data to stdout as JSON.
pub fn json(value: &impl Serialize) -> Done {
    match serde_json::to_string_pretty(value) {
        Ok(text) => data(&text),
        Err(error) => Err(Failure::new(
            Exit::Failed,
            format!("cannot write the answer: {error}"),
            "",
        )),
    }
}

/// Says something to the person, on stderr.
pub fn say(text: &str) {
    // Nobody can be told that nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints diagnostics to stderr as a person reads them.
pub fn diagnostics(found: &[Diagnostic]) {
    let colours = colours_on_stderr();
    for one in found {
        say(&one.render(colours));
        say("");
    }
}

/// Columns under headings, each as wide as its widest cell; the last is not padded.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headings.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// Text of strangers without what would move the cursor or change colours.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_and_prints_no_control_characters() {
        let rows = vec![
            vec!["a".to_owned(), "x\u{1b}[31m".to_owned()],
            vec!["long".to_owned(), "y".to_owned()],
        ];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID    NAME\na     x [31m\nlong  y");
    }
}
