//! What the operator has laid down, and the switch that stops everything.

use serde::{Deserialize, Serialize};

use super::protected::Protected;
use crate::clock::Time;

/// The standing rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Never touched, except to restore them.
    pub protected: Vec<Protected>,
}

/// The global switch is on: no effect happens, not even an undo, until a person resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// The principal who halted.
    pub by: String,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: String,
}
