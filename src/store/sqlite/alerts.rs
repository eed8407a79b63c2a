//! Deliveries and claims on keys, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::journal;
use super::row::{Ask as _, int, json, rows, to_json, to_word, uint, word};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition};
use crate::journal::{ChainId, Entry};
use crate::store::alerts::{Accepted, Alert, AlertRow, Alerts, Claimed, Disposition, NewAlert};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::place::Place;

/// Claims that ended so long ago are forgotten, ms: clocks of several machines differ by less.
const FORGOTTEN_AFTER_MS: i64 = 86_400_000;

pub(super) const ROW: &str = "id, source, received_at, times, disposition, len, last";

pub(super) fn alert_row(row: &Row<'_>) -> rusqlite::Result<AlertRow> {
    Ok(AlertRow {
        id: word(row, "id")?,
        source: row.get("source")?,
        received_at: row.get("received_at")?,
        times: uint(row, "times")?,
        disposition: word(row, "disposition")?,
        len: uint(row, "len")?,
        last: row.get("last")?,
    })
}

fn accept(connection: &Connection, partition: Partition, alert: &NewAlert) -> Fallible<Accepted> {
    let id = alert.id.to_string();
    let times = connection.one(
        "UPDATE alerts SET times = times + 1 WHERE id = ?1 RETURNING times",
        [&id],
        |row| uint(row, "times"),
    )?;
    if let Some(times) = times {
        return Ok(Accepted::Repeat { times });
    }
    if journal::is_gone(connection, ChainId::Alert(alert.id))? {
        return Ok(Accepted::Repeat {
            times: Accepted::OF_COLLECTED,
        });
    }
    connection.run(
        "INSERT INTO alerts (id, partition, source, received_at, times, disposition, len, last, headers, body)
         VALUES (?1, ?2, ?3, ?4, 1, 'pending', 1, ?5, ?6, ?7)",
        params![
            id,
            partition.index(),
            alert.source,
            alert.received_at,
            alert.entry.digest,
            to_json(&alert.headers)?,
            alert.body,
        ],
    )?;
    journal::push(connection, partition, std::slice::from_ref(&alert.entry))?;
    Ok(Accepted::New)
}

fn dispose(
    connection: &Connection,
    partition: Partition,
    id: AlertId,
    expected_len: u64,
    entries: &[Entry],
    disposition: Disposition,
) -> Fallible<()> {
    let chain = ChainId::Alert(id);
    let known = connection.one(
        "SELECT len, last FROM alerts WHERE id = ?1",
        [id.to_string()],
        |row| Ok((uint(row, "len")?, row.get::<_, Digest>("last")?)),
    )?;
    let (len, last) = known.ok_or_else(|| Error::Missing {
        what: format!("alert `{id}`"),
    })?;
    if journal::find_place(connection, chain, len, expected_len, entries)? == Place::There {
        return Ok(());
    }
    journal::push(connection, partition, entries)?;
    connection.run(
        "UPDATE alerts SET disposition = ?2, len = ?3, last = ?4 WHERE id = ?1",
        params![
            id.to_string(),
            to_word(&disposition)?,
            int(len.saturating_add(entries.len() as u64)),
            entries.last().map_or(last, |entry| entry.digest),
        ],
    )?;
    Ok(())
}

fn alerts(
    connection: &Connection,
    partition: Partition,
    before: Option<Time>,
    disposition: Option<Disposition>,
    limit: usize,
) -> Fallible<Vec<AlertRow>> {
    // Everything is before the end of time, apart from what came at its last millisecond.
    let clause = if before.is_some() {
        "AND received_at < ?2"
    } else {
        "AND ?2 IS NULL"
    };
    let order = "ORDER BY received_at DESC, id DESC LIMIT ?3";
    let partition = partition.index();
    match disposition {
        Some(disposition) => connection.all(
            &format!("SELECT {ROW} FROM alerts WHERE partition = ?1 {clause} AND disposition = ?4 {order}"),
            params![partition, before, rows(limit), to_word(&disposition)?],
            alert_row,
        ),
        None => connection.all(
            &format!("SELECT {ROW} FROM alerts WHERE partition = ?1 {clause} {order}"),
            params![partition, before, rows(limit)],
            alert_row,
        ),
    }
}

fn claim_once(
    connection: &Connection,
    partition: Partition,
    key: &Digest,
    owner: &str,
    now: Time,
    until: Time,
) -> Fallible<Claimed> {
    let holder = connection.one(
        "SELECT owner FROM claims WHERE key = ?1 AND until > ?2",
        params![key, now],
        |row| row.get::<_, String>(0),
    )?;
    match holder {
        Some(holder) if holder == owner => Ok(Claimed::Won),
        Some(holder) => {
            connection.run(
                "INSERT INTO claims_lost (key, asker) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![key, owner],
            )?;
            let sql = "SELECT count(*) AS times FROM claims_lost WHERE key = ?1";
            let times = connection.one(sql, [key], |row| uint(row, "times"))?;
            Ok(Claimed::Lost {
                owner: holder,
                times: times.unwrap_or(0),
            })
        }
        None => {
            // The askers of an ended claim go with it.
            connection.run("DELETE FROM claims WHERE key = ?1", [key])?;
            connection.run(
                "INSERT INTO claims (key, partition, owner, until) VALUES (?1, ?2, ?3, ?4)",
                params![key, partition.index(), owner, until],
            )?;
            forget(connection, partition, now)?;
            Ok(Claimed::Won)
        }
    }
}

/// Deletes a few claims that ended long ago, at each new claim more than it adds, so that they never pile up.
fn forget(connection: &Connection, partition: Partition, now: Time) -> Fallible<()> {
    connection.run(
        "DELETE FROM claims WHERE key IN
         (SELECT key FROM claims WHERE partition = ?1 AND until < ?2 ORDER BY until LIMIT 4)",
        params![partition.index(), now.0.saturating_sub(FORGOTTEN_AFTER_MS)],
    )?;
    Ok(())
}

#[async_trait]
impl Alerts for SqliteStore {
    async fn accept(&self, partition: Partition, alert: NewAlert) -> Result<Accepted> {
        let chain = ChainId::Alert(alert.id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&alert.entry))?;
        self.write(Weight::Durable, move |connection| {
            accept(connection, partition, &alert)
        })
        .await
    }

    async fn unprocessed(&self, partition: Partition, limit: usize) -> Result<Vec<AlertId>> {
        self.read(move |connection| {
            connection.all(
                "SELECT id FROM alerts WHERE partition = ?1 AND disposition = 'pending'
                 ORDER BY received_at, id LIMIT ?2",
                params![partition.index(), rows(limit)],
                |row| word(row, "id"),
            )
        })
        .await
    }

    async fn alert(&self, partition: Partition, id: AlertId) -> Result<Option<Alert>> {
        home::of_chain(partition, ChainId::Alert(id))?;
        self.read(move |connection| {
            let sql = format!("SELECT {ROW}, headers, body FROM alerts WHERE id = ?1");
            connection.one(&sql, [id.to_string()], |row| {
                Ok(Alert {
                    row: alert_row(row)?,
                    headers: json(row, "headers")?,
                    body: row.get("body")?,
                })
            })
        })
        .await
    }

    async fn dispose(
        &self,
        partition: Partition,
        id: AlertId,
        expected_len: u64,
        entries: Vec<Entry>,
        disposition: Disposition,
    ) -> Result<()> {
        let chain = ChainId::Alert(id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, expected_len, &entries)?;
        self.write(Weight::Durable, move |connection| {
            dispose(connection, partition, id, expected_len, &entries, disposition)
        })
        .await
    }

    async fn alerts(
        &self,
        partition: Partition,
        before: Option<Time>,
        disposition: Option<Disposition>,
        limit: usize,
    ) -> Result<Vec<AlertRow>> {
        self.read(move |connection| alerts(connection, partition, before, disposition, limit))
            .await
    }

    async fn claim_once(
        &self,
        partition: Partition,
        key: Digest,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<Claimed> {
        home::of_key(partition, &key)?;
        let owner = owner.to_owned();
        self.write(Weight::Light, move |connection| {
            claim_once(connection, partition, &key, &owner, now, until)
        })
        .await
    }
}
