//! Reads entries of every version that was ever written. An event is never changed in place: a new shape gets
//! a new field with a default, or a new kind, and the old one is brought up to date here.

use serde::Deserialize;

use super::chain::Entry;
use super::event::Event;
use crate::clock::Time;

/// The entry is of a kind this binary does not know, or does not have the shape of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {seq} of {chain} (`{kind}`) cannot be read: {why}; it was written by a newer version, or the store was changed by hand"
)]
pub struct UnknownEvent {
    /// Whose chain.
    pub chain: String,
    /// Which entry.
    pub seq: u64,
    /// Its kind, as stored.
    pub kind: String,
    /// What the reader stumbled on.
    pub why: String,
}

#[derive(Deserialize)]
struct Stamped {
    at: Time,
    event: Event,
}

/// The event of an entry, in today's shape.
pub(super) fn read(entry: &Entry) -> Result<(Time, Event), UnknownEvent> {
    let unknown = |why: String| UnknownEvent {
        chain: entry.chain.to_string(),
        seq: entry.seq,
        kind: entry.kind.clone(),
        why,
    };
    let stamped: Stamped =
        serde_json::from_str(&entry.payload).map_err(|error| unknown(error.to_string()))?;
    if stamped.event.kind() != entry.kind {
        return Err(unknown(format!("its payload is a `{}`", stamped.event.kind())));
    }
    Ok((stamped.at, stamped.event))
}
