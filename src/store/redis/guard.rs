//! The lost-write detector of a node. It compares what it was acknowledged with what the servers have; where they have
//! less the partition is parked, this node brings what it knows, and nothing is claimed or fired there until a person
//! has had it put back.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use redis::Value;

use super::lane::Kind;
use super::link::Link;
use super::noted::Noted;
use super::wire::{items_of, text_of};
use crate::clock::Time;
use crate::id::Partition;
use crate::store::error::{Error, Result};
use crate::store::losses::{Parked, Recovered, Recovery};

/// Code of its page in `docs/errors`.
const CODE: &str = "K055";
/// Calls read at a time while putting back.
const BROUGHT_AT_ONCE: usize = 32;
/// Calls that are missing which are named.
const MISSING_NAMED_MAX: usize = 200;
/// Calls that could not be put back which are named.
const REFUSED_NAMED_MAX: usize = 20;

/// Partitions that this node knows to be parked.
#[derive(Default)]
pub(super) struct Guard {
    parked: Mutex<BTreeMap<Partition, Parked>>,
    /// For which markers this node has brought what it has.
    brought: Mutex<BTreeMap<Partition, Time>>,
}

impl Guard {
    fn parked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Partition, Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_parked(&self, partition: Partition) -> bool {
        self.parked().contains_key(&partition)
    }

    /// Whether this node has not brought yet what it has for this marker.
    fn is_behind(&self, parked: &Parked) -> bool {
        let brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.get(&parked.partition) != Some(&parked.at)
    }

    fn has_brought(&self, parked: &Parked) {
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        brought.insert(parked.partition, parked.at);
    }

    /// Every partition that is parked, as known now.
    pub(super) fn all(&self) -> Vec<Parked> {
        self.parked().values().cloned().collect()
    }

    /// What callers are told about a partition that is parked.
    pub(super) fn error(partition: Partition) -> Error {
        Error::Parked {
            partition: partition.index(),
        }
    }
}

impl Link {
    /// Looks whether our user may use every command that our functions use, at each primary.
    pub(super) async fn look_at_rights(&self) -> Result<()> {
        let topology = &self.shared().topology;
        for server in topology.primaries() {
            let Some(partition) = topology.partitions_of(&server).first().copied() else {
                continue;
            };
            let commands = super::library::commands().into_iter().map(String::into_bytes);
            match self.read(partition, "guard_rights", commands.collect()).await {
                Ok(answer) => {
                    let missing: Vec<String> = items_of(&answer).iter().filter_map(text_of).collect();
                    if !missing.is_empty() {
                        return Err(Error::Unavailable {
                            why: format!(
                                "{server} forbids this user {}; {}",
                                missing.join(", "),
                                super::trouble::GRANT
                            ),
                        });
                    }
                }
                // What is lost there is another matter, and told by itself.
                Err(Error::Parked { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A call was answered LOST: parks the partition for all nodes and brings what this node has. `None` where the
    /// primary is not behind: it was another server that answered, or somebody had it put back meanwhile.
    pub(super) async fn lost(&self, partition: Partition) -> Option<Error> {
        match self.park(partition).await {
            Ok(true) => Some(Guard::error(partition)),
            Ok(false) => None,
            Err(error) => {
                tracing::error!(
                    "{CODE}: partition {partition} has lost writes, and cannot be marked: {error}"
                );
                Some(Guard::error(partition))
            }
        }
    }

    /// Parks a partition where the servers are behind what this node was acknowledged, and brings what is gone.
    /// Answers whether it is parked.
    pub(super) async fn park(&self, partition: Partition) -> Result<bool> {
        let shared = self.shared();
        let (seen, own) = shared.marks(partition);
        let args = [
            shared.now().0.to_string(),
            shared.node().to_owned(),
            seen.to_string(),
            own.to_string(),
        ];
        let answer = self
            .raw(partition, "guard_park", args.map(String::into_bytes).to_vec())
            .await?;
        let stored: u64 = number(&answer, 0)?;
        if number(&answer, 1)? == 1 {
            tracing::error!(
                "{CODE}: partition {partition} is parked: the servers have lost writes that they had acknowledged (this node \
                 was acknowledged {own}, they have {stored} of its own); nothing is claimed and nothing fires there until \
                 `cordon store recover {partition}`"
            );
        }
        let Some(parked) = self.look(partition).await? else {
            return Ok(false);
        };
        if shared.guard.is_behind(&parked) {
            for noted in shared.notes.after(partition, stored) {
                self.bring(&noted).await?;
            }
            shared.guard.has_brought(&parked);
        }
        Ok(true)
    }

    async fn bring(&self, noted: &Noted) -> Result<()> {
        let args = vec![
            self.shared().node().as_bytes().to_vec(),
            noted.generation.to_string().into_bytes(),
            noted.to_bytes(),
        ];
        self.raw(noted.partition, "guard_bring", args).await.map(|_| ())
    }

    /// Looks at every partition, and brings what this node has where one is parked. What cannot be looked at now is
    /// looked at the next time.
    pub(super) async fn look_at_all(&self) {
        let looks = Partition::all().map(|partition| async move {
            match self.look(partition).await {
                Ok(Some(parked)) if self.shared().guard.is_behind(&parked) => {
                    self.park(partition).await.map(|_| ())
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            }
        });
        for looked in futures_util::future::join_all(looks).await {
            if let Err(error) = looked {
                tracing::debug!("a partition is looked at again: {error}");
            }
        }
    }

    /// Looks whether a partition is parked, and remembers it.
    pub(super) async fn look(&self, partition: Partition) -> Result<Option<Parked>> {
        let node = self.shared().node().as_bytes().to_vec();
        let answer = self.read(partition, "guard_standing", vec![node]).await?;
        let brought: u64 = number(&answer, 1)?;
        let fields = items_of(&answer).get(2..).unwrap_or_default();
        let field = |name: &str| super::wire::field(fields, name);
        let whole = |name: &str| field(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let parked = field("at").map(|at| Parked {
            partition,
            at: Time(at.parse().unwrap_or(0)),
            by: field("by").unwrap_or_default(),
            stored: whole("stored"),
            acknowledged: whole("seen"),
            brought,
        });
        let mut known = self.shared().guard.parked();
        match &parked {
            Some(parked) => {
                if known.insert(partition, parked.clone()).is_none() {
                    tracing::error!("{CODE}: partition {partition} is parked: {parked}");
                }
            }
            None => {
                if known.remove(&partition).is_some() {
                    tracing::info!("partition {partition} is no longer parked");
                }
            }
        }
        Ok(parked)
    }

    /// Puts back what nodes brought, in order, and lifts the marker.
    pub(super) async fn recover(&self, partition: Partition, by: &str, reason: &str) -> Result<Recovered> {
        // What this node has itself, it brings first.
        if !self.park(partition).await? {
            return Err(Error::Missing {
                what: format!("parked partition {partition}"),
            });
        }
        let mut recovered = Recovered::default();
        let mut from = 0;
        loop {
            let page = self.brought(partition, from).await?;
            if page.is_empty() {
                break;
            }
            from += page.len();
            for (field, call) in page {
                self.put_back(partition, &field, &call, &mut recovered).await?;
            }
        }
        let recovery = Recovery {
            partition,
            at: self.shared().now(),
            by: by.to_owned(),
            reason: reason.to_owned(),
            recovered: recovered.clone(),
        };
        let recovery = serde_json::to_vec(&recovery).map_err(|error| Error::Corrupt {
            why: error.to_string(),
        })?;
        self.raw(partition, "guard_lift", vec![recovery]).await?;
        self.look(partition).await?;
        Ok(recovered)
    }

    /// What nodes brought, a page of it: generation and node, and the call.
    async fn brought(&self, partition: Partition, from: usize) -> Result<Vec<(String, Value)>> {
        let args = [from.to_string(), BROUGHT_AT_ONCE.to_string()];
        let args = args.map(String::into_bytes).to_vec();
        let answer = self.read(partition, "guard_brought", args).await?;
        let pairs = items_of(&answer).chunks_exact(2).filter_map(|pair| match pair {
            [field, call] => Some((text_of(field)?, call.clone())),
            _ => None,
        });
        Ok(pairs.collect())
    }

    /// What nodes brought, in words.
    pub(super) async fn missing(&self, partition: Partition) -> Result<Vec<String>> {
        let mut found = Vec::new();
        while found.len() < MISSING_NAMED_MAX {
            let page = self.brought(partition, found.len()).await?;
            if page.is_empty() {
                break;
            }
            for (field, call) in page {
                let noted = noted_of(&call);
                let what = noted.map_or_else(|| "something unreadable".to_owned(), |noted| noted.to_string());
                found.push(match field.split_once(' ') {
                    Some((generation, node)) => format!("write {generation} of {node}: {what}"),
                    None => format!("{field}: {what}"),
                });
            }
        }
        Ok(found)
    }

    /// What was put back before.
    pub(super) async fn recoveries(&self) -> Result<Vec<Recovery>> {
        let mut found = Vec::new();
        for partition in Partition::all() {
            let answer = self.read(partition, "guard_history", Vec::new()).await?;
            for one in items_of(&answer).iter().filter_map(text_of) {
                let read = serde_json::from_str(&one);
                found.push(read.map_err(|error: serde_json::Error| Error::Corrupt {
                    why: error.to_string(),
                })?);
            }
        }
        found.sort_by_key(|recovery: &Recovery| recovery.at);
        Ok(found)
    }

    async fn put_back(
        &self,
        partition: Partition,
        field: &str,
        call: &Value,
        recovered: &mut Recovered,
    ) -> Result<()> {
        let (Some(noted), Some((_, node))) = (noted_of(call), field.split_once(' ')) else {
            recovered.refuse(REFUSED_NAMED_MAX, format!("{field}: it cannot be read"));
            return Ok(());
        };
        let function = noted.function;
        let mut args = vec![
            node.as_bytes().to_vec(),
            noted.generation.to_string().into_bytes(),
            function.clone().into_bytes(),
        ];
        args.extend(noted.args);
        match self.raw(partition, "guard_replay", args).await {
            Ok(answer) if number(&answer, 0)? == 1 => recovered.put_back += 1,
            Ok(_) => recovered.there += 1,
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => recovered.refuse(REFUSED_NAMED_MAX, format!("{field} {function}: {error}")),
        }
        Ok(())
    }

    /// Calls a function of the detector's own.
    async fn raw(&self, partition: Partition, function: &'static str, args: Vec<Vec<u8>>) -> Result<Value> {
        self.call(partition, Kind::Raw, function, args).await
    }
}

fn noted_of(call: &Value) -> Option<Noted> {
    match call {
        Value::BulkString(bytes) => Noted::from_bytes(bytes).map(|(noted, _)| noted),
        _ => None,
    }
}

fn number(answer: &Value, at: usize) -> Result<u64> {
    let text = items_of(answer).get(at).and_then(text_of);
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Corrupt {
            why: "a number is missing in the answer of the detector".to_owned(),
        })
}
