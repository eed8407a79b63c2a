//! A script as text whose comments and quoted texts are blanked out, so that a check which looks for words finds
//! only code. The places are those of the script itself. For a script that compiled; on anything else it
//! answers less, never wrongly far.

use std::ops::Range;

use crate::script::{Position, code_of};

/// A script, and its code.
pub(super) struct Text<'a> {
    /// As it was written.
    pub(super) source: &'a str,
    /// The same bytes with blanks for comments and for what stands inside quotes; the quotes stay, and so does
    /// code inside `${…}`.
    pub(super) code: String,
}

impl<'a> Text<'a> {
    pub(super) fn new(source: &'a str) -> Text<'a> {
        Text {
            source,
            code: code_of(source),
        }
    }

    /// The byte at a position of the script room, which counts lines and characters from 1.
    pub(super) fn offset(&self, at: Position) -> usize {
        let mut start = 0;
        for _ in 1..at.line {
            match self.source.get(start..).and_then(|rest| rest.find('\n')) {
                Some(n) => start += n + 1,
                None => return self.source.len(),
            }
        }
        let line = self.source.get(start..).unwrap_or("");
        let column = at.column.saturating_sub(1);
        start + line.char_indices().nth(column).map_or(line.len(), |(n, _)| n)
    }

    /// The arguments of the call that begins at `at`, without the blanks around each.
    pub(super) fn arguments(&self, at: usize) -> Vec<Range<usize>> {
        let Some(open) = self
            .code
            .get(at..)
            .and_then(|rest| rest.find('('))
            .map(|n| at + n + 1)
        else {
            return Vec::new();
        };
        let mut depth = 0_usize;
        let mut start = open;
        let mut ranges = Vec::new();
        for (n, c) in self.code.get(open..).unwrap_or("").char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => {
                    ranges.push(start..open + n);
                    break;
                }
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    ranges.push(start..open + n);
                    start = open + n + 1;
                }
                _ => {}
            }
        }
        ranges
            .into_iter()
            .map(|range| self.trimmed(range))
            .filter(|range| !range.is_empty())
            .collect()
    }

    /// Where `key` and its value stand in the map written at `map`.
    pub(super) fn member(&self, map: &Range<usize>, key: &str) -> Option<(Range<usize>, Range<usize>)> {
        let within = self.source.get(map.clone())?;
        within.match_indices(key).find_map(|(n, _)| {
            let name = map.start + n..map.start + n + key.len();
            let before = self.source.get(..name.start)?;
            let after = self.code.get(name.end..map.end)?;
            let rest = after.strip_prefix('"').unwrap_or(after).trim_start();
            let value = rest.strip_prefix(':').filter(|value| !value.starts_with(':'))?;
            if before.ends_with(is_word) || before.ends_with('.') {
                return None;
            }
            let start = map.end - value.len();
            let mut depth = 0_usize;
            let length = value.find(|c| match c {
                '(' | '[' | '{' => {
                    depth += 1;
                    false
                }
                ')' | ']' | '}' if depth > 0 => {
                    depth -= 1;
                    false
                }
                ',' | '}' => depth == 0,
                _ => false,
            });
            Some((name, self.trimmed(start..start + length.unwrap_or(value.len()))))
        })
    }

    /// Every place in the code where this word stands alone.
    pub(super) fn words<'t>(&'t self, word: &'t str) -> impl Iterator<Item = Range<usize>> + 't {
        self.code
            .match_indices(word)
            .map(|(n, _)| n..n + word.len())
            .filter(|place| {
                let before = self.code.get(..place.start).unwrap_or("");
                let after = self.code.get(place.end..).unwrap_or("");
                !before.ends_with(is_word) && !after.starts_with(is_word)
            })
    }

    /// The code before and after a place, without blanks next to it.
    pub(super) fn around(&self, place: &Range<usize>) -> (&str, &str) {
        let before = self.code.get(..place.start).unwrap_or("").trim_end();
        (before, self.code.get(place.end..).unwrap_or("").trim_start())
    }

    /// The same range without blanks at its ends.
    pub(super) fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = self.code.get(range.clone()).unwrap_or("");
        let start = range.start + (text.len() - text.trim_start().len());
        start..(start + text.trim().len()).max(start)
    }
}

/// True for a character of a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_members_are_found_where_they_stand() {
        let source = "x::y( f(a, b), #{ // lease: no\n \"tag\": \"lease: 1\", lease: \"4h\" } )";
        let text = Text::new(source);
        let of = |range: &Range<usize>| source.get(range.clone()).unwrap();
        let arguments = text.arguments(0);
        assert_eq!(arguments.len(), 2);
        assert_eq!(of(&arguments[0]), "f(a, b)");
        let (name, value) = text.member(&arguments[1], "lease").unwrap();
        assert_eq!((of(&name), of(&value)), ("lease", "\"4h\""));
        assert_eq!(of(&text.member(&arguments[1], "tag").unwrap().1), "\"lease: 1\"");
        assert_eq!(text.member(&arguments[1], "leas"), None);
        assert_eq!(
            text.offset(Position { line: 2, column: 2 }),
            source.find("\"tag").unwrap()
        );
    }
}
