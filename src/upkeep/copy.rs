//! From one store into another, so that a crash at any point leaves it to be done again and nothing that is served by
//! accident: the store that is filled carries a mark until it was compared, and one that moved carries one for good.

use tokio::sync::mpsc;

use super::codes::{DIFFERS, IN_FORCE, NOT_EMPTY, NOT_SERVED, UNSOUND};
use super::contents::{Contents, Unsound};
use crate::clock::Time;
use crate::id::Partition;
use crate::limits::{DUMP_PAGE, DUMP_PAGE_BYTES};
use crate::store::{Error, Kind, Mark, Record, Store};

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CannotCopy {
    /// A store could not do it.
    #[error("{0}")]
    Store(#[from] Error),
    /// Something in the source is not sound; nothing of it is made up for.
    #[error("{}: {}", UNSOUND, .0)]
    Unsound(#[from] Unsound),
    /// The store to fill holds something else.
    #[error(
        "{}: the store to fill is not empty: it holds {holds}; give an empty one",
        NOT_EMPTY
    )]
    NotEmpty {
        /// What, in one line.
        holds: String,
    },
    /// The store to fill was begun to be filled from elsewhere.
    #[error(
        "{}: the store to fill was begun to be filled from {from} and that was not finished: finish that, or give an empty one",
        NOT_EMPTY
    )]
    Begun {
        /// From where.
        from: String,
    },
    /// The store went elsewhere.
    #[error("{}: this store was moved to {to}; what happened since is there", NOT_SERVED)]
    Moved {
        /// Where to.
        to: String,
    },
    /// A server works on it.
    #[error(
        "{}: a server still works on {what} (until {until}): stop every server, then try again",
        IN_FORCE
    )]
    InForce {
        /// A run or a follower.
        what: String,
        /// The end of its claim.
        until: Time,
    },
    /// After the copy the stores differ.
    #[error("{}: after the copy the stores differ: {what}", DIFFERS)]
    Differs {
        /// In which kinds.
        what: String,
    },
}

/// Told while it goes on: records so far.
pub type Told<'a> = &'a mut (dyn FnMut(u64) + Send);

/// What a store holds, every chain verified.
pub async fn contents(store: &dyn Store, told: Told<'_>) -> Result<Contents, CannotCopy> {
    let mut contents = Contents::default();
    for kind in Kind::ALL {
        for partition in Partition::all() {
            let mut next = None;
            loop {
                let page = store.dump(partition, kind, next.as_deref(), DUMP_PAGE).await?;
                for record in &page.records {
                    contents.add(partition, record)?;
                }
                told(contents.count());
                match page.next {
                    Some(place) => next = Some(place),
                    None => break,
                }
            }
        }
    }
    Ok(contents)
}

/// What an empty store holds.
pub fn fingerprint_of_nothing() -> Contents {
    Contents::default()
}

/// Makes sure that `to` may be filled from what is called `from`: it is empty, or was begun to be filled from it. A
/// store that holds `expected` already is `Ok(false)`: there is nothing to do.
pub async fn fill(
    to: &dyn Store,
    from: &str,
    expected: &Contents,
    now: Time,
    told: Told<'_>,
) -> Result<bool, CannotCopy> {
    match to.mark().await? {
        Some(Mark::Moved { to, .. }) => return Err(CannotCopy::Moved { to }),
        Some(Mark::Filling { from: begun, .. }) if begun == from => return Ok(true),
        Some(Mark::Filling { from, .. }) => return Err(CannotCopy::Begun { from }),
        None => {}
    }
    let there = contents(to, told).await?;
    if there == *expected && there != Contents::default() {
        return Ok(false);
    }
    if there != Contents::default() {
        return Err(CannotCopy::NotEmpty { holds: there.line() });
    }
    let from = from.to_owned();
    to.set_mark(Some(Mark::Filling { from, at: now })).await?;
    Ok(true)
}

/// Puts records into a store, in bounded steps, until there are no more.
pub async fn copy(
    to: &dyn Store,
    mut records: mpsc::Receiver<(Partition, Record)>,
    told: Told<'_>,
) -> Result<u64, CannotCopy> {
    let mut batch: Vec<Record> = Vec::new();
    let mut bytes = 0;
    let mut of = Partition::CONTROL;
    let mut count: u64 = 0;
    while let Some((partition, record)) = records.recv().await {
        if partition != of || batch.len() >= DUMP_PAGE || bytes >= DUMP_PAGE_BYTES {
            put(to, of, &mut batch).await?;
            bytes = 0;
        }
        of = partition;
        bytes = bytes.saturating_add(size(&record));
        batch.push(record);
        count = count.saturating_add(1);
        told(count);
    }
    put(to, of, &mut batch).await?;
    Ok(count)
}

async fn put(to: &dyn Store, partition: Partition, batch: &mut Vec<Record>) -> Result<(), Error> {
    if batch.is_empty() {
        return Ok(());
    }
    to.restore(partition, std::mem::take(batch)).await
}

fn size(record: &Record) -> usize {
    let chain: usize = record
        .chain()
        .iter()
        .map(|item| item.entry.payload.len().saturating_add(256))
        .sum();
    let own = match record {
        Record::Alert { body, .. } => body.len(),
        Record::Bundle { bytes, .. } => bytes.len(),
        _ => 256,
    };
    chain.saturating_add(own)
}

/// Compares what was filled with what it should hold, and takes its mark away.
pub async fn end_copy(to: &dyn Store, expected: &Contents, told: Told<'_>) -> Result<(), CannotCopy> {
    let there = contents(to, told).await?;
    let differences = expected.differences(&there);
    if !differences.is_empty() {
        let words: Vec<String> = differences
            .iter()
            .map(|(kind, meant, there)| format!("{} ({meant} meant, {there} there)", kind.word()))
            .collect();
        return Err(CannotCopy::Differs {
            what: words.join(", "),
        });
    }
    to.set_mark(None).await?;
    Ok(())
}

/// Refuses a store that somebody works on: a run or a feed under a claim that is in force.
async fn at_rest(store: &dyn Store, now: Time) -> Result<(), CannotCopy> {
    for partition in Partition::all() {
        for kind in [Kind::Follower, Kind::Run] {
            let mut next = None;
            loop {
                let page = store.dump(partition, kind, next.as_deref(), DUMP_PAGE).await?;
                for record in &page.records {
                    let (what, until) = match record {
                        Record::Run {
                            row,
                            claim_until: Some(until),
                            ..
                        } => (row.id.to_string(), *until),
                        Record::Follower { follower, until, .. } => {
                            (format!("the feed of {partition} as `{follower}`"), *until)
                        }
                        _ => continue,
                    };
                    if until > now {
                        return Err(CannotCopy::InForce { what, until });
                    }
                }
                match page.next {
                    Some(place) => next = Some(place),
                    None => break,
                }
            }
        }
    }
    Ok(())
}

/// Moves everything from one store to another and leaves the first marked, so that it is not served any more. May be
/// repeated after a crash at any point, with the same names. Answers what was moved.
pub async fn move_all(
    (from, from_name): (&dyn Store, &str),
    (to, to_name): (&dyn Store, &str),
    now: Time,
    told: Told<'_>,
) -> Result<Contents, CannotCopy> {
    match from.mark().await? {
        Some(Mark::Filling { from, .. }) => return Err(CannotCopy::Begun { from }),
        Some(Mark::Moved { to, .. }) if to != to_name => return Err(CannotCopy::Moved { to }),
        Some(Mark::Moved { .. }) | None => {}
    }
    at_rest(from, now).await?;
    let expected = contents(from, told).await?;
    if fill(to, from_name, &expected, now, told).await? {
        let (out, records) = mpsc::channel(DUMP_PAGE);
        let given = async {
            let given = from.dump_all(out).await;
            given.map(drop).map_err(CannotCopy::from)
        };
        let (given, taken) = tokio::join!(given, copy(to, records, told));
        // The taker's reason first: a giver that nobody listens to any more says only that.
        taken?;
        given?;
        // Marked before the other one is free to be served: at no moment are both.
        let to_name = to_name.to_owned();
        from.set_mark(Some(Mark::Moved { to: to_name, at: now })).await?;
        end_copy(to, &expected, told).await?;
    } else {
        let to_name = to_name.to_owned();
        from.set_mark(Some(Mark::Moved { to: to_name, at: now })).await?;
    }
    Ok(expected)
}
