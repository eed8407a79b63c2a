//! An entry as a line: `POSITION DIGEST SALT KIND PAYLOAD`. The server puts the position before it.

use super::answer::unreadable;
use super::args::Args;
use crate::journal::{ChainId, Entry};
use crate::store::error::Result;
use crate::store::feed::FeedItem;

impl Args {
    /// How many, then digest and the rest of each.
    pub(super) fn entries(self, entries: &[Entry]) -> Args {
        entries.iter().fold(self.put(entries.len()), Args::entry)
    }

    /// Digest and the rest.
    pub(super) fn entry(self, entry: &Entry) -> Args {
        let salt = data_encoding::HEXLOWER.encode(&entry.salt);
        self.put(entry.digest)
            .put(format_args!("{salt} {} {}", entry.kind, entry.payload))
    }
}

/// Reads the entry at a place of a chain.
pub(super) fn read(chain: ChainId, seq: u64, line: &str) -> Result<Entry> {
    let wrong = |why: &str| unreadable(format_args!("entry {seq} of {chain}: {why}"));
    let mut parts = line.splitn(5, ' ').skip(1);
    let mut part = |what| parts.next().ok_or_else(|| wrong(what));
    let digest = part("no digest")?;
    let salt = part("no salt")?;
    let (kind, payload) = (part("no kind")?, part("no payload")?);
    let salt = data_encoding::HEXLOWER
        .decode(salt.as_bytes())
        .ok()
        .and_then(|salt| salt.try_into().ok())
        .ok_or_else(|| wrong("the salt is none"))?;
    Ok(Entry {
        chain,
        seq,
        kind: kind.to_owned(),
        payload: payload.to_owned(),
        salt,
        digest: digest.parse().map_err(|_| wrong("the digest is none"))?,
    })
}

/// Reads the entry with its position in the feed.
pub(super) fn item(chain: ChainId, seq: u64, line: &str) -> Result<FeedItem> {
    let position = line.split(' ').next().unwrap_or_default();
    Ok(FeedItem {
        position: position.parse().map_err(unreadable)?,
        entry: read(chain, seq, line)?,
    })
}
