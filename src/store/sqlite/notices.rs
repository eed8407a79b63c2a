//! Notices, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::row::{Ask as _, json, rows, to_json, to_word, word};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;
use crate::store::error::Result;
use crate::store::home;
use crate::store::notices::{Notice, NoticeQuery, Notices};

pub(super) const COLUMNS: &str = "key, group_of, at, state, leads, due_at, content";

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Notice> {
    Ok(Notice {
        key: row.get("key")?,
        group: row.get("group_of")?,
        at: row.get("at")?,
        state: word(row, "state")?,
        leads: row.get("leads")?,
        due_at: row.get("due_at")?,
        content: json(row, "content")?,
    })
}

/// Writes one notice; says whether a row was written.
pub(super) fn write(
    connection: &Connection,
    partition: Partition,
    notice: &Notice,
    on_conflict: &str,
) -> Fallible<u64> {
    let sql = format!(
        "INSERT INTO notices (partition, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) {on_conflict}"
    );
    let written = connection.run(
        &sql,
        params![
            partition.index(),
            notice.key,
            notice.group,
            notice.at,
            to_word(&notice.state)?,
            notice.leads,
            notice.due_at,
            to_json(&notice.content)?
        ],
    )?;
    Ok(written as u64)
}

#[async_trait]
impl Notices for SqliteStore {
    async fn put_notices(&self, partition: Partition, notices: Vec<Notice>) -> Result<u64> {
        home::of_notices(partition, &notices)?;
        self.write(Weight::Light, move |connection| {
            let mut new = 0;
            for notice in &notices {
                new += write(connection, partition, notice, "ON CONFLICT DO NOTHING")?;
            }
            Ok(new)
        })
        .await
    }

    async fn due_notices(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<Notice>> {
        self.read(move |connection| {
            connection.all(
                &format!(
                    "SELECT {COLUMNS} FROM notices WHERE partition = ?1 AND due_at <= ?2
                     ORDER BY due_at, key LIMIT ?3"
                ),
                params![partition.index(), now, rows(limit)],
                read,
            )
        })
        .await
    }

    async fn leading_notice(&self, partition: Partition, group: Digest) -> Result<Option<Notice>> {
        home::of_key(partition, &group)?;
        self.read(move |connection| {
            connection.one(
                &format!(
                    "SELECT {COLUMNS} FROM notices WHERE partition = ?1 AND group_of = ?2 AND leads = 1
                     ORDER BY at DESC, key DESC LIMIT 1"
                ),
                params![partition.index(), group],
                read,
            )
        })
        .await
    }

    async fn save_notices(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        notices: Vec<Notice>,
    ) -> Result<bool> {
        home::of_notices(partition, &notices)?;
        let (follower, holder) = (follower.to_owned(), holder.to_owned());
        self.write(Weight::Light, move |connection| {
            let ours = connection.one(
                "SELECT holder FROM followers WHERE partition = ?1 AND follower = ?2",
                params![partition.index(), follower],
                |row| row.get::<_, String>("holder"),
            )?;
            if ours.as_deref() != Some(holder.as_str()) {
                return Ok(false);
            }
            for notice in &notices {
                let replace = "ON CONFLICT (partition, key) DO UPDATE SET group_of = excluded.group_of,
                     at = excluded.at, state = excluded.state, leads = excluded.leads,
                     due_at = excluded.due_at, content = excluded.content";
                write(connection, partition, notice, replace)?;
            }
            Ok(true)
        })
        .await
    }

    async fn notice(&self, partition: Partition, key: &str) -> Result<Option<Notice>> {
        let key = key.to_owned();
        self.read(move |connection| {
            connection.one(
                &format!("SELECT {COLUMNS} FROM notices WHERE partition = ?1 AND key = ?2"),
                params![partition.index(), key],
                read,
            )
        })
        .await
    }

    async fn notices(&self, partition: Partition, query: &NoticeQuery) -> Result<Vec<Notice>> {
        let query = query.clone();
        self.read(move |connection| {
            let state = query.state.as_ref().map(to_word).transpose()?;
            connection.all(
                &format!(
                    "SELECT {COLUMNS} FROM notices
                     WHERE partition = ?1 AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR at < ?3)
                     ORDER BY at DESC, key DESC LIMIT ?4"
                ),
                params![partition.index(), state, query.before, rows(query.limit)],
                read,
            )
        })
        .await
    }

    async fn forget_notices(&self, partition: Partition, before: Time, limit: usize) -> Result<u64> {
        self.write(Weight::Light, move |connection| {
            let gone = connection.run(
                "DELETE FROM notices WHERE partition = ?1 AND key IN
                     (SELECT key FROM notices WHERE partition = ?1 AND due_at IS NULL AND at < ?2 LIMIT ?3)",
                params![partition.index(), before, rows(limit)],
            )?;
            Ok(gone as u64)
        })
        .await
    }
}
