//! Requests for approval and votes, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::row::{Ask as _, json, rows, to_json, word};
use super::runs::wake;
use crate::approval::Vote;
use crate::id::{ApprovalId, Partition, RunId};
use crate::journal::ChainId;
use crate::store::approvals::{ApprovalQuery, ApprovalRow, Approvals, Put};
use crate::store::error::{Error, Result};
use crate::store::home;

pub(super) fn approval_row(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    Ok(ApprovalRow {
        id: word(row, "id")?,
        run: word(row, "run")?,
        asked_at: row.get("asked_at")?,
        open: row.get("open")?,
        state: json(row, "state")?,
    })
}

/// Writes a request as it stands now.
pub(super) fn put(connection: &Connection, partition: Partition, row: &ApprovalRow) -> Fallible<()> {
    connection.run(
        "INSERT INTO approvals (id, partition, run, asked_at, open, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET run = excluded.run, asked_at = excluded.asked_at, open = excluded.open,
             state = excluded.state",
        params![
            row.id.to_string(),
            partition.index(),
            row.run.to_string(),
            row.asked_at,
            row.open,
            to_json(&row.state)?,
        ],
    )?;
    Ok(())
}

fn put_vote(
    connection: &Connection,
    partition: Partition,
    approval: ApprovalId,
    vote: &Vote,
) -> Fallible<Put> {
    let found: Option<(RunId, bool)> = connection.one(
        "SELECT run, open FROM approvals WHERE id = ?1",
        [approval.to_string()],
        |row| Ok((word(row, "run")?, row.get("open")?)),
    )?;
    let missing = || Error::Missing {
        what: format!("approval `{approval}`"),
    };
    let (run, open) = found.ok_or_else(missing)?;
    if !open {
        return Ok(Put::Decided);
    }
    wake(connection, run, vote.at)?;
    let kept = keep_vote(connection, partition, run, approval, vote)?;
    Ok(if kept == 0 { Put::Already } else { Put::New })
}

/// Writes a vote unless its principal's same answer is there; says how many rows that made.
pub(super) fn keep_vote(
    connection: &Connection,
    partition: Partition,
    run: RunId,
    approval: ApprovalId,
    vote: &Vote,
) -> Fallible<usize> {
    connection.run(
        "INSERT INTO votes (approval, principal, approve, partition, run, at, vote) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT DO NOTHING",
        params![
            approval.to_string(),
            vote.principal,
            vote.approve,
            partition.index(),
            run.to_string(),
            vote.at,
            to_json(vote)?,
        ],
    )
}

pub(super) fn votes(connection: &Connection, run: RunId) -> Fallible<Vec<(ApprovalId, Vote)>> {
    connection.all(
        "SELECT approval, vote FROM votes WHERE run = ?1 ORDER BY at, principal, approve, approval",
        [run.to_string()],
        |row| Ok((word(row, "approval")?, json(row, "vote")?)),
    )
}

#[async_trait]
impl Approvals for SqliteStore {
    async fn put_vote(&self, partition: Partition, approval: ApprovalId, vote: Vote) -> Result<Put> {
        home::of_approval(partition, approval)?;
        self.write(Weight::Durable, move |connection| {
            put_vote(connection, partition, approval, &vote)
        })
        .await
    }

    async fn votes(&self, partition: Partition, run: RunId) -> Result<Vec<(ApprovalId, Vote)>> {
        home::of_chain(partition, ChainId::Run(run))?;
        self.read(move |connection| votes(connection, run)).await
    }

    async fn approval(&self, partition: Partition, id: ApprovalId) -> Result<Option<ApprovalRow>> {
        home::of_approval(partition, id)?;
        self.read(move |connection| {
            connection.one(
                "SELECT id, run, asked_at, open, state FROM approvals WHERE id = ?1",
                [id.to_string()],
                approval_row,
            )
        })
        .await
    }

    async fn approvals(&self, partition: Partition, query: ApprovalQuery) -> Result<Vec<ApprovalRow>> {
        let mut sql =
            String::from("SELECT id, run, asked_at, open, state FROM approvals WHERE partition = ?1");
        // As in the list of runs, each clause names its parameter even when it is not asked for.
        sql.push_str(if query.open.is_some() {
            " AND open = ?2"
        } else {
            " AND ?2 IS NULL"
        });
        sql.push_str(if query.before.is_some() {
            " AND asked_at < ?3"
        } else {
            " AND ?3 IS NULL"
        });
        sql.push_str(" ORDER BY asked_at DESC, id DESC LIMIT ?4");
        self.read(move |connection| {
            connection.all(
                &sql,
                params![partition.index(), query.open, query.before, rows(query.limit)],
                approval_row,
            )
        })
        .await
    }
}
