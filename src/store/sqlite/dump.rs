//! Records out and in, as rows.

use async_trait::async_trait;

use super::job::Weight;
use super::row::{Ask as _, json, to_json};
use super::{SqliteStore, dump_read, dump_write};
use crate::id::Partition;
use crate::store::dump::{Dump, Dumped, Kind, Mark, Record};
use crate::store::error::Result;
use crate::store::home;

#[async_trait]
impl Dump for SqliteStore {
    async fn dump(
        &self,
        partition: Partition,
        kind: Kind,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Dumped> {
        let next = next.map(str::to_owned);
        self.read(move |connection| dump_read::page(connection, partition, kind, next.as_deref(), limit))
            .await
    }

    async fn restore(&self, partition: Partition, records: Vec<Record>) -> Result<()> {
        for record in &records {
            home::of_record(partition, record)?;
        }
        self.write(Weight::Durable, move |connection| {
            records
                .iter()
                .try_for_each(|record| dump_write::restore(connection, partition, record))
        })
        .await
    }

    async fn mark(&self) -> Result<Option<Mark>> {
        self.read(|connection| {
            connection.one("SELECT value FROM instance WHERE name = 'mark'", [], |row| {
                json(row, "value")
            })
        })
        .await
    }

    async fn set_mark(&self, mark: Option<Mark>) -> Result<()> {
        self.write(Weight::Light, move |connection| {
            match &mark {
                None => connection.run("DELETE FROM instance WHERE name = 'mark'", [])?,
                Some(mark) => connection.run(
                    "INSERT INTO instance (name, value) VALUES ('mark', ?1)
                     ON CONFLICT DO UPDATE SET value = excluded.value",
                    [to_json(mark)?],
                )?,
            };
            Ok(())
        })
        .await
    }
}
