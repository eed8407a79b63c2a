//! The place of an ask in a run: a path such as `2.0.1`, which reads "the third thing done at the top was a
//! branching word; in its first branch, the second thing". Never a time and never a random id, so a replay
//! finds the same places.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in a run. Ordered as the script reaches the places: number by number, a shorter path first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(Box<[u32]>);

impl StepId {
    pub(super) fn new(numbers: &[u32]) -> StepId {
        StepId(numbers.into())
    }

    pub(super) fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// Whether this place lies inside a branch of the branching word at `other`.
    pub fn is_within(&self, other: &StepId) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// How many branching words stand around this place.
    pub fn depth(&self) -> usize {
        self.0.len() / 2
    }
}

/// The order of numbers is that of places, so a place can be looked up by its numbers alone.
impl Borrow<[u32]> for StepId {
    fn borrow(&self) -> &[u32] {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, number) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a step.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a step is numbers joined by dots, such as `2.0.1`")]
pub struct NotAStep;

impl FromStr for StepId {
    type Err = NotAStep;

    fn from_str(text: &str) -> Result<StepId, NotAStep> {
        let number = |part: &str| {
            let canonical = part == "0" || !part.starts_with(['0', '+']);
            if canonical {
                part.parse::<u32>().map_err(|_| NotAStep)
            } else {
                Err(NotAStep)
            }
        };
        text.split('.')
            .map(number)
            .collect::<Result<Box<[u32]>, NotAStep>>()
            .map(StepId)
    }
}

impl Serialize for StepId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<StepId, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(text: &str) -> StepId {
        text.parse().unwrap()
    }

    #[test]
    fn steps_are_ordered_by_number_not_by_letter() {
        assert!(step("2") < step("10"));
        assert!(step("2") < step("2.0.0"));
        assert!(step("2.1.0") < step("2.10.0"));
        assert!(step("2.10.0") < step("3"));
    }

    #[test]
    fn a_step_reads_back_and_has_one_spelling() {
        assert_eq!(serde_json::to_string(&step("2.0.1")).unwrap(), r#""2.0.1""#);
        assert_eq!(
            serde_json::from_str::<StepId>(r#""2.0.1""#).unwrap(),
            step("2.0.1")
        );
        for text in ["", "a", "1.", "01", "+1", "-1", "1..2"] {
            assert_eq!(text.parse::<StepId>(), Err(NotAStep), "{text}");
        }
    }

    #[test]
    fn a_step_knows_the_branching_word_around_it() {
        assert!(step("2.0.1").is_within(&step("2")));
        assert!(!step("2").is_within(&step("2")));
        assert!(!step("21.0").is_within(&step("2")));
        assert_eq!(step("2.0.1").depth(), 1);
    }
}
