//! From the feed to notices: reads what was appended in one partition, folds each run up to the entry that tells
//! something, and makes the notice that follows from it. Sends nothing.

use std::collections::{BTreeMap, HashMap};

use super::letter::Letter;
use super::message::{About, Meant, Message, lease_of, may_tell, message, tells};
use super::plan::Plan;
use super::record::Record;
use crate::clock::Time;
use crate::digest::Digest;
use crate::finding::SeverityId;
use crate::id::{Partition, RunId};
use crate::journal::{ChainId, End, Entry, Event, RunState};
use crate::store::{Error, Notice, NoticeState, Store};

/// Playbook of the runs that end leases.
const REVERT: &str = "cordon/revert";

/// What a stretch of the feed tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The last position read.
    pub(super) reached: u64,
    /// Entries read.
    pub(super) read: usize,
    /// The notices, by the partition they live in.
    pub(super) notices: BTreeMap<Partition, Vec<Notice>>,
}

/// Reads up to `limit` entries after `after`.
pub(super) async fn read(
    store: &dyn Store,
    plan: &Plan,
    partition: Partition,
    after: u64,
    limit: usize,
) -> Result<Told, Error> {
    let items = store.feed(partition, after, limit).await?;
    let mut told = Told {
        reached: after,
        read: items.len(),
        ..Told::default()
    };
    let mut folds = Folds::default();
    for item in &items {
        told.reached = item.position;
        let ChainId::Run(run) = item.entry.chain else {
            continue;
        };
        if !may_tell(&item.entry.kind) {
            continue;
        }
        if let Some(notice) = of_entry(store, plan, &mut folds, run, &item.entry).await? {
            let home = Partition::of(&notice.group);
            told.notices.entry(home).or_default().push(notice);
        }
    }
    Ok(told)
}

/// What one entry tells. What cannot be read is told as such: it must neither be lost nor hold up what follows.
async fn of_entry(
    store: &dyn Store,
    plan: &Plan,
    folds: &mut Folds,
    run: RunId,
    entry: &Entry,
) -> Result<Option<Notice>, Error> {
    let (at, event) = match entry.event() {
        Ok(read) => read,
        Err(problem) => return Ok(Some(unreadable(run, entry, &problem.to_string()))),
    };
    if !tells(&event) {
        return Ok(None);
    }
    if matches!(
        event,
        Event::RunSettled {
            end: End::Succeeded,
            ..
        }
    ) {
        let row = store.run(run.partition(), run).await?;
        if row.is_none_or(|row| row.playbook != REVERT) {
            return Ok(None);
        }
    }
    let state = match folds.upto(store, run, entry.seq).await? {
        Ok(state) => state,
        Err(problem) => return Ok(Some(unreadable(run, entry, &problem))),
    };
    let lease_end = match lease_of(state) {
        Some((of, effect)) => lease_end(store, of, effect).await?,
        None => None,
    };
    Ok(message(entry, at, &event, state, lease_end).map(|message| notice(plan, &message, at)))
}

/// When the lease of an effect was over; `None` where its journal does not say.
async fn lease_end(
    store: &dyn Store,
    run: RunId,
    effect: crate::id::EffectId,
) -> Result<Option<Time>, Error> {
    let entries = store.journal(run.partition(), ChainId::Run(run), 0).await?;
    let state = RunState::fold(&entries).ok();
    Ok(state.and_then(|state| state.effects.get(&effect)?.lease_end()))
}

fn notice(plan: &Plan, message: &Message, at: Time) -> Notice {
    let record = Record {
        run: Some(message.run),
        playbook: message.playbook.clone(),
        about: message.about,
        meant: message.meant.clone(),
        severity: message.severity,
        kind: message.kind.clone(),
        subject: message.subject.clone(),
        line: message.line.clone(),
        letter: message.letter.clone(),
        deliveries: Vec::new(),
        window: None,
        counted_under: None,
        problem: None,
    };
    Notice {
        key: message.key.clone(),
        group: plan.group(&record),
        at,
        state: NoticeState::New,
        leads: false,
        due_at: Some(at),
        content: serde_json::to_value(&record).unwrap_or_default(),
    }
}

/// A notice that says that there is something to tell which cannot be read.
fn unreadable(run: RunId, entry: &Entry, why: &str) -> Notice {
    let key = format!("{run}/{}", entry.seq);
    tracing::error!(run.id = %run, seq = entry.seq, "an entry that may tell somebody something cannot be read: {why}");
    let mut letter = Letter::new(&format!("[ALARM] an entry of {run} cannot be told"));
    letter.part(
        "What is wrong",
        [format!(
            "entry {} ({}) cannot be read: {why}",
            entry.seq, entry.kind
        )],
    );
    letter.part("What is asked", [format!("see the run: cordon show {run}")]);
    let record = Record {
        run: Some(run),
        playbook: String::new(),
        about: About::Alarm,
        meant: Meant::Anybody,
        severity: SeverityId(4),
        kind: vec!["unreadable".to_owned()],
        subject: String::new(),
        line: letter.subject.clone(),
        letter,
        deliveries: Vec::new(),
        window: None,
        counted_under: None,
        problem: None,
    };
    Notice {
        group: Digest::of_parts(&["notify unreadable"]),
        key,
        at: Time(0),
        state: NoticeState::New,
        leads: false,
        due_at: Some(Time(0)),
        content: serde_json::to_value(&record).unwrap_or_default(),
    }
}

/// Runs folded so far, each read once for a stretch of the feed and folded on from where it stood.
#[derive(Default)]
struct Folds {
    runs: HashMap<RunId, Fold>,
}

struct Fold {
    entries: Vec<Entry>,
    state: RunState,
}

impl Folds {
    /// The run with entry `seq` and nothing after it. The inner error is why its journal makes no sense.
    async fn upto(
        &mut self,
        store: &dyn Store,
        run: RunId,
        seq: u64,
    ) -> Result<Result<&RunState, String>, Error> {
        // Read again when the journal has grown past what was read.
        let there = self
            .runs
            .get(&run)
            .is_some_and(|fold| (fold.entries.len() as u64) > seq && fold.state.len <= seq + 1);
        if !there {
            let entries = store.journal(run.partition(), ChainId::Run(run), 0).await?;
            let begun = match entries.first().map(Entry::event) {
                Some(Ok((at, Event::RunStarted(header)))) => {
                    let digest = entries.first().map_or(Digest::ZERO, |entry| entry.digest);
                    RunState::begin(*header, at, digest)
                }
                Some(Err(problem)) => return Ok(Err(problem.to_string())),
                _ => {
                    return Ok(Err(
                        "its journal does not begin with the start of a run".to_owned()
                    ));
                }
            };
            self.runs.insert(
                run,
                Fold {
                    entries,
                    state: begun,
                },
            );
        }
        let Some(fold) = self.runs.get_mut(&run) else {
            return Ok(Err("its journal is gone".to_owned()));
        };
        while fold.state.len <= seq {
            let next = usize::try_from(fold.state.len)
                .ok()
                .and_then(|at| fold.entries.get(at));
            let Some(entry) = next else {
                return Ok(Err(format!("its journal ends before entry {seq}")));
            };
            let applied = match entry.event() {
                Ok((at, event)) => fold.state.apply(at, &event, entry.digest),
                Err(problem) => Err(problem.to_string()),
            };
            if let Err(why) = applied {
                self.runs.remove(&run);
                return Ok(Err(why));
            }
        }
        match self.runs.get(&run) {
            Some(fold) => Ok(Ok(&fold.state)),
            None => Ok(Err("its journal is gone".to_owned())),
        }
    }
}
