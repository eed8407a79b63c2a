//! What has to be true of a store afterwards, held against what its clients were told.

use std::collections::BTreeMap;

use cordon::clock::Time;
use cordon::id::{EffectId, Partition, RunId};
use cordon::journal::{ChainId, Entry, Event, verify};
use cordon::store::{Claimed, Locked};

use crate::load::{Any, Fact, Story, Told};

/// Entries asked of the feed at once.
const PAGE: usize = 500;

/// What was found.
#[derive(Default, Debug)]
pub struct Found {
    /// Acknowledged things: entries, keys, locks.
    pub acked: u64,
    /// Acknowledged things that are gone, by partition.
    pub lost: BTreeMap<u8, u64>,
    /// What is wrong whatever was lost: gaps, duplicates, foreign entries, a feed that says something else.
    pub violations: Vec<String>,
}

impl Found {
    pub fn lost_in_all(&self) -> u64 {
        self.lost.values().sum()
    }

    fn loss(&mut self, partition: Partition, count: usize) {
        if count > 0 {
            *self.lost.entry(partition.index()).or_default() += u64::try_from(count).unwrap();
        }
    }
}

pub async fn judge(store: &Any, told: &Told) -> Found {
    let mut found = Found::default();
    let mut stored: BTreeMap<ChainId, Vec<Entry>> = BTreeMap::new();
    for story in &told.stories {
        let entries = store
            .journal(story.chain.partition(), story.chain, 0)
            .await
            .unwrap();
        found.acked += u64::try_from(story.acked.len()).unwrap();
        chain(&mut found, story, &entries);
        if let ChainId::Run(run) = story.chain {
            let row = store.run(run.partition(), run).await.unwrap();
            let stands = row.map(|row| (row.len, row.last));
            let wanted = entries.last().map(|last| (last.seq + 1, last.digest));
            if stands != wanted {
                found
                    .violations
                    .push(format!("{run}: row and journal differ: {stands:?}, {wanted:?}"));
            }
        }
        stored.insert(story.chain, entries);
    }
    for partition in Partition::all() {
        feed(&mut found, store, partition, &stored).await;
    }
    for fact in &told.facts {
        found.acked += 1;
        stands(&mut found, store, fact).await;
    }
    found
}

/// One journal: whole, beginning with what was acknowledged, and going on only with what was asked for.
fn chain(found: &mut Found, story: &Story, entries: &[Entry]) {
    let name = story.chain;
    if let Err(broken) = verify(entries) {
        found.violations.push(format!("{name}: {broken}"));
    }
    let same = entries
        .iter()
        .zip(&story.acked)
        .take_while(|(one, other)| one == other)
        .count();
    if same < entries.len().min(story.acked.len()) {
        found.violations.push(format!(
            "{name}: entry {same} is not the one that was acknowledged"
        ));
        return;
    }
    found.loss(name.partition(), story.acked.len() - same);
    let more = &entries[same..];
    if !more.is_empty() && more != story.doubt {
        found.violations.push(format!(
            "{name}: {} entries that nobody asked for, or a part of what was",
            more.len()
        ));
    }
    let mut epoch = 0;
    for entry in entries {
        if let Ok((_, Event::RunClaimed { epoch: next, .. })) = entry.event() {
            if next < epoch {
                found.violations.push(format!(
                    "{name}: entry {} of epoch {next} after {epoch}",
                    entry.seq
                ));
            }
            epoch = next;
        }
    }
}

/// The feed of a partition has every entry of its journals once, in an order of its own that keeps theirs.
async fn feed(found: &mut Found, store: &Any, partition: Partition, stored: &BTreeMap<ChainId, Vec<Entry>>) {
    let mut after = 0;
    let mut next: BTreeMap<ChainId, u64> = BTreeMap::new();
    loop {
        let items = store.feed(partition, after, PAGE).await.unwrap();
        let Some(last) = items.last() else { break };
        let end = last.position;
        for item in items {
            if item.position <= after {
                found.violations.push(format!(
                    "{partition}: feed goes from {after} to {}",
                    item.position
                ));
            }
            after = item.position;
            let (name, seq) = (item.entry.chain, item.entry.seq);
            let wanted = next.entry(name).or_default();
            if seq != *wanted {
                found
                    .violations
                    .push(format!("{name}: the feed has entry {seq} where {wanted} comes"));
            }
            *wanted = seq + 1;
            let journal = stored
                .get(&name)
                .and_then(|entries| entries.get(usize::try_from(seq).unwrap()));
            if journal != Some(&item.entry) {
                found
                    .violations
                    .push(format!("{name}: entry {seq} of the feed is not in the journal"));
            }
        }
        after = after.max(end);
    }
    for (name, entries) in stored.iter().filter(|(name, _)| name.partition() == partition) {
        let told = next.get(name).copied().unwrap_or(0);
        if told != u64::try_from(entries.len()).unwrap() {
            found
                .violations
                .push(format!("{name}: {} entries, {told} in the feed", entries.len()));
        }
    }
}

async fn stands(found: &mut Found, store: &Any, fact: &Fact) {
    match fact {
        Fact::Key { key, owner } => {
            let partition = Partition::of(key);
            let asked = store
                .claim_once(partition, *key, "the judge", Time(2_000), Time(3_000))
                .await;
            match asked {
                Ok(Claimed::Lost { owner: theirs, .. }) if theirs == *owner => {}
                Ok(Claimed::Won) => found.loss(partition, 1),
                Err(error) if crate::open::says_lost(&error) => {}
                other => found.violations.push(format!("the key of {owner}: {other:?}")),
            }
        }
        Fact::Lock { key, effect, run } => {
            let partition = Partition::of_text(key);
            let (judge, own) = (EffectId::derive(&["the judge"]), RunId::derive(&["the judge"]));
            match store
                .lock(partition, Time(i64::MAX), key, judge, own, Time(2_000))
                .await
            {
                Ok(Locked::Granted) => found.loss(partition, 1),
                Ok(_) => {}
                Err(error) if crate::open::says_lost(&error) => {}
                Err(error) => found
                    .violations
                    .push(format!("the lock of {effect} of {run}: {error}")),
            }
        }
    }
}
