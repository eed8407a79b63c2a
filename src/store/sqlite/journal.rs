//! Chains and the feed as rows of one table: keyed by chain and place, with a position in their partition's
//! feed that is given inside the commit.

use rusqlite::{Connection, Row, params};

use super::failure::{Fallible, unreadable};
use super::row::{Ask as _, int, uint};
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::feed::FeedItem;
use crate::store::place::{Place, place};

/// Where entries go in a chain of `len` entries.
pub(super) fn find_place(
    connection: &Connection,
    chain: ChainId,
    len: u64,
    expected_len: u64,
    entries: &[Entry],
) -> Fallible<Place> {
    let key = chain.to_string();
    place(chain, len, expected_len, entries, |seq| {
        let sql = "SELECT digest FROM journal WHERE chain = ?1 AND seq = ?2";
        connection.one(sql, params![key, int(seq)], |row| row.get::<_, Digest>(0))
    })
}

/// Writes entries and gives each its position in the feed.
pub(super) fn push(connection: &Connection, partition: Partition, entries: &[Entry]) -> Fallible<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let last = connection.one(
        "UPDATE feeds SET last_position = last_position + ?2 WHERE partition = ?1 RETURNING last_position",
        params![partition.index(), int(entries.len() as u64)],
        |row| row.get::<_, i64>(0),
    )?;
    let last = last.ok_or_else(|| unreadable(format_args!("the feed of partition {partition} is gone")))?;
    let first = last.saturating_sub(int(entries.len() as u64)).saturating_add(1);
    for (position, entry) in (first..).zip(entries) {
        connection.run(
            "INSERT INTO journal (chain, seq, partition, position, kind, payload, salt, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                entry.chain.to_string(),
                int(entry.seq),
                partition.index(),
                position,
                entry.kind,
                entry.payload,
                entry.salt.as_slice(),
                entry.digest,
            ],
        )?;
    }
    Ok(())
}

fn entry(row: &Row<'_>, chain: ChainId) -> rusqlite::Result<Entry> {
    Ok(Entry {
        chain,
        seq: uint(row, "seq")?,
        kind: row.get("kind")?,
        payload: row.get("payload")?,
        salt: row.get("salt")?,
        digest: row.get("digest")?,
    })
}

/// Entries of a chain from `from` on.
pub(super) fn read(connection: &Connection, chain: ChainId, from: u64) -> Fallible<Vec<Entry>> {
    connection.all(
        "SELECT seq, kind, payload, salt, digest FROM journal WHERE chain = ?1 AND seq >= ?2 ORDER BY seq",
        params![chain.to_string(), int(from)],
        |row| entry(row, chain),
    )
}

/// Entries of a partition after a position.
pub(super) fn feed(
    connection: &Connection,
    partition: Partition,
    after: u64,
    limit: usize,
) -> Fallible<Vec<FeedItem>> {
    connection.all(
        "SELECT position, chain, seq, kind, payload, salt, digest FROM journal
         WHERE partition = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        params![partition.index(), int(after), super::row::rows(limit)],
        |row| {
            Ok(FeedItem {
                position: uint(row, "position")?,
                entry: entry(row, chain(row)?)?,
            })
        },
    )
}

/// A chain is written as the id of what it is about; the prefix says which kind.
fn chain(row: &Row<'_>) -> rusqlite::Result<ChainId> {
    let text: String = row.get("chain")?;
    if let Ok(id) = RunId::parse(&text) {
        return Ok(ChainId::Run(id));
    }
    match AlertId::parse(&text) {
        Ok(id) => Ok(ChainId::Alert(id)),
        Err(error) => Err(rusqlite::Error::FromSqlConversionFailure(
            0,
            rusqlite::types::Type::Text,
            Box::new(error),
        )),
    }
}
