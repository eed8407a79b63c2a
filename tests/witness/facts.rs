//! What is judged, gathered from a store that nobody writes any more and from the vendors' ledger.

use std::collections::BTreeMap;

use cordon::action::Hold;
use cordon::clock::Time;
use cordon::id::{AlertId, Partition};
use cordon::journal::{ChainId, Entry, Event, RunState};
use cordon::range::LedgerLine;
use cordon::store::{AlertRow, FeedItem, Lock, Result, RunQuery, RunRow, Store};

/// Most rows of one partition: more than any battery makes.
const ROWS_MAX: usize = 1_000_000;
const FEED_PAGE: usize = 1_000;

/// An alert that its sender was answered 2xx for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub alert: AlertId,
    /// How many runs it starts, where the battery knows.
    pub runs: Option<usize>,
}

/// A run: its row, its journal, and the state its journal tells, unless it cannot be told.
#[derive(Clone, Debug)]
pub struct Told {
    pub row: RunRow,
    pub entries: Vec<Entry>,
    pub state: Option<RunState>,
}

impl Told {
    pub fn of(row: RunRow, entries: Vec<Entry>) -> Told {
        let state = RunState::fold(&entries).ok();
        Told { row, entries, state }
    }

    /// The events that can be read, with their moments.
    pub fn events(&self) -> impl Iterator<Item = (Time, Event)> + '_ {
        self.entries.iter().filter_map(|entry| entry.event().ok())
    }
}

/// Everything that is judged.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub sent: Vec<Sent>,
    pub alerts: Vec<(AlertRow, Vec<Entry>)>,
    pub runs: Vec<Told>,
    pub feeds: BTreeMap<Partition, Vec<FeedItem>>,
    pub holds: Vec<Hold>,
    pub locks: Vec<Lock>,
    /// Runs that have not ended and that nothing will ever wake, as the store counts them.
    pub stuck: u64,
    /// What the vendors saw, oldest first.
    pub ledger: Vec<LedgerLine>,
}

impl Facts {
    /// Gathers it. Nobody may write meanwhile.
    pub async fn gather(store: &dyn Store, sent: &[Sent], ledger: &[LedgerLine]) -> Result<Facts> {
        let mut facts = Facts {
            sent: sent.to_vec(),
            ledger: ledger.to_vec(),
            ..Facts::default()
        };
        for partition in Partition::all() {
            let query = RunQuery {
                limit: ROWS_MAX,
                ..RunQuery::default()
            };
            for row in store.runs(partition, &query).await? {
                let entries = store.journal(partition, ChainId::Run(row.id), 0).await?;
                facts.runs.push(Told::of(row, entries));
            }
            for row in store.alerts(partition, None, None, ROWS_MAX).await? {
                let entries = store.journal(partition, ChainId::Alert(row.id), 0).await?;
                facts.alerts.push((row, entries));
            }
            let feed = facts.feeds.entry(partition).or_default();
            loop {
                let after = feed.last().map_or(0, |item| item.position);
                let page = store.feed(partition, after, FEED_PAGE).await?;
                if page.is_empty() {
                    break;
                }
                feed.extend(page);
            }
            facts.holds.extend(store.holds(partition).await?);
            facts.locks.extend(store.locks(partition).await?);
            facts.stuck += store.counts(partition, Time(i64::MAX / 2)).await?.stuck;
        }
        Ok(facts)
    }
}
