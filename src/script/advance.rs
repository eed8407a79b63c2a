//! What one evaluation says: what it asks, what it tells, or how it ended. Data only, nothing here acts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::StepId;
use super::vocabulary::Kind;
use crate::digest::{self, Digest};

/// Longest description of an ask, characters.
const DESCRIPTION_CHARS_MAX: usize = 300;

/// A place in a program, from 1; the column counts characters. Both are 0 where the place is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A call that leaves the script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Where in the run; the same in every replay.
    pub step: StepId,
    /// Whether the script waits.
    pub kind: Kind,
    /// The word, with its namespace.
    pub name: String,
    /// The arguments.
    pub args: Vec<Value>,
    /// Where in the program, or in the library file.
    pub at: Position,
    /// The file of the library it is in; none for the program itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The digest of name and arguments.
    pub digest: Digest,
}

impl Asked {
    pub(super) fn new(
        step: StepId,
        kind: Kind,
        name: &str,
        args: Vec<Value>,
        (file, at): (Option<String>, Position),
    ) -> Asked {
        let mut parts = vec![name.to_owned()];
        parts.extend(args.iter().map(digest::canonical));
        Asked {
            step,
            kind,
            name: name.to_owned(),
            args,
            at,
            file,
            digest: Digest::of_parts(&parts),
        }
    }

    /// The call as a person reads it, shortened to 300 characters.
    pub fn text(&self) -> String {
        describe(&self.name, &self.args)
    }
}

/// A call as a person reads it, shortened to 300 characters.
pub fn describe(name: &str, args: &[Value]) -> String {
    let args: Vec<String> = args.iter().map(digest::canonical).collect();
    let text = format!("{name}({})", args.join(", "));
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return text;
    }
    text.chars().take(DESCRIPTION_CHARS_MAX).chain(['…']).collect()
}

/// The recorded answer to an ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The digest of the ask that was answered; a replay that asks something else has diverged.
    pub digest: Digest,
    /// The word that was asked.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// What came back.
    pub result: Result<Value, Thrown>,
}

impl Answer {
    /// The answer to this ask.
    pub fn to(asked: &Asked, result: Result<Value, Thrown>) -> Answer {
        Answer {
            digest: asked.digest,
            name: asked.name.clone(),
            args: asked.args.clone(),
            result,
        }
    }

    /// The ask that was answered, as a person reads it.
    pub fn asked(&self) -> String {
        describe(&self.name, &self.args)
    }
}

/// An error as scripts see it: the map `#{ code, message, action, data }` in `catch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Thrown {
    /// A listed word, such as `not_found`.
    pub code: String,
    /// One line.
    pub message: String,
    /// The action that failed, if one did.
    #[serde(default)]
    pub action: Option<String>,
    /// More, as the thrower likes.
    #[serde(default)]
    pub data: Value,
}

impl Thrown {
    /// An error with a code and a message.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Thrown {
        Thrown {
            code: code.into(),
            message: message.into(),
            action: None,
            data: Value::Null,
        }
    }
}

/// The answers of a run, by place.
pub type Answers = BTreeMap<StepId, Answer>;

/// What a run has told and recorded, by place: the digest of each tell.
pub type Told = BTreeMap<StepId, Digest>;

/// How one evaluation went.
#[derive(Clone, Debug, PartialEq)]
pub enum Advance {
    /// The script goes on when more is answered.
    Asks {
        /// Every ask that is reachable now and has no answer, in the order of their places.
        waiting: Vec<Asked>,
        /// The tells that were not recorded yet.
        told: Vec<Asked>,
    },
    /// The script came to its end.
    Returned {
        /// What it returned; null for `()`, and for a playbook whose last value is no data or too large.
        value: Value,
        /// The tells that were not recorded yet.
        told: Vec<Asked>,
    },
    /// The script threw, or hit a limit. It would do so again.
    Failed {
        /// What it threw.
        error: Failure,
        /// The tells that were not recorded yet.
        told: Vec<Asked>,
    },
    /// The script no longer does what was recorded.
    Diverged {
        /// Where.
        step: StepId,
        /// What was recorded there.
        recorded: String,
        /// What the script does there now.
        found: String,
    },
    /// The evaluation was cut off from outside. Not the script's failure; it may be tried again.
    Interrupted {
        /// By what.
        why: Interrupted,
    },
}

/// Why an evaluation was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// It took longer than its deadline.
    Deadline,
    /// Its stop flag was set, or the evaluators were stopped.
    Stopped,
    /// The queue of the evaluators was full.
    Busy,
}

/// How a script failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What the script threw, or one of the room's own words: `thrown` (a `throw` without a code),
    /// `script` (an error of the language), `limit`, `not-data`, `no-entity`, `ambiguous`, `branches`,
    /// `check` (the program does not compile), `fault` (a defect of ours).
    pub code: String,
    /// One line.
    pub message: String,
    /// The action that failed, if one did.
    pub action: Option<String>,
    /// More, as the thrower likes.
    pub data: Value,
    /// Where in the program, or in the library file.
    pub at: Option<Position>,
    /// The file of the library it is in; none for the program itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The calls around it, innermost first, as text.
    pub chain: Vec<String>,
}

impl Failure {
    pub(super) fn of(thrown: Thrown, at: Option<Position>, chain: Vec<String>) -> Failure {
        let Thrown {
            code,
            message,
            action,
            data,
        } = thrown;
        Failure {
            code,
            message,
            action,
            data,
            at,
            file: None,
            chain,
        }
    }

    /// The same, in a file of the library if it is in one.
    pub(super) fn in_file(self, file: Option<String>) -> Failure {
        Failure { file, ..self }
    }

    /// The part of it that scripts see.
    pub fn thrown(&self) -> Thrown {
        Thrown {
            code: self.code.clone(),
            message: self.message.clone(),
            action: self.action.clone(),
            data: self.data.clone(),
        }
    }
}
