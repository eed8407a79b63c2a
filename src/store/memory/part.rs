//! What one partition holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::action::{Holder, Leaver, Reading, Target, Undo};
use crate::approval::Vote;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, ApprovalId, EffectId, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::alerts::Alert;
use crate::store::approvals::ApprovalRow;
use crate::store::control::{Principal, Switches};
use crate::store::dump::Mark;
use crate::store::error::{Error, Result};
use crate::store::feed::FeedItem;
use crate::store::notices::Notice;
use crate::store::place::{Place, place};
use crate::store::runs::{RunRow, RunStatus};
use crate::store::signals::Signal;

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) alerts: HashMap<AlertId, Alert>,
    pub(super) runs: HashMap<RunId, Run>,
    pub(super) approvals: HashMap<ApprovalId, ApprovalRow>,
    pub(super) votes: HashMap<RunId, Vec<(ApprovalId, Vote)>>,
    pub(super) signals: HashMap<RunId, Vec<Signal>>,
    chains: HashMap<ChainId, Vec<Entry>>,
    /// By position: chain and place of every entry that is kept.
    pub(super) feed: BTreeMap<u64, (ChainId, u64)>,
    /// The last position given.
    pub(super) fed: u64,
    /// Ids of what was collected, and when.
    pub(super) gone: HashMap<ChainId, Time>,
    pub(super) cursors: HashMap<String, u64>,
    /// By follower: who follows, until when.
    pub(super) followers: HashMap<String, (String, Time)>,
    /// By key.
    pub(super) notices: BTreeMap<String, Notice>,
    pub(super) claims: HashMap<Digest, Once>,
    /// By target: the effect, its run, since when.
    pub(super) locks: HashMap<String, (EffectId, RunId, Time)>,
    pub(super) changes: HashMap<String, Time>,
    /// By target key and facet.
    pub(super) holds: BTreeMap<(String, String), Held>,
    /// By scope: members and when each took its place.
    pub(super) budgets: HashMap<String, BTreeMap<String, Time>>,
    /// Used in the control partition only.
    pub(super) control: Instance,
}

/// A run: its row and what nobody sees.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) row: RunRow,
    /// When the claim ends; `None` exactly when the row has no worker.
    pub(super) claim_until: Option<Time>,
    /// The earliest wake since the last claim.
    pub(super) woken_at: Option<Time>,
}

impl Run {
    /// When a worker may next find it, if it is open: at `wake_at`, or when the claim of a worker ends that
    /// left none.
    pub(super) fn due_at(&self) -> Option<Time> {
        self.row.wake_at.or(self.claim_until)
    }

    pub(super) fn is_free(&self, now: Time) -> bool {
        self.claim_until.is_none_or(|until| until <= now)
    }

    pub(super) fn is_open(&self) -> bool {
        self.row.status == RunStatus::Open
    }
}

/// A claim on a key.
#[derive(Debug)]
pub(super) struct Once {
    pub(super) owner: String,
    pub(super) until: Time,
    pub(super) lost: BTreeSet<String>,
}

/// A held facet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) target: Target,
    pub(super) prior: Reading,
    pub(super) undo: Option<Undo>,
    /// In the order they came, each with whether it was the first.
    pub(super) holders: Vec<(Holder, bool)>,
    /// Who let go without restoring, the last one last.
    pub(super) left: Vec<Leaver>,
}

/// What belongs to the whole instance.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) switches: Switches,
    pub(super) principals: BTreeMap<String, Principal>,
    pub(super) bundles: HashMap<Digest, Vec<u8>>,
    pub(super) secrets: HashMap<String, Vec<u8>>,
    pub(super) mark: Option<Mark>,
}

impl Part {
    /// Where entries go in a chain.
    pub(super) fn place(&self, chain: ChainId, expected_len: u64, entries: &[Entry]) -> Result<Place> {
        let there = self.chains.get(&chain).map(Vec::as_slice).unwrap_or_default();
        place(chain, there.len() as u64, expected_len, entries, |seq| {
            let seq = usize::try_from(seq).unwrap_or(usize::MAX);
            Ok::<_, Error>(there.get(seq).map(|entry| entry.digest))
        })
    }

    /// Writes entries to the end of their chain and of the feed; answers the chain's length and last digest.
    pub(super) fn push(&mut self, chain: ChainId, entries: Vec<Entry>) -> (u64, Digest) {
        let there = self.chains.entry(chain).or_default();
        for entry in entries {
            self.fed = self.fed.saturating_add(1);
            self.feed.insert(self.fed, (chain, entry.seq));
            there.push(entry);
        }
        let last = there.last().map_or(Digest::ZERO, |entry| entry.digest);
        (there.len() as u64, last)
    }

    /// Entries of a chain from `from` on.
    pub(super) fn journal(&self, chain: ChainId, from: u64) -> Vec<Entry> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = self.chains.get(&chain).and_then(|entries| entries.get(from..));
        entries.unwrap_or_default().to_vec()
    }

    /// Entries after a position, with theirs.
    pub(super) fn feed(&self, after: u64, limit: usize) -> Vec<FeedItem> {
        let Some(first) = after.checked_add(1) else {
            return Vec::new();
        };
        let places = self.feed.range(first..).take(limit);
        places
            .filter_map(|(position, (chain, seq))| {
                let seq = usize::try_from(*seq).ok()?;
                Some(FeedItem {
                    position: *position,
                    entry: self.chains.get(chain)?.get(seq)?.clone(),
                })
            })
            .collect()
    }

    /// A chain with the places of its entries in the feed; `places` are those of every chain.
    pub(super) fn items(&self, chain: ChainId, places: &HashMap<(ChainId, u64), u64>) -> Vec<FeedItem> {
        let entries = self.chains.get(&chain).map(Vec::as_slice).unwrap_or_default();
        let item = |entry: &Entry| FeedItem {
            position: places.get(&(chain, entry.seq)).copied().unwrap_or(0),
            entry: entry.clone(),
        };
        entries.iter().map(item).collect()
    }

    /// Where every entry stands in the feed.
    pub(super) fn places(&self) -> HashMap<(ChainId, u64), u64> {
        self.feed
            .iter()
            .map(|(position, place)| (*place, *position))
            .collect()
    }

    /// Puts a whole chain where it was elsewhere.
    pub(super) fn put_chain(&mut self, chain: ChainId, items: Vec<FeedItem>) {
        for item in &items {
            self.feed.insert(item.position, (chain, item.entry.seq));
            self.fed = self.fed.max(item.position);
        }
        self.chains
            .insert(chain, items.into_iter().map(|item| item.entry).collect());
    }

    /// The last position of a chain's entries; 0 when there are none.
    pub(super) fn last_position(&self, chain: ChainId) -> u64 {
        let mut newest_first = self.feed.iter().rev();
        newest_first
            .find(|(_, (of, _))| *of == chain)
            .map_or(0, |(position, _)| *position)
    }

    /// Forgets a chain and its places in the feed, and remembers that its id was used.
    pub(super) fn drop_chain(&mut self, chain: ChainId, at: Time) {
        self.chains.remove(&chain);
        self.feed.retain(|_, (of, _)| *of != chain);
        self.gone.insert(chain, at);
    }
}
