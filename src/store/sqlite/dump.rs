//! Records out and in, as rows.

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::job::Weight;
use super::row::{Ask as _, json, to_json};
use super::{SqliteStore, dump_read, dump_write};
use crate::id::Partition;
use crate::limits::DUMP_PAGE;
use crate::store::dump::{Dump, Dumped, Kind, Mark, Record, nobody};
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

    /// All of it in one reading transaction, so that it is as of one moment. The log of the database grows meanwhile.
    async fn dump_all(&self, out: mpsc::Sender<(Partition, Record)>) -> Result<bool> {
        self.read(move |connection| {
            for kind in Kind::ALL {
                for partition in Partition::all() {
                    let mut next = None;
                    loop {
                        let page = dump_read::page(connection, partition, kind, next.as_deref(), DUMP_PAGE)?;
                        for record in page.records {
                            out.blocking_send((partition, record)).map_err(|_| nobody())?;
                        }
                        match page.next {
                            Some(place) => next = Some(place),
                            None => break,
                        }
                    }
                }
            }
            Ok(true)
        })
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
