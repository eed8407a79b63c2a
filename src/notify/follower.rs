//! Follows the feed of every partition and sees to it that people are told. Works on a partition only under a claim,
//! so that several nodes tell once. The cursor moves when what an entry tells is kept as a notice, which makes a
//! crash repeat and never lose; a notice is repeated until it is delivered or every way has failed, each time under
//! the same key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::attempt::Sender;
use super::desk::Desk;
use super::plan::Plan;
use super::telling;
use crate::clock::{Clock, Time};
use crate::id::Partition;
use crate::limits::{FOLLOWER_CLAIM_MS, NOTICE_KEPT_MS};
use crate::store::{Error, Store};

/// The follower's name at the store.
pub const FOLLOWER: &str = "notify";
/// Entries read at a time.
const READ_MAX: usize = 512;
/// Pause between looks when there was nothing to do, ms.
const LOOK_MS: u64 = 250;
/// Pause between looks while tries are under way, ms.
const LOOK_SENDING_MS: u64 = 20;
/// How often old notices are forgotten, ms.
const FORGET_EVERY_MS: u64 = 3_600_000;
/// Notices forgotten in one go.
const FORGET_MAX: usize = 1_000;

/// Tells people what the journal says.
pub struct Follower {
    desk: Desk,
    claims: HashMap<Partition, Time>,
    forgot_at: HashMap<Partition, Time>,
}

/// What a follower works with.
pub struct Parts {
    /// What is followed.
    pub store: Arc<dyn Store>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub plan: Arc<Plan>,
    /// How they are reached.
    pub sender: Sender,
    /// Makes idempotency keys that no vendor can guess.
    pub key: [u8; 32],
    /// A name no other node and no earlier process has.
    pub holder: String,
}

impl Follower {
    /// A follower that begins where the last one ended.
    pub fn new(parts: Parts) -> Follower {
        let Parts {
            store,
            clock,
            plan,
            sender,
            key,
            holder,
        } = parts;
        Follower {
            desk: Desk::new(store, clock, plan, sender, key, holder),
            claims: HashMap::new(),
            forgot_at: HashMap::new(),
        }
    }

    /// Follows until `stop` is set, then waits for tries under way and gives its claims back.
    pub async fn follow(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let moved = self.look().await;
            if moved == 0 {
                let pause = if self.desk.is_sending() {
                    LOOK_SENDING_MS
                } else {
                    LOOK_MS
                };
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        self.stop().await;
    }

    /// Waits for tries under way, keeps what came of them, and gives the claims back.
    pub async fn stop(mut self) {
        while self.desk.is_sending() {
            if let Err(error) = self.desk.collect(true).await {
                tracing::warn!("what came of a message could not be kept, it may be told again: {error}");
            }
        }
        for partition in Partition::all() {
            let store = &self.desk.store;
            let given = store
                .release_follower(partition, FOLLOWER, &self.desk.holder)
                .await;
            if let Err(error) = given {
                tracing::warn!("the claim on the feed of {partition} is left to end by itself: {error}");
            }
        }
    }

    /// One look at every partition; answers how much was done. A partition that cannot be looked at does not keep
    /// the others from it.
    pub async fn look(&mut self) -> usize {
        let mut moved = 0;
        match self.desk.collect(false).await {
            Ok(collected) => moved += collected,
            Err(error) => {
                tracing::warn!("what came of a message could not be kept, it may be told again: {error}")
            }
        }
        for partition in Partition::all() {
            match self.look_at(partition).await {
                Ok(done) => moved += done,
                Err(error) => tracing::warn!("notifications of {partition} wait: {error}"),
            }
        }
        moved
    }

    /// One look that keeps nothing of what came of tries: as far as a process comes that dies then.
    #[cfg(test)]
    pub(super) async fn look_without_collecting(&mut self) {
        for partition in Partition::all() {
            self.look_at(partition).await.unwrap();
        }
    }

    /// Waits until a try under way has ended, and keeps what came of it.
    pub async fn wait(&mut self) -> Result<usize, Error> {
        self.desk.collect(true).await
    }

    async fn look_at(&mut self, partition: Partition) -> Result<usize, Error> {
        let store = self.desk.store.clone();
        let now = self.desk.clock.now();
        let after = store.cursor(partition, FOLLOWER).await?;
        let news = !store.feed(partition, after, 1).await?.is_empty();
        let due = !store.due_notices(partition, now, 1).await?.is_empty();
        if !news && !due {
            return Ok(0);
        }
        if !self.claim(partition, now).await? {
            return Ok(0);
        }
        let mut moved = 0;
        if news {
            moved += self.read(partition).await?;
        }
        // What was read may live anywhere; what lives here is taken up at once.
        moved += self.desk.take_up(partition).await?;
        self.forget(partition, now).await?;
        Ok(moved)
    }

    /// Makes sure that the claim is ours for a while.
    async fn claim(&mut self, partition: Partition, now: Time) -> Result<bool, Error> {
        let enough = now.plus_ms(FOLLOWER_CLAIM_MS / 2);
        if self.claims.get(&partition).is_some_and(|until| *until >= enough) {
            return Ok(true);
        }
        let until = now.plus_ms(FOLLOWER_CLAIM_MS);
        let store = &self.desk.store;
        let ours = store
            .claim_follower(partition, FOLLOWER, &self.desk.holder, now, until)
            .await?;
        if ours {
            self.claims.insert(partition, until);
        } else {
            self.claims.remove(&partition);
        }
        Ok(ours)
    }

    /// Keeps what new entries tell, then moves the cursor.
    async fn read(&mut self, partition: Partition) -> Result<usize, Error> {
        let store = self.desk.store.clone();
        let after = store.cursor(partition, FOLLOWER).await?;
        let told = telling::read(&*store, &self.desk.plan, partition, after, READ_MAX).await?;
        for (home, notices) in told.notices {
            store.put_notices(home, notices).await?;
        }
        if told.reached > after {
            store.set_cursor(partition, FOLLOWER, told.reached).await?;
        }
        Ok(told.read)
    }

    async fn forget(&mut self, partition: Partition, now: Time) -> Result<(), Error> {
        let last = self.forgot_at.entry(partition).or_insert(now);
        if now.since_ms(*last) < FORGET_EVERY_MS {
            return Ok(());
        }
        *last = now;
        let before = Time(
            now.0
                .saturating_sub(i64::try_from(NOTICE_KEPT_MS).unwrap_or(i64::MAX)),
        );
        self.desk
            .store
            .forget_notices(partition, before, FORGET_MAX)
            .await?;
        Ok(())
    }
}
