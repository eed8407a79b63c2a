//! The headers of one delivery, by lower-case name. Kept with the alert, because some senders say only there what
//! the body is; never more than was asked for.

use serde::{Deserialize, Serialize};

/// Most headers kept of one delivery.
const HEADERS_MAX: usize = 64;
/// Longest header value that is looked at, bytes; several signatures fit many times.
const VALUE_BYTES_MAX: usize = 8 << 10;

/// Names and values in the order they came; names lower-case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(Vec<(String, String)>);

/// A header that must be there once is there more often, so that two readers could see two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOnce;

impl Headers {
    /// The headers of these pairs. Values that are not printable ASCII text, or too long, are left out, and so is
    /// everything after the sixty-fourth.
    pub fn of<N: AsRef<str>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Headers {
        let readable = |value: &[u8]| {
            value.len() <= VALUE_BYTES_MAX
                && value
                    .iter()
                    .all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t')
        };
        let pairs = pairs
            .into_iter()
            .take(HEADERS_MAX)
            .filter(|(_, value)| readable(value.as_ref()));
        Headers(
            pairs
                .map(|(name, value)| {
                    let text = String::from_utf8_lossy(value.as_ref()).trim().to_owned();
                    (name.as_ref().to_ascii_lowercase(), text)
                })
                .collect(),
        )
    }

    /// The value of a header that may be there once.
    ///
    /// # Errors
    /// It is there more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, NotOnce> {
        let mut found = self
            .0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(NotOnce),
        }
    }

    /// True when the header is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Every name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
