//! Words of people for runs, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::row::{Ask as _, json, to_json, word};
use super::runs::wake;
use crate::id::{Partition, RunId};
use crate::journal::ChainId;
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::runs::RunStatus;
use crate::store::signals::{Signal, Signalled, Signals};

fn put_signal(connection: &Connection, partition: Partition, signal: &Signal) -> Fallible<Signalled> {
    let run = signal.run.to_string();
    let found: Option<RunStatus> =
        connection.one("SELECT status FROM runs WHERE id = ?1", [&run], |row| {
            word(row, "status")
        })?;
    let status = found.ok_or_else(|| Error::Missing {
        what: format!("run `{run}`"),
    })?;
    let known: Option<i64> = connection.one(
        "SELECT 1 FROM signals WHERE run = ?1 AND id = ?2",
        params![run, signal.id],
        |row| row.get(0),
    )?;
    if known.is_some() {
        return Ok(Signalled::Already);
    }
    if status == RunStatus::Settled {
        return Ok(Signalled::Over);
    }
    keep(connection, partition, signal)?;
    connection.run(
        "UPDATE runs SET status = 'open' WHERE id = ?1 AND status = 'parked'",
        [&run],
    )?;
    wake(connection, signal.run, signal.at)?;
    Ok(Signalled::New)
}

/// Writes a signal down.
pub(super) fn keep(connection: &Connection, partition: Partition, signal: &Signal) -> Fallible<()> {
    connection.run(
        "INSERT INTO signals (run, id, partition, at, principal, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            signal.run.to_string(),
            signal.id,
            partition.index(),
            signal.at,
            signal.principal,
            to_json(&signal.content)?
        ],
    )?;
    Ok(())
}

/// Every signal of a run, in order.
pub(super) fn signals(connection: &Connection, run: RunId) -> Fallible<Vec<Signal>> {
    connection.all(
        "SELECT run, id, at, principal, content FROM signals WHERE run = ?1 ORDER BY at, id",
        [run.to_string()],
        |row| {
            Ok(Signal {
                id: row.get("id")?,
                run: word(row, "run")?,
                at: row.get("at")?,
                principal: row.get("principal")?,
                content: json(row, "content")?,
            })
        },
    )
}

#[async_trait]
impl Signals for SqliteStore {
    async fn put_signal(&self, partition: Partition, signal: Signal) -> Result<Signalled> {
        home::of_chain(partition, ChainId::Run(signal.run))?;
        self.write(Weight::Durable, move |connection| {
            put_signal(connection, partition, &signal)
        })
        .await
    }

    async fn signals(&self, partition: Partition, run: RunId) -> Result<Vec<Signal>> {
        home::of_chain(partition, ChainId::Run(run))?;
        self.read(move |connection| signals(connection, run)).await
    }
}
