//! What a store can lose although it acknowledged it, and how it comes back. A store on one disk loses nothing that
//! way, and says so by having nothing to say.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};
use crate::clock::Time;
use crate::id::Partition;

/// A partition in which nothing is written, because the servers have less than they acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Which.
    pub partition: Partition,
    /// Since when.
    pub at: Time,
    /// The node that noticed.
    pub by: String,
    /// How many writes the servers had.
    pub stored: u64,
    /// How many they had acknowledged, as far as nodes have said.
    pub acknowledged: u64,
    /// Writes that nodes remember and have brought.
    pub brought: u64,
}

impl fmt::Display for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} since {}: the servers have {} writes of {} they acknowledged, {} can be put back",
            self.partition, self.at, self.stored, self.acknowledged, self.brought
        )
    }
}

/// What came of putting back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Writes that were gone and are there again.
    pub put_back: u64,
    /// Writes that were there.
    pub there: u64,
    /// Writes that could not be put back, because something else stands in their place.
    pub refused: u64,
    /// The first of them, in words.
    pub named: Vec<String>,
}

impl Recovered {
    /// One could not be put back.
    pub(super) fn refuse(&mut self, named_max: usize, what: String) {
        self.refused += 1;
        if self.named.len() < named_max {
            self.named.push(what);
        }
    }
}

/// One time that a partition was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Which.
    pub partition: Partition,
    /// When.
    pub at: Time,
    /// The principal who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What came of it.
    pub recovered: Recovered,
}

/// Losses of acknowledged writes.
#[async_trait]
pub trait Losses {
    /// The partitions that are parked now.
    async fn parked(&self) -> Result<Vec<Parked>> {
        Ok(Vec::new())
    }

    /// What nodes remember of a parked partition and can put back, in words, the first of it.
    async fn missing(&self, _: Partition) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// What was put back before, the latest last.
    async fn recoveries(&self) -> Result<Vec<Recovery>> {
        Ok(Vec::new())
    }

    /// Puts back what nodes remember of a parked partition, in the order in which it was acknowledged, and lets it go
    /// on. What came back without its outcome is then unknown to the engine, which looks before it does anything.
    /// `Missing` when the partition is not parked. Who asked for it, and why, is kept.
    async fn recover(&self, partition: Partition, _by: &str, _reason: &str) -> Result<Recovered> {
        Err(Error::Missing {
            what: format!("parked partition {partition}"),
        })
    }
}
