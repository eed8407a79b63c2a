//! What a store holds, in a form that two of them can be compared by: how many records of each kind, and a digest over
//! all of them that does not depend on their order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Partition;
use crate::journal;
use crate::store::{Kind, Record};

/// Records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many.
    pub count: u64,
    /// The digests of all of them, joined by exclusive or.
    pub digest: Digest,
}

/// Records by kind. Kinds without any are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents(pub BTreeMap<Kind, Part>);

/// A record that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not sound: {why}")]
pub struct Unsound {
    /// Which record.
    pub what: String,
    /// What is wrong.
    pub why: String,
}

impl Contents {
    /// Counts one record, after its chain was verified from its beginning to the end that its row says.
    pub fn add(&mut self, partition: Partition, record: &Record) -> Result<(), Unsound> {
        verify(record)?;
        let unsound = |why: serde_json::Error| Unsound {
            what: named(record),
            why: why.to_string(),
        };
        let value = serde_json::to_value((partition, record)).map_err(unsound)?;
        let digest = Digest::of_json(&value);
        let part = self.0.entry(record.kind()).or_default();
        part.count = part.count.saturating_add(1);
        for (sum, byte) in part.digest.0.iter_mut().zip(digest.0) {
            *sum ^= byte;
        }
        Ok(())
    }

    /// How many records there are.
    pub fn count(&self) -> u64 {
        self.0.values().map(|part| part.count).sum()
    }

    /// Kinds that differ, each with both counts.
    pub fn differences(&self, other: &Contents) -> Vec<(Kind, u64, u64)> {
        let part = |of: &Contents, kind| of.0.get(&kind).copied().unwrap_or_default();
        Kind::ALL
            .into_iter()
            .filter(|kind| part(self, *kind) != part(other, *kind))
            .map(|kind| (kind, part(self, kind).count, part(other, kind).count))
            .collect()
    }

    /// The counts in one line, for people.
    pub fn line(&self) -> String {
        let parts = self.0.iter();
        let words: Vec<String> = parts
            .map(|(kind, part)| format!("{} {}", part.count, kind.word()))
            .collect();
        if words.is_empty() {
            "nothing".to_owned()
        } else {
            words.join(", ")
        }
    }
}

fn named(record: &Record) -> String {
    format!(
        "the record of the {} named `{}`",
        record.kind().word(),
        record.name()
    )
}

fn verify(record: &Record) -> Result<(), Unsound> {
    let (len, last) = match record {
        Record::Alert { row, .. } => (row.len, row.last),
        Record::Run { row, .. } => (row.len, row.last),
        Record::Bundle { .. } => return Ok(()),
        _ => return Ok(()),
    };
    let unsound = |why: String| Unsound {
        what: named(record),
        why,
    };
    let entries: Vec<journal::Entry> = record.chain().iter().map(|item| item.entry.clone()).collect();
    let end = journal::verify(&entries).map_err(|broken| unsound(broken.to_string()))?;
    if entries.len() as u64 != len || end != last {
        return Err(unsound(format!(
            "its chain has {} entries, its row says {len}, or they end differently",
            entries.len()
        )));
    }
    Ok(())
}
