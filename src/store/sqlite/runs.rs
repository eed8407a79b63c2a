//! Runs, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::approvals;
use super::failure::Fallible;
use super::job::Weight;
use super::journal;
use super::row::{Ask as _, int, rows, to_word, uint, word, word_or_none};
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::{Partition, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::place::Place;
use crate::store::runs::{Appended, Claim, Created, NewRun, RunQuery, RunRow, RunStatus, RunUpdate, Runs};

pub(super) const ROW: &str = "id, playbook, title, subject, cause, severity_id, status, ended_as, started_at, updated_at, \
                   waits_for, wake_at, epoch, worker, len, last";

pub(super) fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: word(row, "id")?,
        playbook: row.get("playbook")?,
        title: row.get("title")?,
        subject: row.get("subject")?,
        cause: row.get("cause")?,
        severity_id: SeverityId(row.get("severity_id")?),
        status: word(row, "status")?,
        end: word_or_none(row, "ended_as")?,
        started_at: row.get("started_at")?,
        updated_at: row.get("updated_at")?,
        waits_for: row.get("waits_for")?,
        wake_at: row.get("wake_at")?,
        epoch: uint(row, "epoch")?,
        worker: row.get("worker")?,
        len: uint(row, "len")?,
        last: row.get("last")?,
    })
}

/// What an operation on one run looks at first.
struct Present {
    open: bool,
    woken_at: Option<Time>,
    epoch: u64,
    worker: Option<String>,
    claim_until: Option<Time>,
    len: u64,
    last: Digest,
}

fn present(connection: &Connection, id: RunId) -> Fallible<Present> {
    let found = connection.one(
        "SELECT status, woken_at, epoch, worker, claim_until, len, last FROM runs WHERE id = ?1",
        [id.to_string()],
        |row| {
            Ok(Present {
                open: word::<RunStatus>(row, "status")? == RunStatus::Open,
                woken_at: row.get("woken_at")?,
                epoch: uint(row, "epoch")?,
                worker: row.get("worker")?,
                claim_until: row.get("claim_until")?,
                len: uint(row, "len")?,
                last: row.get("last")?,
            })
        },
    )?;
    let missing = || Error::Missing {
        what: format!("run `{id}`"),
    };
    Ok(found.ok_or_else(missing)?)
}

fn fenced(claim: &Claim, present: &Present) -> Error {
    Error::Fenced {
        run: claim.run.to_string(),
        ours: claim.epoch,
        theirs: present.epoch,
    }
}

fn create(connection: &Connection, partition: Partition, run: &NewRun) -> Fallible<Created> {
    let row = &run.row;
    if journal::is_gone(connection, ChainId::Run(row.id))? {
        return Ok(Created::Exists);
    }
    let created = connection.run(
        "INSERT INTO runs (id, partition, playbook, title, subject, cause, severity_id, status, started_at,
                           updated_at, waits_for, wake_at, epoch, len, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open', ?8, ?9, ?10, ?11, 0, 1, ?12) ON CONFLICT DO NOTHING",
        params![
            row.id.to_string(),
            partition.index(),
            row.playbook,
            row.title,
            row.subject,
            row.cause,
            row.severity_id.0,
            row.started_at,
            row.updated_at,
            row.waits_for,
            row.wake_at,
            run.entry.digest,
        ],
    )?;
    if created == 0 {
        return Ok(Created::Exists);
    }
    journal::push(connection, partition, std::slice::from_ref(&run.entry))?;
    Ok(Created::New)
}

fn claim(connection: &Connection, id: RunId, worker: &str, until: Time) -> Fallible<Claim> {
    let epoch = connection.one(
        "UPDATE runs SET epoch = epoch + 1, worker = ?2, claim_until = ?3, woken_at = NULL
         WHERE id = ?1 RETURNING epoch",
        params![id.to_string(), worker, until],
        |row| uint(row, "epoch"),
    )?;
    let epoch = epoch.ok_or_else(|| super::failure::unreadable(format_args!("run `{id}` is gone")))?;
    Ok(Claim {
        run: id,
        epoch,
        until,
    })
}

fn claim_due(
    connection: &Connection,
    partition: Partition,
    worker: &str,
    now: Time,
    until: Time,
    limit: usize,
) -> Fallible<Vec<Claim>> {
    let due: Vec<RunId> = connection.all(
        "SELECT id FROM runs
         WHERE partition = ?1 AND status = 'open' AND coalesce(wake_at, claim_until) <= ?2
           AND (claim_until IS NULL OR claim_until <= ?2)
         ORDER BY coalesce(wake_at, claim_until), id LIMIT ?3",
        params![partition.index(), now, rows(limit)],
        |row| word(row, "id"),
    )?;
    due.into_iter()
        .map(|id| claim(connection, id, worker, until))
        .collect()
}

fn claim_run(
    connection: &Connection,
    id: RunId,
    worker: &str,
    now: Time,
    until: Time,
) -> Fallible<Option<Claim>> {
    let present = present(connection, id)?;
    let ours = present.worker.as_deref() == Some(worker);
    let free = present.claim_until.is_none_or(|until| until <= now);
    if present.open && (ours || free) {
        claim(connection, id, worker, until).map(Some)
    } else {
        Ok(None)
    }
}

fn renew(connection: &Connection, claim: &Claim, until: Time) -> Fallible<()> {
    let present = present(connection, claim.run)?;
    if present.epoch != claim.epoch || present.worker.is_none() {
        return Err(fenced(claim, &present).into());
    }
    connection.run(
        "UPDATE runs SET claim_until = ?2 WHERE id = ?1",
        params![claim.run.to_string(), until],
    )?;
    Ok(())
}

fn append(
    connection: &Connection,
    partition: Partition,
    claim: &Claim,
    expected_len: u64,
    now: Time,
    entries: &[Entry],
    update: &RunUpdate,
) -> Fallible<Appended> {
    let chain = ChainId::Run(claim.run);
    let present = present(connection, claim.run)?;
    if present.epoch != claim.epoch {
        return Err(fenced(claim, &present).into());
    }
    match journal::find_place(connection, chain, present.len, expected_len, entries)? {
        Place::There => return Ok(Appended::Already),
        Place::Next if present.worker.is_none() => return Err(fenced(claim, &present).into()),
        Place::Next => {}
    }
    journal::push(connection, partition, entries)?;
    for row in &update.approvals {
        approvals::put(connection, partition, row)?;
    }
    let wake_at = match update.status {
        RunStatus::Open => update.wake_at.into_iter().chain(present.woken_at).min(),
        RunStatus::Parked | RunStatus::Settled => None,
    };
    connection.run(
        "UPDATE runs SET status = ?2, ended_as = ?3, updated_at = ?4, waits_for = ?5, wake_at = ?6, len = ?7,
                         last = ?8, worker = iif(?9, NULL, worker), claim_until = iif(?9, NULL, claim_until)
         WHERE id = ?1",
        params![
            claim.run.to_string(),
            to_word(&update.status)?,
            update.end.as_ref().map(to_word).transpose()?,
            now,
            update.waits_for,
            wake_at,
            int(present.len.saturating_add(entries.len() as u64)),
            entries.last().map_or(present.last, |entry| entry.digest),
            update.release,
        ],
    )?;
    Ok(Appended::New)
}

pub(super) fn wake(connection: &Connection, id: RunId, at: Time) -> Fallible<()> {
    if present(connection, id)?.open {
        connection.run(
            "UPDATE runs SET wake_at = min(coalesce(wake_at, ?2), ?2), woken_at = min(coalesce(woken_at, ?2), ?2)
             WHERE id = ?1",
            params![id.to_string(), at],
        )?;
    }
    Ok(())
}

fn runs(connection: &Connection, partition: Partition, query: &RunQuery) -> Fallible<Vec<RunRow>> {
    let mut sql = format!("SELECT {ROW} FROM runs WHERE partition = ?1");
    // Each clause names its parameter even when it is not asked for, so that one list of them fits all.
    sql.push_str(if query.status.is_some() {
        " AND status = ?2"
    } else {
        " AND ?2 IS NULL"
    });
    sql.push_str(if query.playbook.is_some() {
        " AND playbook = ?3"
    } else {
        " AND ?3 IS NULL"
    });
    sql.push_str(if query.before.is_some() {
        " AND started_at < ?4"
    } else {
        " AND ?4 IS NULL"
    });
    sql.push_str(" ORDER BY started_at DESC, id DESC LIMIT ?5");
    connection.all(
        &sql,
        params![
            partition.index(),
            query.status.as_ref().map(to_word).transpose()?,
            query.playbook,
            query.before,
            rows(query.limit),
        ],
        run_row,
    )
}

/// Gives every claim back. Only for the one owner of the file, before it works: no earlier process lives then.
pub(super) fn release_all(connection: &Connection) -> Fallible<()> {
    connection.run(
        "UPDATE runs SET worker = NULL, claim_until = NULL,
                         wake_at = iif(status = 'open', coalesce(wake_at, updated_at), wake_at)
         WHERE worker IS NOT NULL",
        [],
    )?;
    connection.run("DELETE FROM followers", [])?;
    Ok(())
}

#[async_trait]
impl Runs for SqliteStore {
    async fn create_run(&self, partition: Partition, run: NewRun) -> Result<Created> {
        let chain = ChainId::Run(run.row.id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&run.entry))?;
        self.write(Weight::Durable, move |connection| {
            create(connection, partition, &run)
        })
        .await
    }

    async fn claim_due(
        &self,
        partition: Partition,
        worker: &str,
        now: Time,
        until: Time,
        limit: usize,
    ) -> Result<Vec<Claim>> {
        let worker = worker.to_owned();
        self.write(Weight::Light, move |connection| {
            claim_due(connection, partition, &worker, now, until, limit)
        })
        .await
    }

    async fn claim_run(
        &self,
        partition: Partition,
        id: RunId,
        worker: &str,
        now: Time,
        until: Time,
    ) -> Result<Option<Claim>> {
        home::of_chain(partition, ChainId::Run(id))?;
        let worker = worker.to_owned();
        self.write(Weight::Light, move |connection| {
            claim_run(connection, id, &worker, now, until)
        })
        .await
    }

    async fn renew(&self, partition: Partition, claim: &Claim, until: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(claim.run))?;
        let claim = claim.clone();
        self.write(Weight::Light, move |connection| renew(connection, &claim, until))
            .await
    }

    async fn append(
        &self,
        partition: Partition,
        claim: &Claim,
        expected_len: u64,
        now: Time,
        entries: Vec<Entry>,
        update: RunUpdate,
    ) -> Result<Appended> {
        let chain = ChainId::Run(claim.run);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, expected_len, &entries)?;
        home::of_approvals(partition, &update.approvals)?;
        let claim = claim.clone();
        self.write(Weight::Durable, move |connection| {
            append(
                connection,
                partition,
                &claim,
                expected_len,
                now,
                &entries,
                &update,
            )
        })
        .await
    }

    async fn wake(&self, partition: Partition, id: RunId, at: Time) -> Result<()> {
        home::of_chain(partition, ChainId::Run(id))?;
        self.write(Weight::Light, move |connection| wake(connection, id, at))
            .await
    }

    async fn release_worker(&self, partition: Partition, worker: &str) -> Result<()> {
        let worker = worker.to_owned();
        self.write(Weight::Light, move |connection| {
            connection.run(
                "UPDATE runs SET worker = NULL, claim_until = NULL,
                                 wake_at = iif(status = 'open', coalesce(wake_at, updated_at), wake_at)
                 WHERE partition = ?1 AND worker = ?2",
                params![partition.index(), worker],
            )?;
            Ok(())
        })
        .await
    }

    async fn journal(&self, partition: Partition, chain: ChainId, from: u64) -> Result<Vec<Entry>> {
        home::of_chain(partition, chain)?;
        self.read(move |connection| journal::read(connection, chain, from))
            .await
    }

    async fn run(&self, partition: Partition, id: RunId) -> Result<Option<RunRow>> {
        home::of_chain(partition, ChainId::Run(id))?;
        self.read(move |connection| {
            let sql = format!("SELECT {ROW} FROM runs WHERE id = ?1");
            connection.one(&sql, [id.to_string()], run_row)
        })
        .await
    }

    async fn runs(&self, partition: Partition, query: &RunQuery) -> Result<Vec<RunRow>> {
        let query = query.clone();
        self.read(move |connection| runs(connection, partition, &query))
            .await
    }

    async fn next_wake(&self, partition: Partition) -> Result<Option<Time>> {
        self.read(move |connection| {
            let idle: Option<Option<Time>> = connection.one(
                "SELECT wake_at FROM runs
                 WHERE partition = ?1 AND status = 'open' AND coalesce(wake_at, claim_until) IS NOT NULL
                   AND worker IS NULL
                 ORDER BY coalesce(wake_at, claim_until) LIMIT 1",
                [partition.index()],
                |row| row.get(0),
            )?;
            let left: Option<Option<Time>> = connection.one(
                "SELECT min(max(coalesce(wake_at, claim_until), claim_until)) FROM runs
                 WHERE partition = ?1 AND worker IS NOT NULL AND status = 'open'",
                [partition.index()],
                |row| row.get(0),
            )?;
            Ok(idle.flatten().into_iter().chain(left.flatten()).min())
        })
        .await
    }
}
