//! Deliveries and claims on keys.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use super::call::{ask, rows};
use super::runs::{conflict, gap};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition};
use crate::journal::{ChainId, Entry};
use crate::store::alerts::{Accepted, Alert, AlertRow, Alerts, Claimed, Disposition, NewAlert};
use crate::store::error::{Error, Result};
use crate::store::home;

pub(super) fn row(answer: &mut Answer) -> Result<AlertRow> {
    Ok(AlertRow {
        id: answer.parse()?,
        source: answer.text()?,
        received_at: answer.time()?,
        times: answer.parse()?,
        disposition: answer.word()?,
        len: answer.parse()?,
        last: answer.parse()?,
    })
}

#[async_trait]
impl Alerts for RedisStore {
    async fn accept(&self, partition: Partition, alert: NewAlert) -> Result<Accepted> {
        let chain = ChainId::Alert(alert.id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&alert.entry))?;
        let args = Args::new()
            .put(alert.id)
            .put(ask()?)
            .put(alert.source)
            .time(alert.received_at)
            .json(&alert.headers)?
            .bytes(alert.body)
            .entries(std::slice::from_ref(&alert.entry));
        match self.write(partition, "accept", args).await?.parse()? {
            1 => Ok(Accepted::New),
            times => Ok(Accepted::Repeat { times }),
        }
    }

    async fn unprocessed(&self, partition: Partition, limit: usize) -> Result<Vec<AlertId>> {
        let args = Args::new().put(rows(limit));
        self.read(partition, "unprocessed", args)
            .await?
            .each(Answer::parse)
    }

    async fn alert(&self, partition: Partition, id: AlertId) -> Result<Option<Alert>> {
        home::of_chain(partition, ChainId::Alert(id))?;
        let mut answer = self.read(partition, "alert", Args::new().put(id)).await?;
        if answer.is_empty() {
            return Ok(None);
        }
        Ok(Some(Alert {
            row: row(&mut answer.list()?)?,
            headers: answer.json()?,
            body: answer.bytes()?,
        }))
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
        let args = Args::new()
            .put(id)
            .put(expected_len)
            .word(&disposition)?
            .entries(&entries);
        let mut answer = self.write(partition, "dispose", args).await?;
        match answer.text()?.as_str() {
            "NEXT" | "THERE" => Ok(()),
            "MISSING" => Err(Error::Missing {
                what: format!("alert `{id}`"),
            }),
            "GAP" => Err(gap(chain, &mut answer, expected_len)?),
            "CONFLICT" => Err(conflict(chain, &mut answer)?),
            other => Err(unreadable(other)),
        }
    }

    async fn alerts(
        &self,
        partition: Partition,
        before: Option<Time>,
        disposition: Option<Disposition>,
        limit: usize,
    ) -> Result<Vec<AlertRow>> {
        let args = Args::new()
            .maybe_time(before)
            .maybe_word(disposition.as_ref())?
            .put(rows(limit));
        self.read(partition, "alerts", args).await?.lists(row)
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
        let args = Args::new().put(key).put(owner).time(now).time(until);
        let mut answer = self.write(partition, "claim_once", args).await?;
        match answer.text()?.as_str() {
            "WON" => Ok(Claimed::Won),
            "TAKEN" => Ok(Claimed::Lost {
                owner: answer.text()?,
                times: answer.parse()?,
            }),
            other => Err(unreadable(other)),
        }
    }
}
