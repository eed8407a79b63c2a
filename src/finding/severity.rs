//! How bad: the `severity_id` of OCSF. The sender's own word is kept beside it in the finding.

use serde::{Deserialize, Serialize};

/// OCSF `severity_id` (schema 1.9): 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical,
/// 6 fatal, 99 other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct SeverityId(pub u8);

impl SeverityId {
    /// The sender said nothing we understand.
    pub const UNKNOWN: SeverityId = SeverityId(0);

    /// The id for a sender's word in any case (`High`, `WARNING`, `informational`, `fatal`), or unknown.
    pub fn from_word(word: &str) -> SeverityId {
        SeverityId(match word.trim().to_ascii_lowercase().as_str() {
            "info" | "informational" | "information" | "none" | "notice" | "debug" => 1,
            "low" => 2,
            "medium" | "moderate" | "warning" | "warn" => 3,
            "high" | "error" => 4,
            "critical" | "severe" => 5,
            "fatal" | "emergency" => 6,
            _ => 0,
        })
    }

    /// The word for people and triggers.
    pub fn word(self) -> &'static str {
        match self.0 {
            1 => "informational",
            2 => "low",
            3 => "medium",
            4 => "high",
            5 => "critical",
            6 => "fatal",
            99 => "other",
            _ => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_case_are_understood_and_read_back() {
        for (word, id) in [
            ("High", 4),
            ("CRITICAL", 5),
            (" warning ", 3),
            ("weird", 0),
            ("", 0),
        ] {
            assert_eq!(SeverityId::from_word(word), SeverityId(id), "{word}");
        }
        for id in 1..=6 {
            assert_eq!(SeverityId::from_word(SeverityId(id).word()), SeverityId(id));
        }
    }
}
