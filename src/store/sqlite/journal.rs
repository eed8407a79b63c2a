//! Chains and the feed as rows of one table: keyed by chain and place, with a position in their partition's
//! feed that is given inside the commit.

use rusqlite::{Connection, Row, params};

use super::failure::{Fallible, unreadable};
use super::row::{Ask as _, int, uint};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::error::Error;
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
        put(connection, partition, position, entry)?;
    }
    Ok(())
}

/// Writes one entry at a position.
fn put(connection: &Connection, partition: Partition, position: i64, entry: &Entry) -> Fallible<()> {
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
    Ok(())
}

/// A whole chain with its places in the feed.
pub(super) fn items(connection: &Connection, chain: ChainId) -> Fallible<Vec<FeedItem>> {
    connection.all(
        "SELECT position, seq, kind, payload, salt, digest FROM journal WHERE chain = ?1 ORDER BY seq",
        [chain.to_string()],
        |row| {
            Ok(FeedItem {
                position: uint(row, "position")?,
                entry: entry(row, chain)?,
            })
        },
    )
}

/// Writes a whole chain at the places it had elsewhere, and moves the end of the feed past them. Refuses one whose
/// places are taken.
pub(super) fn put_items(connection: &Connection, partition: Partition, items: &[FeedItem]) -> Fallible<()> {
    for item in items {
        let taken = connection.one(
            "SELECT 1 FROM journal WHERE partition = ?1 AND position = ?2",
            params![partition.index(), int(item.position)],
            |_| Ok(()),
        )?;
        if taken.is_some() {
            return Err(Error::Occupied {
                what: format!("entry at place {} of the feed", item.position),
            }
            .into());
        }
        put(connection, partition, int(item.position), &item.entry)?;
    }
    let last = items.iter().map(|item| item.position).max().unwrap_or(0);
    move_end(connection, partition, last)
}

/// Moves the end of a feed forward; moving back is a no-op.
pub(super) fn move_end(connection: &Connection, partition: Partition, last: u64) -> Fallible<()> {
    connection.run(
        "UPDATE feeds SET last_position = max(last_position, ?2) WHERE partition = ?1",
        params![partition.index(), int(last)],
    )?;
    Ok(())
}

/// True when retention has collected whatever the chain was of.
pub(super) fn is_gone(connection: &Connection, chain: ChainId) -> Fallible<bool> {
    let found = connection.one("SELECT 1 FROM gone WHERE chain = ?1", [chain.to_string()], |_| {
        Ok(())
    })?;
    Ok(found.is_some())
}

/// True when one of these followers has not come to the end of the chain yet.
pub(super) fn is_unread(
    connection: &Connection,
    partition: Partition,
    chain: ChainId,
    followers: &[String],
) -> Fallible<bool> {
    let last = connection.one(
        "SELECT coalesce(max(position), 0) AS last FROM journal WHERE chain = ?1",
        [chain.to_string()],
        |row| uint(row, "last"),
    )?;
    for follower in followers {
        let read = connection.one(
            "SELECT position FROM cursors WHERE partition = ?1 AND follower = ?2",
            params![partition.index(), follower],
            |row| uint(row, "position"),
        )?;
        if read.unwrap_or(0) < last.unwrap_or(0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a chain, which frees its places in the feed for nobody, and remembers that its id was used.
pub(super) fn forget(
    connection: &Connection,
    partition: Partition,
    chain: ChainId,
    at: Time,
) -> Fallible<()> {
    connection.run("DELETE FROM journal WHERE chain = ?1", [chain.to_string()])?;
    connection.run(
        "INSERT INTO gone (chain, partition, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![chain.to_string(), partition.index(), at],
    )?;
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
pub(super) fn chain(row: &Row<'_>) -> rusqlite::Result<ChainId> {
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
