//! Where entries go in a chain that may hold them already: the comparison that makes an append safe to repeat
//! and a split brain visible. Shared by the back ends that can ask their journal in Rust.

use super::error::Error;
use crate::digest::Digest;
use crate::journal::{ChainId, Entry};

/// What to do with entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// They follow the last one: write them.
    Next,
    /// They are there: write nothing.
    There,
}

/// Says where `entries`, meant for place `expected_len` on, go in a chain of `len` entries. `digest_at` reads
/// the digest of an entry that is there. The entries are numbered already (`home::of_entries`).
pub(super) fn place<E: From<Error>>(
    chain: ChainId,
    len: u64,
    expected_len: u64,
    entries: &[Entry],
    mut digest_at: impl FnMut(u64) -> std::result::Result<Option<Digest>, E>,
) -> std::result::Result<Place, E> {
    if expected_len > len {
        return Err(gap(chain, len, expected_len).into());
    }
    if expected_len == len {
        return Ok(Place::Next);
    }
    for entry in entries {
        if digest_at(entry.seq)? != Some(entry.digest) {
            return Err(conflict(chain, entry.seq).into());
        }
    }
    Ok(Place::There)
}

fn gap(chain: ChainId, len: u64, seq: u64) -> Error {
    Error::Gap {
        chain: chain.to_string(),
        len,
        seq,
    }
}

fn conflict(chain: ChainId, seq: u64) -> Error {
    Error::Conflict {
        chain: chain.to_string(),
        seq,
    }
}
