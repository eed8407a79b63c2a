//! What came of an attempt. There are three answers, and *unknown* is the dangerous one: it is never treated
//! as either of the others.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What went wrong, as script and journal see it: stable words, no traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// A listed word such as `ambiguous-target`, `permission`, `timeout`.
    pub code: String,
    /// For people; lower case, no full stop.
    pub message: String,
    /// Whatever helps to act on it.
    #[serde(default)]
    pub data: Value,
}

impl Fault {
    /// A fault without data.
    pub fn new(code: &str, message: impl Into<String>) -> Fault {
        Fault {
            code: code.to_owned(),
            message: message.into(),
            data: Value::Null,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Whether an attempt that definitely did nothing is worth another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The answer will be the same.
    Never,
    /// It may pass: try again with growing pauses.
    Backoff,
    /// The vendor said when, ms from the answer.
    AfterMs(u64),
}

/// How a thing came to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// We asked and the vendor said yes.
    Acted,
    /// It was so before; nothing was sent.
    AlreadySo,
    /// The answer was lost; looking showed that it is so.
    Observed,
    /// Nobody could see it, and a person who looked said that it happened.
    Told,
    /// A hold was ended while others still hold the target; nothing was sent.
    StillHeld,
    /// The prior state was the present one; nothing was sent.
    NothingToRestore,
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Done {
        /// How.
        how: Done,
        /// What the connector answered.
        result: Value,
    },
    /// It definitely did not happen.
    NotDone {
        /// Why.
        fault: Fault,
        /// Whether to try again.
        retry: Retry,
    },
    /// It may have happened.
    Unknown {
        /// What was seen.
        fault: Fault,
    },
}

/// What reading back showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It is so.
    Yes,
    /// It was undone, or its lease ended, before it was seen; nobody wants it in force any more.
    Undone,
    /// It restored, and another effect took the target before that was seen: nobody expects it restored any more.
    HeldAgain,
    /// Asked for and not yet so.
    Pending,
    /// The vendor had more time than it needs and it is still not so.
    NotInForce,
    /// The connector has no way to look, or the target could not be read. Never shown as success.
    Unverifiable,
    /// The vendor said yes and it is not so.
    Contradicted,
}

impl Verification {
    /// The words of DESIGN §5, for scripts and people.
    pub fn word(self) -> &'static str {
        match self {
            Verification::Yes => "yes",
            Verification::Pending => "pending",
            Verification::NotInForce => "requested, not in force",
            Verification::Undone => "undone",
            Verification::HeldAgain => "held again",
            Verification::Unverifiable => "unverifiable",
            Verification::Contradicted => "contradicted",
        }
    }
}

/// One request to a vendor, as the journal keeps it: never a body, a header value or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Scheme, host and path.
    pub url: String,
    /// The address that answered.
    #[serde(default)]
    pub peer: Option<String>,
    /// Status, or `None` when there was no answer.
    #[serde(default)]
    pub status: Option<u16>,
    /// What happened instead of an answer.
    #[serde(default)]
    pub error: Option<String>,
    /// From first byte out to last byte in, ms.
    pub duration_ms: u64,
}
