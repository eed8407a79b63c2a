//! Records out and in. Each is read whole by one function; those to put are held against what is there here, and written
//! by one function that refuses all of them when one has come in between.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::{Answer, unreadable};
use super::args::Args;
use super::{alerts, approvals, entry, notices, runs, signals, targets};
use crate::id::Partition;
use crate::journal::ChainId;
use crate::store::control::Switches;
use crate::store::dump::{Dump, Dumped, HeldBy, Kind, Mark, Record};
use crate::store::error::{Error, Result};
use crate::store::feed::FeedItem;
use crate::store::home;

/// Records of one page; each is read whole while the server does nothing else.
const RECORDS_MAX: usize = 200;
/// How often records are held against what is there while others write the same names.
const TRIES_MAX: usize = 16;

/// What functions call a kind.
fn word(kind: Kind) -> Result<String> {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(unreadable(format_args!("{kind:?} is {other:?}"))),
    }
}

/// What functions call a record.
fn name(record: &Record) -> String {
    match record {
        Record::Hold { target, facet, .. } => targets::name(&target.key(), facet),
        Record::Budget { scope, member, .. } => targets::name(scope, member),
        other => other.name(),
    }
}

fn chain(id: ChainId, answer: Answer) -> Result<Vec<FeedItem>> {
    let lines = answer.each(Answer::text)?;
    let items = (0_u64..)
        .zip(&lines)
        .map(|(seq, line)| entry::item(id, seq, line));
    items.collect()
}

fn record(kind: Kind, answer: &mut Answer) -> Result<Record> {
    Ok(match kind {
        Kind::Alert => {
            let row = alerts::row(&mut answer.list()?)?;
            Record::Alert {
                headers: answer.json()?,
                body: answer.bytes()?,
                chain: chain(ChainId::Alert(row.id), answer.list()?)?,
                row,
            }
        }
        Kind::Run => {
            let row = runs::row(&mut answer.list()?)?;
            let (claim_until, woken_at) = (answer.maybe_time()?, answer.maybe_time()?);
            let chain = chain(ChainId::Run(row.id), answer.list()?)?;
            let mut requests = answer.list()?.lists(approvals::row)?;
            requests.sort_by_cached_key(|row| row.id.to_string());
            let votes = approvals::votes(answer.list()?)?;
            Record::Run {
                claim_until,
                woken_at,
                chain,
                approvals: requests,
                votes,
                signals: signals::in_order(answer.list()?)?,
                row,
            }
        }
        Kind::Gone => Record::Gone {
            chain: super::feed::chain(&answer.text()?)?,
            at: answer.time()?,
        },
        Kind::Claim => {
            let (key, owner, until) = (answer.parse()?, answer.text()?, answer.time()?);
            let mut lost = answer.list()?.each(Answer::text)?;
            lost.sort_unstable();
            Record::Claim {
                key,
                owner,
                until,
                lost,
            }
        }
        Kind::Notice => Record::Notice(notices::row(answer)?),
        Kind::Cursor => Record::Cursor {
            follower: answer.text()?,
            position: answer.parse()?,
        },
        Kind::Follower => Record::Follower {
            follower: answer.text()?,
            holder: answer.text()?,
            until: answer.time()?,
        },
        Kind::Lock => Record::Lock {
            target: answer.text()?,
            effect: answer.parse()?,
            run: answer.parse()?,
            since: answer.time()?,
        },
        Kind::Change => Record::Change {
            target: answer.text()?,
            at: answer.time()?,
        },
        Kind::Hold => hold(answer)?,
        Kind::Budget => Record::Budget {
            scope: answer.text()?,
            member: answer.text()?,
            at: answer.time()?,
        },
        Kind::Feed => Record::Feed {
            last: answer.parse()?,
        },
        Kind::Switches => Record::Switches(answer.json()?),
        Kind::Principal => Record::Principal(answer.json()?),
        Kind::Secret => Record::Secret {
            handle: answer.text()?,
            sealed: answer.bytes()?,
        },
        Kind::Bundle => Record::Bundle {
            digest: answer.parse()?,
            bytes: answer.bytes()?,
        },
    })
}

fn hold(answer: &mut Answer) -> Result<Record> {
    let name = answer.text()?;
    let (target, prior, undo) = (answer.json()?, answer.json()?, answer.json()?);
    let mut shares = answer.list()?.each(targets::share)?;
    shares.sort_by_key(|share| share.place);
    Ok(Record::Hold {
        target,
        facet: targets::facet(&name),
        prior,
        undo,
        holders: shares
            .into_iter()
            .map(|share| HeldBy {
                holder: share.holder,
                first: share.first,
            })
            .collect(),
        left: targets::leavers(answer)?,
    })
}

impl Args {
    /// How many, then position, digest and the rest of each.
    fn items(self, items: &[FeedItem]) -> Args {
        items.iter().fold(self.put(items.len()), |args, item| {
            args.put(item.position).entry(&item.entry)
        })
    }

    /// What a record is made of, but for its name.
    fn content(self, record: &Record) -> Result<Args> {
        Ok(match record {
            Record::Alert {
                row,
                headers,
                body,
                chain,
            } => self
                .put(&row.source)
                .time(row.received_at)
                .put(row.times)
                .word(&row.disposition)?
                .put(row.len)
                .put(row.last)
                .json(headers)?
                .bytes(body.clone())
                .items(chain),
            Record::Run { .. } => self.run(record)?,
            Record::Gone { at, .. } | Record::Change { at, .. } | Record::Budget { at, .. } => self.time(*at),
            Record::Claim {
                owner, until, lost, ..
            } => self.put(owner).time(*until).texts(lost),
            Record::Notice(notice) => self.notice(notice)?,
            Record::Cursor { position, .. } => self.put(position),
            Record::Follower { holder, until, .. } => self.put(holder).time(*until),
            Record::Lock {
                effect, run, since, ..
            } => self.put(effect).put(run).time(*since),
            Record::Hold {
                target,
                prior,
                undo,
                holders,
                left,
                ..
            } => {
                let args = self.json(target)?.json(prior)?.json(undo)?.put(holders.len());
                let args = (1_u64..).zip(holders).try_fold(args, |args, (place, held)| {
                    args.put(held.holder.effect)
                        .share(place, held.first, &held.holder)
                })?;
                args.leavers(holders.len() + 1, left)
            }
            Record::Feed { last } => self.put(last),
            Record::Switches(switches) => self.json(switches)?,
            Record::Principal(principal) => self.json(principal)?,
            Record::Secret { sealed: bytes, .. } | Record::Bundle { bytes, .. } => self.bytes(bytes.clone()),
        })
    }

    /// The same of a run. The order of its fields is that of `RUN` in `lua/runs.lua`.
    fn run(self, record: &Record) -> Result<Args> {
        let Record::Run {
            row,
            claim_until,
            woken_at,
            chain,
            approvals,
            votes,
            signals,
        } = record
        else {
            return Ok(self);
        };
        let mut args = self
            .json(&runs::About::of(row))?
            .put(&row.waits_for)
            .word(&row.status)?
            .maybe_word(row.end.as_ref())?
            .put(&row.playbook)
            .time(row.started_at)
            .time(row.updated_at)
            .maybe_time(row.wake_at)
            .maybe_time(*woken_at)
            .put(row.epoch)
            .maybe(row.worker.as_ref())
            .maybe_time(*claim_until)
            .put(row.len)
            .put(row.last)
            .items(chain)
            .approvals(approvals)?
            .put(votes.len() * 2);
        for (approval, vote) in votes {
            let approve = u8::from(vote.approve);
            args = args
                .put(format_args!("{approval} {approve} {}", vote.principal))
                .json(vote)?;
        }
        args = args.put(signals.len() * 2);
        for signal in signals {
            args = args.put(&signal.id).json(signal)?;
        }
        Ok(args)
    }
}

/// True when a record says no more than an empty store does.
fn is_nothing(record: &Record) -> bool {
    match record {
        Record::Switches(switches) => *switches == Switches::default(),
        Record::Feed { last } => *last == 0,
        _ => false,
    }
}

fn occupied(record: &Record) -> Error {
    Error::Occupied {
        what: format!("record of the {} named `{}`", record.kind().word(), record.name()),
    }
}

impl RedisStore {
    /// Those of these records that are not there. What else is under the name of one is refused.
    async fn missing<'a>(&self, partition: Partition, records: &'a [Record]) -> Result<Vec<&'a Record>> {
        let mut missing = Vec::new();
        for new in records {
            let args = Args::new().put(word(new.kind())?).put(name(new));
            let answer = self.read(partition, "record", args).await?;
            let there = answer.one(|answer| record(new.kind(), answer))?;
            match (there.filter(|there| !is_nothing(there)), new) {
                (Some(there), new) if there == *new => {}
                // The end of a feed comes after what is in it, which has moved it.
                (Some(Record::Feed { last: there }), Record::Feed { last }) if *last > there => {
                    missing.push(new)
                }
                (Some(_), new) => return Err(occupied(new)),
                (None, new) => missing.push(new),
            }
        }
        Ok(missing)
    }
}

#[async_trait]
impl Dump for RedisStore {
    async fn dump(
        &self,
        partition: Partition,
        kind: Kind,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Dumped> {
        let args = Args::new()
            .put(word(kind)?)
            .maybe(next)
            .put(limit.clamp(1, RECORDS_MAX));
        let mut answer = self.read(partition, "dump", args).await?;
        let next = answer.text()?;
        if next == "STRANGE" {
            return Err(unreadable("this is no place in a list of records"));
        }
        let mut records = answer.lists(|answer| record(kind, answer))?;
        records.retain(|record| !is_nothing(record));
        Ok(Dumped {
            records,
            next: (!next.is_empty()).then_some(next),
        })
    }

    async fn restore(&self, partition: Partition, records: Vec<Record>) -> Result<()> {
        for record in &records {
            home::of_record(partition, record)?;
        }
        for _ in 0..TRIES_MAX {
            let missing = self.missing(partition, &records).await?;
            if missing.is_empty() {
                return Ok(());
            }
            let mut args = Args::new().put(missing.len());
            for record in &missing {
                args = args.put(word(record.kind())?).put(name(record)).content(record)?;
            }
            let mut answer = self.write(partition, "restore", args).await?;
            match answer.text()?.as_str() {
                "PUT" => return Ok(()),
                // Somebody has put it since it was looked for, perhaps this very call, whose answer was lost.
                "THERE" => {}
                "PLACE" => {
                    let place = answer.text()?;
                    return Err(Error::Occupied {
                        what: format!("entry at place {place} of the feed"),
                    });
                }
                other => return Err(unreadable(other)),
            }
        }
        Err(Error::Unavailable {
            why: "others write the same records".to_owned(),
        })
    }

    async fn mark(&self) -> Result<Option<Mark>> {
        let mut answer = self.read(Partition::CONTROL, "mark", Args::new()).await?;
        let mark = answer.maybe_bytes()?;
        mark.map(|json| serde_json::from_slice(&json).map_err(unreadable))
            .transpose()
    }

    async fn set_mark(&self, mark: Option<Mark>) -> Result<()> {
        let args = match mark {
            Some(mark) => Args::new().json(&mark)?,
            None => Args::new().put(""),
        };
        self.write(Partition::CONTROL, "set_mark", args).await.map(drop)
    }
}
