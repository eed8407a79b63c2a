//! A containment, as a hold on one facet of one target. Several effects may hold the same facet; only the end
//! of the last restores, to the state before the first.

use serde::{Deserialize, Serialize};

use super::spec::Undo;
use super::target::{Reading, Target};
use crate::clock::Time;
use crate::id::{EffectId, RunId};

/// One effect's share of a hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// The effect that holds.
    pub effect: EffectId,
    /// Its run.
    pub run: RunId,
    /// Since when.
    pub since: Time,
    /// When its lease ends; `None` holds until someone ends it.
    pub until: Option<Time>,
    /// How many times ending it was tried and failed.
    #[serde(default)]
    pub tries: u32,
    /// True while a revert run is ending it.
    #[serde(default)]
    pub ending: bool,
    /// Whether its effect has been seen in force: last verification word, for `cordon contained`.
    #[serde(default)]
    pub seen: Option<super::outcome::Verification>,
}

/// An effect that let go of a hold without restoring, because others held still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaver {
    /// The effect.
    pub effect: EffectId,
    /// Its run.
    pub run: RunId,
    /// Since when it had held.
    pub since: Time,
}

/// What holds one facet of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The target.
    pub target: Target,
    /// What of it is held, such as `network`.
    pub facet: String,
    /// The state before the first hold.
    pub prior: Reading,
    /// How that state comes back; `None` when the target was already so before the first hold.
    pub undo: Option<Undo>,
    /// Who holds, oldest first. Never empty in the store.
    pub holders: Vec<Holder>,
    /// Who let go without restoring, the last one last. Where every holder gives up, that one holds again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Leaver>,
}
