//! What a store can say no with, by what the caller will do.

/// Answer of every store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation did not happen. After any of these, nothing of it happened, except where said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many writers wait. Try again soon; intake says 503.
    #[error("the store is busy: {waiting} writers wait already")]
    Busy {
        /// How many wait.
        waiting: usize,
    },
    /// There is no room. Nothing is lost that was acknowledged; intake says 503, no effect begins.
    #[error("the store is full: {why}; free disk space and it goes on by itself")]
    Full {
        /// What the back end said.
        why: String,
    },
    /// The claim is gone: another worker owns the run, or (the epochs are equal) it was given back. Stop
    /// working on it.
    #[error("the claim on {run} is gone: ours was epoch {ours}, the last one given is {theirs}")]
    Fenced {
        /// The run.
        run: String,
        /// The epoch we hold.
        ours: u64,
        /// The epoch of the last claim.
        theirs: u64,
    },
    /// It was asked for under a claim, and that is over by the store's clock. Stop working on the run: another may have it.
    #[error("the claim under which a target was to be changed is over")]
    Late,
    /// A different entry stands where this one should, or the entry is of another chain: a bug or a split
    /// brain. Stop.
    #[error("{chain} already has another entry {seq}")]
    Conflict {
        /// Whose chain.
        chain: String,
        /// Where.
        seq: u64,
    },
    /// The entry would leave a gap. Read the journal again.
    #[error("{chain} ends at {len}, entry {seq} would leave a gap")]
    Gap {
        /// Whose chain.
        chain: String,
        /// Its length.
        len: u64,
        /// The entry.
        seq: u64,
    },
    /// There is nothing of this name.
    #[error("there is no {what}")]
    Missing {
        /// What was looked for.
        what: String,
    },
    /// A record is to be put where something else is. Use an empty store.
    #[error("there is another {what} already")]
    Occupied {
        /// What stands there.
        what: String,
    },
    /// The operation names something that lives in another partition: a defect in the caller.
    #[error("{what} does not live in partition {partition}")]
    WrongPartition {
        /// What.
        what: String,
        /// The partition named.
        partition: u8,
    },
    /// The store cannot be reached or failed; whether the operation happened is not known. Repeat it: every
    /// operation may be repeated.
    #[error("the store failed: {why}")]
    Unavailable {
        /// What the back end said.
        why: String,
    },
    /// The servers have less in this partition than they acknowledged: nothing is written until a person has looked.
    #[error(
        "partition p{partition:02} is parked, because the servers have lost what they had acknowledged: `cordon store \
         status` says what, `cordon store recover` puts it back"
    )]
    Parked {
        /// The partition.
        partition: u8,
    },
    /// What was read is not what was written.
    #[error("the store holds something unreadable: {why}")]
    Corrupt {
        /// What.
        why: String,
    },
    /// The store was written by a newer version, or by another kind of program.
    #[error(
        "the store has schema {found}, this program knows up to {known}: use the newer program, or restore a backup"
    )]
    Schema {
        /// Found.
        found: i64,
        /// Known.
        known: i64,
    },
}

impl Error {
    /// True when waiting may help.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::Busy { .. } | Error::Full { .. } | Error::Unavailable { .. }
        )
    }
}
