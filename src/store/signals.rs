//! What people say to a run, such as "cancel it", kept beside its journal as votes are. The journal decides what
//! counts: a signal here is a wish until the run's worker has read it and written down what became of it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Result;
use crate::clock::Time;
use crate::id::{Partition, RunId};

/// A word of a person for a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Tells it from others of its run: the same word again has the same id.
    pub id: String,
    /// The run.
    pub run: RunId,
    /// When it was said.
    pub at: Time,
    /// Who says it.
    pub principal: String,
    /// What. The store does not look into it.
    pub content: Value,
}

/// Answer of [`Signals::put_signal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Kept now; the run is due.
    New,
    /// One of that id was there; nothing was changed.
    Already,
    /// The run is settled; nothing was kept.
    Over,
}

/// Words of people for runs. They live in the run's partition.
#[async_trait]
pub trait Signals {
    /// Keeps a signal and makes its run due at the signal's moment, in one operation. A parked run becomes open, so
    /// that a worker hears it; what it waits for stays as it was. The same id again changes nothing and answers
    /// `Already`, also once the run is settled. A wake that comes while a worker has the run outlasts that worker's
    /// appends, as one of [`Runs::wake`](super::Runs::wake) does. `Missing` when there is no such run.
    async fn put_signal(&self, partition: Partition, signal: Signal) -> Result<Signalled>;

    /// The signals of a run, by their moment, then id; none when there is no such run.
    async fn signals(&self, partition: Partition, run: RunId) -> Result<Vec<Signal>>;
}
