//! `namespace::verb`: a vendor's action (`crowdstrike::contain_host`) or a capability (`endpoint::isolate`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of an action or capability.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionName {
    namespace: String,
    verb: String,
}

/// The text is not `namespace::verb`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action name: write `namespace::verb` in lower-case letters, digits and `_`")]
pub struct NotAnActionName(pub String);

impl ActionName {
    /// The name of `verb` in `namespace`; both must be words.
    pub fn new(namespace: &str, verb: &str) -> Result<ActionName, NotAnActionName> {
        if is_word(namespace) && is_word(verb) {
            Ok(ActionName {
                namespace: namespace.to_owned(),
                verb: verb.to_owned(),
            })
        } else {
            Err(NotAnActionName(format!("{namespace}::{verb}")))
        }
    }

    /// The connector or capability group.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What is done.
    pub fn verb(&self) -> &str {
        &self.verb
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl fmt::Display for ActionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.namespace, self.verb)
    }
}

impl FromStr for ActionName {
    type Err = NotAnActionName;

    fn from_str(text: &str) -> Result<ActionName, NotAnActionName> {
        match text.split_once("::") {
            Some((namespace, verb)) => {
                ActionName::new(namespace, verb).map_err(|_| NotAnActionName(text.to_owned()))
            }
            None => Err(NotAnActionName(text.to_owned())),
        }
    }
}

impl Serialize for ActionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ActionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ActionName, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_wrong_ones_are_refused() {
        assert_eq!(
            "endpoint::isolate".parse::<ActionName>().unwrap().to_string(),
            "endpoint::isolate"
        );
        for wrong in ["isolate", "a::b::c", "::b", "a::", "A::b", "a::b c", "1a::b"] {
            assert!(wrong.parse::<ActionName>().is_err(), "{wrong}");
        }
    }
}
