//! The feed and the totals, as rows.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::journal;
use super::row::{Ask as _, int, read_word, uint};
use crate::clock::Time;
use crate::id::Partition;
use crate::journal::End;
use crate::store::error::{Error, Result};
use crate::store::feed::{Counts, Feed, FeedItem, Health};

fn by_word(connection: &Connection, partition: Partition, sql: &str) -> Fallible<BTreeMap<String, u64>> {
    let rows = connection.all(sql, [partition.index()], |row| {
        Ok((row.get::<_, String>("word")?, uint(row, "n")?))
    })?;
    Ok(rows.into_iter().collect())
}

fn number(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Fallible<u64> {
    let found = connection.one(sql, params, |row| uint(row, "n"))?;
    Ok(found.unwrap_or(0))
}

fn counts(connection: &Connection, partition: Partition, now: Time) -> Fallible<Counts> {
    let mut ends = BTreeMap::new();
    let ended = "SELECT ended_as AS word, count(*) AS n FROM runs
                 WHERE partition = ?1 AND ended_as IS NOT NULL GROUP BY ended_as";
    for (word, n) in by_word(connection, partition, ended)? {
        ends.insert(read_word::<End>(&word)?.word().to_owned(), n);
    }
    let here = [partition.index()];
    Ok(Counts {
        alerts: by_word(
            connection,
            partition,
            "SELECT disposition AS word, count(*) AS n FROM alerts WHERE partition = ?1 GROUP BY disposition",
        )?,
        repeats: number(
            connection,
            "SELECT coalesce(sum(times - 1), 0) AS n FROM alerts WHERE partition = ?1 AND times > 1",
            here,
        )?,
        runs: by_word(
            connection,
            partition,
            "SELECT status AS word, count(*) AS n FROM runs WHERE partition = ?1 GROUP BY status",
        )?,
        ends,
        stuck: number(
            connection,
            "SELECT count(*) AS n FROM runs
             WHERE partition = ?1 AND status = 'open' AND coalesce(wake_at, claim_until) IS NULL",
            here,
        )?,
        holds: number(
            connection,
            "SELECT count(*) AS n FROM holds WHERE partition = ?1",
            here,
        )?,
        overdue: number(
            connection,
            "SELECT count(*) AS n FROM holders WHERE partition = ?1 AND until <= ?2",
            params![partition.index(), now],
        )?,
        notices: by_word(
            connection,
            partition,
            "SELECT state AS word, count(*) AS n FROM notices WHERE partition = ?1 GROUP BY state",
        )?,
        notice_due: connection
            .one(
                "SELECT min(due_at) AS due_at FROM notices WHERE partition = ?1 AND due_at <= ?2",
                params![partition.index(), now],
                |row| row.get("due_at"),
            )?
            .flatten(),
    })
}

#[async_trait]
impl Feed for SqliteStore {
    async fn feed(&self, partition: Partition, after: u64, limit: usize) -> Result<Vec<FeedItem>> {
        self.read(move |connection| journal::feed(connection, partition, after, limit))
            .await
    }

    async fn cursor(&self, partition: Partition, follower: &str) -> Result<u64> {
        let follower = follower.to_owned();
        let position = self.read(move |connection| {
            connection.one(
                "SELECT position FROM cursors WHERE partition = ?1 AND follower = ?2",
                params![partition.index(), follower],
                |row| uint(row, "position"),
            )
        });
        Ok(position.await?.unwrap_or(0))
    }

    async fn claim_follower(
        &self,
        partition: Partition,
        follower: &str,
        holder: &str,
        now: Time,
        until: Time,
    ) -> Result<bool> {
        let (follower, holder) = (follower.to_owned(), holder.to_owned());
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT INTO followers (partition, follower, holder, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET holder = excluded.holder, until = excluded.until
                 WHERE holder = excluded.holder OR until <= ?5",
                params![partition.index(), follower, holder, until, now],
            )?;
            let ours = connection.one(
                "SELECT holder FROM followers WHERE partition = ?1 AND follower = ?2",
                params![partition.index(), follower],
                |row| row.get::<_, String>("holder"),
            )?;
            Ok(ours.as_deref() == Some(holder.as_str()))
        })
        .await
    }

    async fn release_follower(&self, partition: Partition, follower: &str, holder: &str) -> Result<()> {
        let (follower, holder) = (follower.to_owned(), holder.to_owned());
        self.write(Weight::Light, move |connection| {
            connection.run(
                "DELETE FROM followers WHERE partition = ?1 AND follower = ?2 AND holder = ?3",
                params![partition.index(), follower, holder],
            )?;
            Ok(())
        })
        .await
    }

    async fn set_cursor(&self, partition: Partition, follower: &str, position: u64) -> Result<()> {
        let follower = follower.to_owned();
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT INTO cursors (partition, follower, position) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET position = max(position, excluded.position)",
                params![partition.index(), follower, int(position)],
            )?;
            Ok(())
        })
        .await
    }

    async fn counts(&self, partition: Partition, now: Time) -> Result<Counts> {
        self.read(move |connection| counts(connection, partition, now))
            .await
    }

    async fn health(&self) -> Result<Health> {
        let path = self.path().to_owned();
        let looked = tokio::task::spawn_blocking(move || super::open::room(&path));
        let room = looked.await.map_err(|error| Error::Unavailable {
            why: error.to_string(),
        })??;
        Ok(Health {
            backend: "sqlite".to_owned(),
            durability: "strict: each answered write is synced to this machine's disk".to_owned(),
            used_bytes: room.used,
            total_bytes: Some(room.total),
            free_bytes: Some(room.free),
            notes: self.fatal().borrow().iter().cloned().collect(),
        })
    }

    /// Commits a real change, because only that shows that the disk takes one.
    async fn ready(&self) -> Result<()> {
        self.write(Weight::Light, |connection| {
            connection.run(
                "INSERT INTO instance (name, value) VALUES ('probe', '1')
                 ON CONFLICT DO UPDATE SET value = value + 1",
                [],
            )?;
            Ok(())
        })
        .await
    }
}
