//! From notices to people: groups what is new, plans to whom it goes, sends what is due, and keeps what came of it.
//! One task owns it, so that each row has one writer; whoever lost the claim of a partition writes nothing there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use super::attempt::{Parcel, Sender};
use super::follower::FOLLOWER;
use super::group::Kept;
use super::plan::Plan;
use super::record::{Delivery, Got, Tried};
use crate::clock::{Clock, Time};
use crate::digest::Digest;
use crate::id::Partition;
use crate::limits::{NOTIFY_AT_ONCE, NOTIFY_AT_ONCE_EACH};
use crate::store::{Error, Notice, NoticeState, Store};

/// Rows looked at in one pass over a partition.
const ROWS_MAX: usize = 256;

/// Delivers.
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) plan: Arc<Plan>,
    pub(super) sender: Sender,
    /// Makes keys that no vendor can guess.
    pub(super) key: [u8; 32],
    /// Whose claim it works under.
    pub(super) holder: String,
    underway: HashSet<(String, usize)>,
    by_instance: HashMap<String, usize>,
    sends: JoinSet<Sent>,
}

/// A try that has ended.
struct Sent {
    partition: Partition,
    notice: String,
    copy: usize,
    instance: String,
    tried: Tried,
}

impl Desk {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        plan: Arc<Plan>,
        sender: Sender,
        key: [u8; 32],
        holder: String,
    ) -> Desk {
        Desk {
            store,
            clock,
            plan,
            sender,
            key,
            holder,
            underway: HashSet::new(),
            by_instance: HashMap::new(),
            sends: JoinSet::new(),
        }
    }

    /// True while a try is under way.
    pub(super) fn is_sending(&self) -> bool {
        !self.sends.is_empty()
    }

    /// Takes up what is due in a partition whose claim is ours; answers how many rows moved on or are being sent.
    pub(super) async fn take_up(&mut self, partition: Partition) -> Result<usize, Error> {
        let now = self.clock.now();
        let due = self.store.due_notices(partition, now, ROWS_MAX).await?;
        let mut pass = Pass::default();
        for notice in due {
            match Kept::read(notice.clone()) {
                Ok(kept) => self.look_at(partition, kept, now, &mut pass).await?,
                Err(why) => {
                    tracing::error!(
                        notice = notice.key,
                        "a notice cannot be read and is given up: {why}"
                    );
                    pass.given_up.push(Notice {
                        state: NoticeState::Failed,
                        leads: false,
                        due_at: None,
                        ..notice
                    });
                }
            }
        }
        let moved = pass.changed.len() + pass.given_up.len();
        if moved > 0 {
            let changed = pass.changed.iter().filter_map(|key| pass.rows.get(key));
            let rows = changed.cloned().map(Kept::row).chain(pass.given_up).collect();
            let ours = self
                .store
                .save_notices(partition, FOLLOWER, &self.holder, rows)
                .await?;
            if !ours {
                return Ok(0);
            }
        }
        let mut sent = 0;
        for (key, kept) in &mut pass.rows {
            // A row that was planned earlier may have been sent by a process that is gone.
            let fresh = pass.fresh.contains(key);
            sent += self.send_due(partition, kept, fresh, now).await?;
        }
        Ok(moved + sent)
    }

    /// Groups and plans one row; what changed is noted in the pass.
    async fn look_at(
        &self,
        partition: Partition,
        kept: Kept,
        now: Time,
        pass: &mut Pass,
    ) -> Result<(), Error> {
        let key = kept.notice.key.clone();
        // A leader that was counted on earlier in this pass is there already, and newer than the row.
        let mut kept = pass.rows.remove(&key).unwrap_or(kept);
        if kept.notice.state == NoticeState::New && kept.record.deliveries.is_empty() {
            if let Some(mut leader) = self.leader_of(partition, kept.notice.group, pass).await? {
                leader.count(&mut kept);
                let of = leader.notice.key.clone();
                pass.changed.insert(of.clone());
                pass.rows.insert(of, leader);
            } else {
                kept.lead(now, self.plan.window_ms);
                if kept.record.window.is_some() {
                    pass.leaders.insert(kept.notice.group, key.clone());
                }
                self.deal_out(&mut kept, now);
                pass.fresh.insert(key.clone());
            }
            kept.notice.state = kept.record.state();
            pass.changed.insert(key.clone());
        }
        if let Some(update) = kept.close_window(now, self.plan.window_ms) {
            if kept.record.window.is_none() {
                pass.leaders.remove(&kept.notice.group);
            }
            pass.changed.insert(key.clone());
            if let Some(update) = update {
                pass.changed.insert(update.notice.key.clone());
                pass.fresh.insert(update.notice.key.clone());
                pass.rows.insert(update.notice.key.clone(), update);
            }
        }
        pass.rows.insert(key, kept);
        Ok(())
    }

    /// The row that leads a group, taken out of the pass where it is in it.
    async fn leader_of(
        &self,
        partition: Partition,
        group: Digest,
        pass: &mut Pass,
    ) -> Result<Option<Kept>, Error> {
        if let Some(key) = pass.leaders.get(&group) {
            return Ok(pass.rows.remove(key));
        }
        let found = self.store.leading_notice(partition, group).await?;
        let leader = found.and_then(|notice| {
            let newer = pass.rows.remove(&notice.key);
            newer.or_else(|| Kept::read(notice).ok())
        });
        // One that was closed earlier in this pass leads no more.
        if let Some(leader) = leader.as_ref().filter(|leader| leader.record.window.is_none()) {
            pass.rows.insert(leader.notice.key.clone(), leader.clone());
            return Ok(None);
        }
        if let Some(leader) = &leader {
            pass.leaders.insert(group, leader.notice.key.clone());
        }
        Ok(leader)
    }

    /// Plans to whom a notice goes.
    fn deal_out(&self, kept: &mut Kept, now: Time) {
        let routed = self.plan.route(&kept.record, now);
        kept.record.letter.part("Note", &routed.notes);
        for recipient in routed.recipients {
            let key = self.key_of(&kept.notice.key, &recipient.name);
            let delivery = Delivery::new(recipient.name, key, recipient.ways, now);
            kept.record.deliveries.push(delivery);
        }
    }

    /// The key under which a message goes to somebody: the same for every try and every way.
    fn key_of(&self, notice: &str, to: &str) -> String {
        let parts = Digest::of_parts(&["notify", notice, to]);
        let key = Digest::keyed(&self.key, &parts.0).to_string();
        key.chars().take(32).collect()
    }

    /// Sends the copies of a row that are due, as far as there is room; the log's are done at once.
    async fn send_due(
        &mut self,
        partition: Partition,
        kept: &mut Kept,
        fresh: bool,
        now: Time,
    ) -> Result<usize, Error> {
        let mut begun = 0;
        let mut logged = false;
        for copy in 0..kept.record.deliveries.len() {
            let Some(delivery) = kept.record.deliveries.get(copy) else {
                continue;
            };
            if delivery.due.is_none_or(|due| due > now) {
                continue;
            }
            let Some(way) = delivery.way().cloned() else {
                self.log(kept, copy, now);
                logged = true;
                begun += 1;
                continue;
            };
            let place = (kept.notice.key.clone(), copy);
            let at_once = self.by_instance.get(&way.instance).copied().unwrap_or(0);
            if self.underway.contains(&place)
                || self.sends.len() >= NOTIFY_AT_ONCE
                || at_once >= NOTIFY_AT_ONCE_EACH
            {
                continue;
            }
            let parcel = Parcel {
                letter: kept.record.letter.clone(),
                severity: kept.record.severity,
                key: delivery.key.clone(),
                thread: delivery.thread.clone(),
                public_url: self.plan.public_url.clone(),
                may_be_there: !fresh || delivery.tries > 0,
            };
            self.underway.insert(place);
            *self.by_instance.entry(way.instance.clone()).or_default() += 1;
            let (sender, notice) = (self.sender.clone(), kept.notice.key.clone());
            self.sends.spawn(async move {
                let tried = sender.send(&way, &parcel).await;
                Sent {
                    partition,
                    notice,
                    copy,
                    instance: way.instance,
                    tried,
                }
            });
            begun += 1;
        }
        if logged {
            let row = kept.clone().row();
            self.store
                .save_notices(partition, FOLLOWER, &self.holder, vec![row])
                .await?;
        }
        Ok(begun)
    }

    /// Tells the log, which is somebody's way or nobody's.
    fn log(&self, kept: &mut Kept, copy: usize, now: Time) {
        let record = &mut kept.record;
        let (subject, run) = (&record.letter.subject, record.run);
        let run = run.map(|run| run.to_string()).unwrap_or_default();
        if record.severity.0 >= 4 {
            tracing::error!(run.id = run, severity = record.severity.word(), "{subject}");
        } else {
            tracing::info!(run.id = run, severity = record.severity.word(), "{subject}");
        }
        if let Some(delivery) = record.deliveries.get_mut(copy) {
            delivery.after(
                Tried::Got(Got {
                    at: now,
                    by: "log".to_owned(),
                    instance: String::new(),
                    id: String::new(),
                    thread: None,
                }),
                now,
            );
        }
    }

    /// Keeps what came of tries that have ended; waits for one where `wait` says so.
    pub(super) async fn collect(&mut self, wait: bool) -> Result<usize, Error> {
        let mut collected = 0;
        loop {
            let ended = if wait && collected == 0 {
                self.sends.join_next().await
            } else {
                self.sends.try_join_next()
            };
            match ended {
                Some(Ok(sent)) => {
                    collected += 1;
                    self.arrived(sent).await?;
                }
                Some(Err(error)) => {
                    // A defect in a try; its row is due still, and the claim's end leads back to it.
                    tracing::error!("a try to deliver a message broke off: {error}");
                    self.underway.clear();
                    self.by_instance.clear();
                }
                None => return Ok(collected),
            }
        }
    }

    async fn arrived(&mut self, sent: Sent) -> Result<(), Error> {
        self.underway.remove(&(sent.notice.clone(), sent.copy));
        if let Some(count) = self.by_instance.get_mut(&sent.instance) {
            *count = count.saturating_sub(1);
        }
        let Some(notice) = self.store.notice(sent.partition, &sent.notice).await? else {
            return Ok(());
        };
        let Ok(mut kept) = Kept::read(notice) else {
            return Ok(());
        };
        let now = self.clock.now();
        let subject = kept.record.letter.subject.clone();
        let run = kept.record.run.map(|run| run.to_string()).unwrap_or_default();
        if let Some(delivery) = kept.record.deliveries.get_mut(sent.copy) {
            let by = delivery.way().map(ToString::to_string).unwrap_or_default();
            delivery.after(sent.tried, now);
            let why = delivery.troubles.last().map(|trouble| trouble.why.clone());
            if delivery.failed() {
                let (to, why) = (&delivery.to, why.unwrap_or_default());
                tracing::error!(
                    run.id = run,
                    to,
                    "a message could not be delivered by any way ({why}): {subject}"
                );
            } else if delivery.got.is_none() {
                let why = why.unwrap_or_default();
                tracing::warn!(
                    run.id = run,
                    to = delivery.to,
                    by,
                    "a message was not delivered yet: {why}"
                );
            }
        }
        let ours = self
            .store
            .save_notices(sent.partition, FOLLOWER, &self.holder, vec![kept.row()])
            .await?;
        if !ours {
            tracing::info!(
                notice = sent.notice,
                "another node has taken over and may tell it again under the same key"
            );
        }
        Ok(())
    }
}

/// What one pass over a partition found and changed.
#[derive(Default)]
struct Pass {
    rows: BTreeMap<String, Kept>,
    changed: HashSet<String>,
    /// Planned in this pass, so that nobody can have sent them.
    fresh: HashSet<String>,
    leaders: HashMap<Digest, String>,
    given_up: Vec<Notice>,
}
