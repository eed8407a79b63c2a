//! Errors that point: a code with a page, a message, the place in the author's file, and what to do. Made
//! for people who write playbooks, triggers, manifests and configuration; never used for faults at run time.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// How much a diagnostic weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The content works, but not as its author will expect.
    Warning,
    /// The content does not load.
    Error,
}

/// One thing that is wrong in one place of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The code, such as `T003`; `docs/errors/T003.md` and `cordon explain T003` say more.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, lower case, with the author's own words in back-ticks.
    pub message: String,
    /// The file as the author knows it.
    pub file: String,
    /// First line of the place, from 1. 0 when the whole file is meant.
    pub line: usize,
    /// First column of the place, in characters, from 1. 0 when the whole file is meant.
    pub column: usize,
    /// What to do about it.
    pub help: String,
    #[serde(skip)]
    source: String,
    #[serde(skip)]
    span: Range<usize>,
}

impl Diagnostic {
    /// An error at a byte range of `source`. A range outside the text is brought inside it.
    pub fn error(
        code: &'static str,
        message: impl Into<String>,
        file: impl Into<String>,
        source: &str,
        span: Range<usize>,
        help: impl Into<String>,
    ) -> Diagnostic {
        let mut start = span.start.min(source.len());
        while !source.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = span.end.clamp(start, source.len());
        while !source.is_char_boundary(end) {
            end += 1;
        }
        let before = source.get(..start).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: file.into(),
            line,
            column,
            help: help.into(),
            source: source.to_owned(),
            span: start..end,
        }
    }

    /// An error at a line and column (both from 1, the column in characters), underlining the word there.
    pub fn error_at(
        code: &'static str,
        message: impl Into<String>,
        file: impl Into<String>,
        source: &str,
        (line, column): (usize, usize),
        help: impl Into<String>,
    ) -> Diagnostic {
        let span = word_at(source, line, column);
        Diagnostic::error(code, message, file, source, span, help)
    }

    /// An error that concerns a whole file, such as one that is missing.
    pub fn whole_file(
        code: &'static str,
        message: impl Into<String>,
        file: impl Into<String>,
        help: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            file: file.into(),
            line: 0,
            column: 0,
            help: help.into(),
            source: String::new(),
            span: 0..0,
        }
    }

    /// The same, as a warning.
    pub fn as_warning(mut self) -> Diagnostic {
        self.severity = Severity::Warning;
        self
    }

    /// The diagnostic as a person reads it, with the line, a caret and the help. Colours only when asked.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let main = if self.line == 0 {
            Group::with_title(title).element(annotate_snippets::Origin::path(self.file.as_str()))
        } else {
            Group::with_title(title).element(
                Snippet::source(self.source.as_str())
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(self.span.clone())),
            )
        };
        let help = Group::with_title(Level::HELP.secondary_title(self.help.as_str()));
        renderer.render(&[main, help])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The byte range of the word at a line and column, or of one character where there is no word.
fn word_at(source: &str, line: usize, column: usize) -> Range<usize> {
    let mut start_of_line = 0;
    for _ in 1..line {
        match source.get(start_of_line..).and_then(|rest| rest.find('\n')) {
            Some(n) => start_of_line += n + 1,
            None => return source.len()..source.len(),
        }
    }
    let rest = source.get(start_of_line..).unwrap_or("");
    let text = rest.split('\n').next().unwrap_or("");
    let offset = text
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(n, _)| n);
    let tail = text.get(offset..).unwrap_or("");
    let word: usize = tail
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .map(char::len_utf8)
        .sum();
    let length = if word > 0 {
        word
    } else {
        tail.chars().next().map_or(0, char::len_utf8)
    };
    let start = start_of_line + offset;
    start..start + length
}

/// The known word nearest to `word`, for "did you mean": at most a third of its letters may differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (word.len().max(candidate.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (b, cell) in two.iter().zip(row.iter_mut().skip(1)) {
            let up = *cell;
            left = (diagonal + usize::from(a != *b)).min(up + 1).min(left + 1);
            diagonal = up;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_points_and_helps() {
        let source = "title: x\ndetection:\n  who: { affected.tpye: host }\n";
        let at = source.find("affected.tpye").unwrap();
        let error = Diagnostic::error(
            "T001",
            "unknown field `affected.tpye`",
            "trigger.yml",
            source,
            at..at + 13,
            "did you mean `affected.type`?",
        );
        assert_eq!((error.line, error.column), (3, 10));
        insta::assert_snapshot!(error.render(false));
    }

    #[test]
    fn a_place_outside_the_text_is_brought_inside() {
        let error = Diagnostic::error_at("X", "m", "f", "é", (9, 9), "h");
        assert_eq!((error.line, error.column), (1, 2));
    }

    #[test]
    fn the_nearest_word_is_offered_only_when_near() {
        let known = ["isolate", "release", "suspend"];
        assert_eq!(nearest("isolat", known), Some("isolate"));
        assert_eq!(nearest("relaese", known), Some("release"));
        assert_eq!(nearest("banana", known), None);
    }
}
