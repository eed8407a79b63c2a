//! Exactly one thing in one vendor's system, and what was read of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::EntityType;
use crate::id::Partition;

/// A resolved target: the vendor's id, never a name that could mean two things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The connector instance that knows it (`crowdstrike`, or a name from the configuration).
    pub instance: String,
    /// What it is.
    pub kind: EntityType,
    /// The vendor's id.
    pub id: String,
    /// The vendor's name for it, as resolved.
    pub name: String,
    /// Other names it is known by, so that a guardrail cannot be walked past by an alias.
    #[serde(default)]
    pub aliases: Vec<String>,
}

impl Target {
    /// The name of its lock and hold: `instance/kind/id`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.instance, self.kind.word(), self.id)
    }

    /// The partition its locks and holds live in.
    pub fn partition(&self) -> Partition {
        Partition::of_text(&self.key())
    }

    /// `host web-07 (6f1a…)`, for people.
    pub fn label(&self) -> String {
        if self.name == self.id || self.name.is_empty() {
            format!("{} {}", self.kind.word().replace('_', " "), self.id)
        } else {
            format!(
                "{} {} ({})",
                self.kind.word().replace('_', " "),
                self.name,
                self.id
            )
        }
    }
}

/// What a connector read of a target: one word for its state, and the fields it read it from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The connector's word, such as `normal` or `contained`.
    pub state: String,
    /// Further fields, for undo and for people.
    #[serde(default)]
    pub fields: Value,
}
