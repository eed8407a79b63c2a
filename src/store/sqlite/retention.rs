//! Forgetting, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::journal;
use super::row::{Ask as _, rows, word};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::alerts::Disposition;
use crate::store::error::Result;
use crate::store::home;
use crate::store::retention::{Bygone, Forgot, Retention, Swept};
use crate::store::runs::RunStatus;

fn old<T: DeserializeOwned + ToString>(
    connection: &Connection,
    sql: &str,
    partition: Partition,
    before: Time,
    after: Option<(Time, T)>,
    limit: usize,
) -> Fallible<Vec<(Time, T)>> {
    let (at, id) = after.map_or((Time(i64::MIN), String::new()), |(at, id)| (at, id.to_string()));
    connection.all(
        sql,
        params![partition.index(), before, at, id, rows(limit)],
        |row| Ok((row.get("at")?, word(row, "id")?)),
    )
}

fn forget_run(
    connection: &Connection,
    partition: Partition,
    run: RunId,
    at: Time,
    followers: &[String],
) -> Fallible<Forgot> {
    let chain = ChainId::Run(run);
    let id = run.to_string();
    let status = connection.one("SELECT status FROM runs WHERE id = ?1", [&id], |row| {
        word::<RunStatus>(row, "status")
    })?;
    match status {
        None => return Ok(Forgot::Already),
        Some(RunStatus::Settled) => {}
        Some(RunStatus::Open | RunStatus::Parked) => return Ok(Forgot::Open),
    }
    if journal::is_unread(connection, partition, chain, followers)? {
        return Ok(Forgot::Unread);
    }
    connection.run("DELETE FROM runs WHERE id = ?1", [&id])?;
    connection.run("DELETE FROM approvals WHERE run = ?1", [&id])?;
    connection.run("DELETE FROM votes WHERE run = ?1", [&id])?;
    connection.run("DELETE FROM signals WHERE run = ?1", [&id])?;
    journal::forget(connection, partition, chain, at)?;
    Ok(Forgot::Now)
}

fn forget_alert(
    connection: &Connection,
    partition: Partition,
    alert: AlertId,
    at: Time,
    followers: &[String],
) -> Fallible<Forgot> {
    let chain = ChainId::Alert(alert);
    let id = alert.to_string();
    let disposition = connection.one("SELECT disposition FROM alerts WHERE id = ?1", [&id], |row| {
        word::<Disposition>(row, "disposition")
    })?;
    match disposition {
        None => return Ok(Forgot::Already),
        Some(Disposition::Pending) => return Ok(Forgot::Open),
        Some(_) => {}
    }
    if journal::is_unread(connection, partition, chain, followers)? {
        return Ok(Forgot::Unread);
    }
    connection.run("DELETE FROM alerts WHERE id = ?1", [&id])?;
    journal::forget(connection, partition, chain, at)?;
    Ok(Forgot::Now)
}

fn sweep(connection: &Connection, partition: Partition, before: &Bygone, limit: usize) -> Fallible<Swept> {
    let delete = |sql: &str, before: Time| -> Fallible<u64> {
        let gone = connection.run(sql, params![partition.index(), before, rows(limit)])?;
        Ok(gone as u64)
    };
    Ok(Swept {
        claims: delete(
            "DELETE FROM claims WHERE key IN
             (SELECT key FROM claims WHERE partition = ?1 AND until < ?2 ORDER BY until LIMIT ?3)",
            before.claims,
        )?,
        changes: delete(
            "DELETE FROM changes WHERE target IN
             (SELECT target FROM changes WHERE partition = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
            before.changes,
        )?,
        gone: delete(
            "DELETE FROM gone WHERE chain IN
             (SELECT chain FROM gone WHERE partition = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
            before.gone,
        )?,
    })
}

fn names(followers: &[&str]) -> Vec<String> {
    followers.iter().map(|name| (*name).to_owned()).collect()
}

#[async_trait]
impl Retention for SqliteStore {
    async fn old_runs(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, RunId)>,
        limit: usize,
    ) -> Result<Vec<(Time, RunId)>> {
        let sql = "SELECT updated_at AS at, id FROM runs
                   WHERE partition = ?1 AND status = 'settled' AND updated_at < ?2 AND (updated_at, id) > (?3, ?4)
                   ORDER BY updated_at, id LIMIT ?5";
        self.read(move |connection| old(connection, sql, partition, before, after, limit))
            .await
    }

    async fn old_alerts(
        &self,
        partition: Partition,
        before: Time,
        after: Option<(Time, AlertId)>,
        limit: usize,
    ) -> Result<Vec<(Time, AlertId)>> {
        let sql = "SELECT received_at AS at, id FROM alerts
                   WHERE partition = ?1 AND received_at < ?2 AND (received_at, id) > (?3, ?4)
                     AND disposition <> 'pending'
                   ORDER BY received_at, id LIMIT ?5";
        self.read(move |connection| old(connection, sql, partition, before, after, limit))
            .await
    }

    async fn forget_run(
        &self,
        partition: Partition,
        run: RunId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        home::of_chain(partition, ChainId::Run(run))?;
        let followers = names(followers);
        self.write(Weight::Durable, move |connection| {
            forget_run(connection, partition, run, at, &followers)
        })
        .await
    }

    async fn forget_alert(
        &self,
        partition: Partition,
        alert: AlertId,
        at: Time,
        followers: &[&str],
    ) -> Result<Forgot> {
        home::of_chain(partition, ChainId::Alert(alert))?;
        let followers = names(followers);
        self.write(Weight::Durable, move |connection| {
            forget_alert(connection, partition, alert, at, &followers)
        })
        .await
    }

    async fn sweep(&self, partition: Partition, before: &Bygone, limit: usize) -> Result<Swept> {
        let before = *before;
        self.write(Weight::Light, move |connection| {
            sweep(connection, partition, &before, limit)
        })
        .await
    }

    async fn forget_bundle(&self, digest: Digest) -> Result<()> {
        self.write(Weight::Light, move |connection| {
            connection.run("DELETE FROM bundles WHERE digest = ?1", [digest])?;
            Ok(())
        })
        .await
    }

    async fn bundles(&self) -> Result<Vec<Digest>> {
        self.read(|connection| {
            connection.all("SELECT digest FROM bundles ORDER BY digest", [], |row| {
                row.get("digest")
            })
        })
        .await
    }
}
