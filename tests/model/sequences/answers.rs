//! What an operation answered, as a text that two stores have in common.

use std::fmt::Debug;

use cordon::store::{Error, Result};

/// The answer. Of an error, what its caller acts on; the words for people are each store's own.
pub fn told<T: Debug>(answer: Result<T>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(Error::Late) => "late".into(),
        Err(Error::Missing { .. }) => "missing".into(),
        Err(Error::WrongPartition { partition, .. }) => format!("lives elsewhere than in {partition}"),
        Err(Error::Fenced { run, ours, theirs }) => format!("{run} fenced: ours {ours}, theirs {theirs}"),
        Err(Error::Conflict { chain, seq }) => format!("conflict at {chain} {seq}"),
        Err(Error::Gap { chain, len, seq }) => format!("gap in {chain}: {len} entries, this is {seq}"),
        // None of these is to be expected here, so they differ from whatever is.
        Err(other) => format!("failed: {other:?}"),
    }
}
