//! What one partition holds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::action::{Holder, Reading, Target, Undo};
use crate::approval::Vote;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, ApprovalId, EffectId, RunId};
use crate::journal::{ChainId, Entry};
use crate::store::alerts::Alert;
use crate::store::approvals::ApprovalRow;
use crate::store::control::{Principal, Switches};
use crate::store::error::{Error, Result};
use crate::store::notices::Notice;
use crate::store::place::{Place, place};
use crate::store::runs::{RunRow, RunStatus};

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) alerts: HashMap<AlertId, Alert>,
    pub(super) runs: HashMap<RunId, Run>,
    pub(super) approvals: HashMap<ApprovalId, ApprovalRow>,
    pub(super) votes: HashMap<RunId, Vec<(ApprovalId, Vote)>>,
    chains: HashMap<ChainId, Vec<Entry>>,
    /// Chain and place of every entry in the order it came; the position is the index plus one.
    feed: Vec<(ChainId, u64)>,
    pub(super) cursors: HashMap<String, u64>,
    /// By follower: who follows, until when.
    pub(super) followers: HashMap<String, (String, Time)>,
    /// By key.
    pub(super) notices: BTreeMap<String, Notice>,
    pub(super) claims: HashMap<Digest, Once>,
    pub(super) locks: HashMap<String, (EffectId, RunId)>,
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
}

/// What belongs to the whole instance.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) switches: Switches,
    pub(super) principals: BTreeMap<String, Principal>,
    pub(super) bundles: HashMap<Digest, Vec<u8>>,
    pub(super) secrets: HashMap<String, Vec<u8>>,
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
            self.feed.push((chain, entry.seq));
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
    pub(super) fn feed(&self, after: u64, limit: usize) -> Vec<(u64, Entry)> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let places = self.feed.iter().skip(skip).take(limit);
        (after.saturating_add(1)..)
            .zip(places)
            .filter_map(|(position, (chain, seq))| {
                let seq = usize::try_from(*seq).ok()?;
                Some((position, self.chains.get(chain)?.get(seq)?.clone()))
            })
            .collect()
    }
}
