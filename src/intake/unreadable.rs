//! Why an authenticated alert could not be read. A disposition, not a fault: the bytes are kept, listed and can
//! be processed again when the sender or the mapping was mended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong with a delivery, and where when it is a place in its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreadable {
    /// What is wrong, for people.
    pub reason: String,
    /// Line in the body, from 1; 0 when no place is meant.
    #[serde(default)]
    pub line: usize,
    /// Column in that line, in bytes, from 1; 0 when no place is meant.
    #[serde(default)]
    pub column: usize,
}

impl Unreadable {
    /// Unreadable as a whole.
    pub fn because(reason: impl Into<String>) -> Unreadable {
        Unreadable {
            reason: reason.into(),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unreadable {}

/// A piece of a sender's text for a reason: short, and nothing that moves a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    const CHARS: usize = 60;
    let mut shown: String = text
        .chars()
        .take(CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(CHARS).is_some() {
        shown.push('…');
    }
    shown
}
