//! The chain: `digest = H(previous ‖ seq ‖ kind ‖ H(salt ‖ payload))`, one per alert and per run. The salt keeps
//! a guessable payload from being guessed from its digest, and lets a payload be redacted later without
//! breaking the chain.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::Event;
use super::upcast::{self, UnknownEvent};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};

/// Random bytes beside each payload; drawn by the caller, 128 bits.
pub type Salt = [u8; 16];

/// Whose chain an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainId {
    /// A delivery and what became of it.
    Alert(AlertId),
    /// A run.
    Run(RunId),
}

impl ChainId {
    /// The partition the chain lives in.
    pub fn partition(&self) -> Partition {
        match self {
            ChainId::Alert(id) => id.partition(),
            ChainId::Run(id) => id.partition(),
        }
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainId::Alert(id) => id.fmt(f),
            ChainId::Run(id) => id.fmt(f),
        }
    }
}

/// One entry, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its chain.
    pub chain: ChainId,
    /// Its place, from 0, without gaps.
    pub seq: u64,
    /// The event's name, such as `effect_intended`.
    pub kind: String,
    /// `{"at":…,"event":…}` as JSON text; opaque to every store.
    pub payload: String,
    /// The salt.
    pub salt: Salt,
    /// The chain's digest up to and with this entry.
    pub digest: Digest,
}

#[derive(Serialize)]
struct StampedOut<'a> {
    at: Time,
    event: &'a Event,
}

/// Makes the entry for `event` at place `seq`, after the entry with digest `previous` ([`Digest::ZERO`] for
/// the first). Fails only when the event cannot be written as JSON.
pub fn seal(
    chain: ChainId,
    previous: &Digest,
    seq: u64,
    at: Time,
    event: &Event,
    salt: Salt,
) -> Result<Entry, serde_json::Error> {
    let payload = serde_json::to_string(&StampedOut { at, event })?;
    let kind = event.kind();
    let digest = link(previous, seq, kind, &salt, &payload);
    Ok(Entry {
        chain,
        seq,
        kind: kind.to_owned(),
        payload,
        salt,
        digest,
    })
}

fn link(previous: &Digest, seq: u64, kind: &str, salt: &Salt, payload: &str) -> Digest {
    let mut inner = Sha256::new();
    inner.update(salt);
    inner.update(payload.as_bytes());
    let mut outer = Sha256::new();
    outer.update(previous.0);
    outer.update(seq.to_be_bytes());
    outer.update(kind.as_bytes());
    outer.update(inner.finalize());
    Digest(outer.finalize().into())
}

impl Entry {
    /// The event and when it was recorded.
    pub fn event(&self) -> Result<(Time, Event), UnknownEvent> {
        upcast::read(self)
    }
}

/// Where a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal of {chain} is broken at entry {seq}: {why}")]
pub struct Broken {
    /// Whose chain.
    pub chain: String,
    /// The first entry that does not fit.
    pub seq: u64,
    /// What does not fit.
    pub why: &'static str,
}

/// Checks that the entries are one whole chain from its beginning, and answers its last digest. A chain cut
/// off at the end is not seen here: compare the answer with the length and digest kept elsewhere.
pub fn verify(entries: &[Entry]) -> Result<Digest, Broken> {
    let mut previous = Digest::ZERO;
    let chain = entries.first().map(|entry| entry.chain);
    for (place, entry) in (0_u64..).zip(entries) {
        let broken = |why| Broken {
            chain: entry.chain.to_string(),
            seq: place,
            why,
        };
        if Some(entry.chain) != chain {
            return Err(broken("an entry of another chain"));
        }
        if entry.seq != place {
            return Err(broken("an entry is missing or out of order"));
        }
        if link(&previous, entry.seq, &entry.kind, &entry.salt, &entry.payload) != entry.digest {
            return Err(broken("the entry was changed, or the one before it is another"));
        }
        previous = entry.digest;
    }
    Ok(previous)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Entry> {
        let chain = ChainId::Run(RunId::derive(&["chain"]));
        let mut previous = Digest::ZERO;
        (0..3_u8)
            .map(|n| {
                let event = Event::RunClaimed {
                    epoch: u64::from(n),
                    worker: "w".into(),
                };
                let entry = seal(chain, &previous, n.into(), Time(n.into()), &event, [n; 16]).unwrap();
                previous = entry.digest;
                entry
            })
            .collect()
    }

    #[test]
    fn a_whole_chain_verifies_and_reads_back() {
        let entries = three();
        assert_eq!(verify(&entries).unwrap(), entries[2].digest);
        assert_eq!(
            entries[1].event().unwrap(),
            (
                Time(1),
                Event::RunClaimed {
                    epoch: 1,
                    worker: "w".into()
                }
            )
        );
        assert_eq!(verify(&[]), Ok(Digest::ZERO));
    }

    #[test]
    fn every_change_is_seen_where_it_is() {
        let seq_of = |entries: &[Entry]| verify(entries).unwrap_err().seq;
        let mut changed = three();
        changed[1].payload = changed[1].payload.replace("\"w\"", "\"x\"");
        assert_eq!(seq_of(&changed), 1);
        let mut changed = three();
        changed[2].kind = "run_settled".into();
        assert_eq!(seq_of(&changed), 2);
        let mut changed = three();
        changed[0].salt[0] ^= 1;
        assert_eq!(seq_of(&changed), 0);
        let mut changed = three();
        changed.remove(1);
        assert_eq!(seq_of(&changed), 1);
        let mut changed = three();
        changed.swap(0, 1);
        assert_eq!(seq_of(&changed), 0);
        let mut changed = three();
        changed[1].digest = Digest::of(b"other");
        assert_eq!(seq_of(&changed), 1);
    }

    #[test]
    fn the_digest_is_the_one_the_design_gives() {
        let entry = &three()[0];
        let inner = Digest::of(&[entry.salt.as_slice(), entry.payload.as_bytes()].concat());
        let outer = [&[0; 32], 0_u64.to_be_bytes().as_slice(), b"run_claimed", &inner.0].concat();
        assert_eq!(entry.digest, Digest::of(&outer));
    }
}
