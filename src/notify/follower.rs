//! Follows the feed of every partition and delivers what is to be told. The cursor moves only after delivery,
//! so a crash tells twice rather than never.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::message::{Message, Urgency};
use crate::id::Partition;
use crate::store::{Error, Store};

/// The follower's name at the store.
const FOLLOWER: &str = "notify";
/// Entries read at a time.
const READ_MAX: usize = 512;
/// Pause between looks when there was nothing new, ms.
const LOOK_MS: u64 = 500;

/// Somewhere messages go.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Delivers one message. An error leaves it to be delivered again.
    async fn deliver(&self, message: &Message) -> Result<(), String>;
}

/// The log: alarms as errors, the rest as news.
#[derive(Debug, Default, Clone, Copy)]
pub struct LogChannel;

#[async_trait]
impl Channel for LogChannel {
    async fn deliver(&self, message: &Message) -> Result<(), String> {
        match message.urgency {
            Urgency::Alarm => tracing::error!(run.id = %message.run, to = message.to, "{}", message.subject),
            Urgency::Told => tracing::info!(run.id = %message.run, to = message.to, "{}", message.subject),
        }
        Ok(())
    }
}

/// Follows until `stop` is set.
pub async fn follow(store: Arc<dyn Store>, channel: Arc<dyn Channel>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let mut delivered = 0;
        for partition in Partition::all() {
            match follow_once(&*store, &*channel, partition).await {
                Ok(read) => delivered += read,
                Err(error) => tracing::warn!("notifications of {partition} wait: {error}"),
            }
        }
        if delivered == 0 {
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
    }
}

/// Delivers what is new in one partition; answers how many entries were read.
pub async fn follow_once(
    store: &dyn Store,
    channel: &dyn Channel,
    partition: Partition,
) -> Result<usize, Error> {
    let after = store.cursor(partition, FOLLOWER).await?;
    let items = store.feed(partition, after, READ_MAX).await?;
    let mut reached = after;
    for item in &items {
        if Message::may_be_in(&item.entry.kind)
            && let crate::journal::ChainId::Run(id) = item.entry.chain
        {
            let row = store.run(partition, id).await?;
            if let Some(message) = Message::of(&item.entry, row.as_ref())
                && let Err(why) = channel.deliver(&message).await
            {
                store.set_cursor(partition, FOLLOWER, reached).await?;
                return Err(Error::Unavailable {
                    why: format!("a message was not delivered: {why}"),
                });
            }
        }
        reached = item.position;
    }
    if reached > after {
        store.set_cursor(partition, FOLLOWER, reached).await?;
    }
    Ok(items.len())
}
