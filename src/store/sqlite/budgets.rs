//! Budgets, as rows: one for each place that is taken.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::failure::Fallible;
use super::job::Weight;
use super::row::Ask as _;
use crate::clock::Time;
use crate::id::Partition;
use crate::store::budgets::{Budgets, Reserved};
use crate::store::error::Result;
use crate::store::home;

/// A place taken at this moment or before is free.
fn gone(now: Time, window_ms: u64) -> Time {
    Time(now.0.saturating_sub(i64::try_from(window_ms).unwrap_or(i64::MAX)))
}

fn used(connection: &Connection, scope: &str, gone: Time) -> Fallible<u32> {
    let used = connection.one(
        "SELECT count(*) FROM budgets WHERE scope = ?1 AND at > ?2",
        params![scope, gone],
        |row| row.get::<_, i64>(0),
    )?;
    Ok(u32::try_from(used.unwrap_or(0)).unwrap_or(u32::MAX))
}

#[async_trait]
impl Budgets for SqliteStore {
    async fn budget_reserve(
        &self,
        partition: Partition,
        scope: &str,
        member: &str,
        now: Time,
        window_ms: u64,
        limit: u32,
    ) -> Result<Reserved> {
        home::of_scope(partition, scope)?;
        let (scope, member) = (scope.to_owned(), member.to_owned());
        self.write(Weight::Durable, move |connection| {
            let gone = gone(now, window_ms);
            connection.run(
                "DELETE FROM budgets WHERE scope = ?1 AND at <= ?2",
                params![scope, gone],
            )?;
            let has = connection.one(
                "SELECT 1 FROM budgets WHERE scope = ?1 AND member = ?2",
                [&scope, &member],
                |_| Ok(()),
            )?;
            if has.is_some() {
                return Ok(Reserved::Granted);
            }
            let used = used(connection, &scope, gone)?;
            if used < limit {
                connection.run(
                    "INSERT INTO budgets (scope, member, partition, at) VALUES (?1, ?2, ?3, ?4)",
                    params![scope, member, partition.index(), now],
                )?;
                return Ok(Reserved::Granted);
            }
            // The place whose end leaves one free: the oldest, unless the limit was lowered since.
            let freed: Option<Time> = connection.one(
                "SELECT at FROM budgets WHERE scope = ?1 ORDER BY at LIMIT 1 OFFSET ?2",
                params![scope, used - limit],
                |row| row.get("at"),
            )?;
            let free_at = freed.map_or(now, |at| at.plus_ms(window_ms));
            Ok(Reserved::Spent { used, free_at })
        })
        .await
    }

    async fn budget_release(&self, partition: Partition, scope: &str, member: &str) -> Result<()> {
        home::of_scope(partition, scope)?;
        let (scope, member) = (scope.to_owned(), member.to_owned());
        self.write(Weight::Durable, move |connection| {
            connection.run(
                "DELETE FROM budgets WHERE scope = ?1 AND member = ?2",
                [&scope, &member],
            )?;
            Ok(())
        })
        .await
    }

    async fn budget_used(&self, partition: Partition, scope: &str, now: Time, window_ms: u64) -> Result<u32> {
        home::of_scope(partition, scope)?;
        let scope = scope.to_owned();
        self.read(move |connection| used(connection, &scope, gone(now, window_ms)))
            .await
    }
}
