//! Words of people for runs.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use crate::id::{Partition, RunId};
use crate::journal::ChainId;
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::signals::{Signal, Signalled, Signals};

/// Signals, in order, from their fields.
pub(super) fn in_order(answer: Answer) -> Result<Vec<Signal>> {
    let mut signals: Vec<Signal> = answer.each(|answer| {
        answer.bytes()?;
        answer.json()
    })?;
    signals.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
    Ok(signals)
}

#[async_trait]
impl Signals for RedisStore {
    async fn put_signal(&self, partition: Partition, signal: Signal) -> Result<Signalled> {
        home::of_chain(partition, ChainId::Run(signal.run))?;
        let args = Args::new()
            .put(signal.run)
            .put(&signal.id)
            .time(signal.at)
            .json(&signal)?;
        match self.write(partition, "put_signal", args).await?.text()?.as_str() {
            "NEW" => Ok(Signalled::New),
            "ALREADY" => Ok(Signalled::Already),
            "OVER" => Ok(Signalled::Over),
            "MISSING" => Err(Error::Missing {
                what: format!("run `{}`", signal.run),
            }),
            other => Err(unreadable(other)),
        }
    }

    async fn signals(&self, partition: Partition, run: RunId) -> Result<Vec<Signal>> {
        home::of_chain(partition, ChainId::Run(run))?;
        let answer = self.read(partition, "signals", Args::new().put(run)).await?;
        in_order(answer)
    }
}
