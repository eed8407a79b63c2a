//! Locks and holds. A held facet is named by target and facet with a NUL between them, which neither contains.

use async_trait::async_trait;

use super::RedisStore;
use super::answer::{Answer, read_word, time, unreadable};
use super::args::{Args, to_word};
use super::call::{PAGE, rows};
use crate::action::{Hold, Holder, Leaver, Verification};
use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::targets::{DueHolder, HoldEnd, Lock, Locked, NewHold, Share, Taken, Targets, Took};

/// The name of a held facet.
pub(super) fn name(target: &str, facet: &str) -> String {
    format!("{target}\0{facet}")
}

/// The facet of a name.
pub(super) fn facet(name: &str) -> String {
    name.rsplit('\0').next().unwrap_or_default().to_owned()
}

fn maybe_time(text: &str) -> Result<Option<Time>> {
    (text != "-").then(|| time(text)).transpose()
}

/// One effect's share of a hold.
pub(super) struct Kept {
    /// Its place among the others.
    pub(super) place: u64,
    /// True when it took the hold while nobody else had it.
    pub(super) first: bool,
    pub(super) holder: Holder,
}

/// A share as it is kept.
fn kept(effect: EffectId, text: &str) -> Result<Kept> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [place, first, run, since, until, tries, ending, seen] = parts.as_slice() else {
        return Err(unreadable(format_args!("`{text}` is no holder")));
    };
    let holder = Holder {
        effect,
        run: run.parse().map_err(unreadable)?,
        since: time(since)?,
        until: maybe_time(until)?,
        tries: tries.parse().map_err(unreadable)?,
        ending: *ending == "1",
        seen: (*seen != "-").then(|| read_word(seen)).transpose()?,
    };
    Ok(Kept {
        place: place.parse().map_err(unreadable)?,
        first: *first == "1",
        holder,
    })
}

/// Effect and share.
pub(super) fn share(answer: &mut Answer) -> Result<Kept> {
    kept(answer.parse()?, &answer.text()?)
}

/// Those who let go, the last one last.
pub(super) fn leavers(answer: &mut Answer) -> Result<Vec<Leaver>> {
    let mut leavers = answer.list()?.each(|one| {
        let effect = one.parse()?;
        let text = one.text()?;
        let parts: Vec<&str> = text.split(' ').collect();
        let [place, run, since] = parts.as_slice() else {
            return Err(unreadable(format_args!("`{text}` is nobody who let go")));
        };
        let leaver = Leaver {
            effect,
            run: run.parse().map_err(unreadable)?,
            since: time(since)?,
        };
        Ok((place.parse::<u64>().map_err(unreadable)?, leaver))
    })?;
    leavers.sort_by_key(|(place, _)| *place);
    Ok(leavers.into_iter().map(|(_, leaver)| leaver).collect())
}

impl Args {
    /// How many let go, then each as it is kept. `place` is the first that is free.
    pub(super) fn leavers(self, place: usize, leavers: &[Leaver]) -> Args {
        (place..)
            .zip(leavers)
            .fold(self.put(leavers.len()), |args, (place, leaver)| {
                args.put(leaver.effect)
                    .put(format_args!("{place} {} {}", leaver.run, leaver.since.0))
            })
    }

    /// A share as it is kept.
    pub(super) fn share(self, place: u64, first: bool, holder: &Holder) -> Result<Args> {
        let seen = match holder.seen {
            Some(seen) => to_word(&seen)?,
            None => "-".to_owned(),
        };
        Ok(self.put(format_args!(
            "{place} {} {} {} {} {} {} {seen}",
            u8::from(first),
            holder.run,
            holder.since.0,
            holder
                .until
                .map_or_else(|| "-".to_owned(), |until| until.0.to_string()),
            holder.tries,
            u8::from(holder.ending),
        )))
    }
}

fn hold(answer: &mut Answer) -> Result<(String, Hold)> {
    let name = answer.text()?;
    let (target, prior, undo) = (answer.json()?, answer.json()?, answer.json()?);
    let mut shares = answer.list()?.each(share)?;
    shares.sort_by_key(|share| (share.holder.since, share.place));
    let hold = Hold {
        target,
        facet: facet(&name),
        prior,
        undo,
        holders: shares.into_iter().map(|share| share.holder).collect(),
        left: leavers(answer)?,
    };
    Ok((name, hold))
}

fn due(answer: &mut Answer) -> Result<DueHolder> {
    let name = answer.text()?;
    let target = answer.json()?;
    let holder = share(answer)?.holder;
    Ok(DueHolder {
        target,
        facet: facet(&name),
        effect: holder.effect,
        run: holder.run,
        until: holder.until.ok_or_else(|| unreadable("a lease without an end"))?,
        tries: holder.tries,
    })
}

#[async_trait]
impl Targets for RedisStore {
    async fn lock(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        effect: EffectId,
        run: RunId,
        now: Time,
    ) -> Result<Locked> {
        home::of_target(partition, target)?;
        let args = Args::new()
            .time(before)
            .put(target)
            .put(effect)
            .put(run)
            .time(now);
        let mut answer = self.write(partition, "lock", args).await?;
        match answer.text()?.as_str() {
            "GRANTED" => Ok(Locked::Granted),
            "BUSY" => Ok(Locked::Busy {
                effect: answer.parse()?,
                run: answer.parse()?,
            }),
            other => Err(unreadable(other)),
        }
    }

    async fn unlock(&self, partition: Partition, before: Time, target: &str, effect: EffectId) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new().time(before).put(target).put(effect);
        self.write(partition, "unlock", args).await.map(drop)
    }

    async fn note_change(&self, partition: Partition, before: Time, target: &str, at: Time) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new().time(before).put(target).time(at);
        self.write(partition, "note_change", args).await.map(drop)
    }

    async fn changed_at(&self, partition: Partition, target: &str) -> Result<Option<Time>> {
        home::of_target(partition, target)?;
        let args = Args::new().put(target);
        self.read(partition, "changed_at", args).await?.maybe_time()
    }

    async fn locks(&self, partition: Partition) -> Result<Vec<Lock>> {
        let answer = self.read(partition, "locks", Args::new()).await?;
        let mut locks = answer.each(|answer| {
            let target = answer.text()?;
            let owner = answer.text()?;
            let mut words = owner.split(' ');
            let mut next = || words.next().ok_or_else(|| unreadable("a lock without an owner"));
            Ok(Lock {
                target,
                effect: next()?.parse().map_err(unreadable)?,
                run: next()?.parse().map_err(unreadable)?,
            })
        })?;
        locks.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(locks)
    }

    async fn hold_take(&self, partition: Partition, before: Time, hold: NewHold) -> Result<Took> {
        let target = hold.target.key();
        home::of_target(partition, &target)?;
        let args = Args::new()
            .time(before)
            .put(name(&target, &hold.facet))
            .put(hold.effect)
            .put(hold.run)
            .time(hold.at)
            .maybe_time(hold.until)
            .json(&hold.target)?
            .json(&hold.prior)?
            .json(&hold.undo)?;
        let mut answer = self.write(partition, "hold_take", args).await?;
        Ok(Took {
            first: answer.flag()?,
            prior: answer.json()?,
            undo: answer.json()?,
        })
    }

    async fn hold_end(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<HoldEnd> {
        home::of_target(partition, target)?;
        let args = Args::new().time(before).put(name(target, facet)).put(effect);
        let mut answer = self.write(partition, "hold_end", args).await?;
        match answer.text()?.as_str() {
            "NOT" => Ok(HoldEnd::NotHeld),
            "OTHERS" => Ok(HoldEnd::Others {
                remaining: answer.parse()?,
            }),
            "LAST" => Ok(HoldEnd::Last {
                prior: answer.json()?,
                undo: answer.json()?,
            }),
            other => Err(unreadable(other)),
        }
    }

    async fn hold_drop(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new().time(before).put(name(target, facet)).put(effect);
        self.write(partition, "hold_drop", args).await.map(drop)
    }

    async fn hold_give_up(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        at: Time,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new()
            .time(before)
            .put(name(target, facet))
            .put(effect)
            .time(at);
        self.write(partition, "hold_give_up", args).await.map(drop)
    }

    async fn hold_until(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        until: Option<Time>,
        tries: u32,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new()
            .time(before)
            .put(name(target, facet))
            .put(effect)
            .maybe_time(until)
            .put(tries);
        let mut answer = self.write(partition, "hold_until", args).await?;
        match answer.maybe_text()?.as_deref() {
            None => Ok(()),
            Some("MISSING") => Err(Error::Missing {
                what: format!("hold of `{effect}` on `{target}`"),
            }),
            Some(other) => Err(unreadable(other)),
        }
    }

    async fn hold_seen(
        &self,
        partition: Partition,
        before: Time,
        target: &str,
        facet: &str,
        effect: EffectId,
        seen: Verification,
    ) -> Result<()> {
        home::of_target(partition, target)?;
        let args = Args::new()
            .time(before)
            .put(name(target, facet))
            .put(effect)
            .word(&seen)?;
        self.write(partition, "hold_seen", args).await.map(drop)
    }

    async fn hold(&self, partition: Partition, target: &str, facet: &str) -> Result<Option<Hold>> {
        home::of_target(partition, target)?;
        let args = Args::new().put(name(target, facet));
        let found = self.read(partition, "hold", args).await?.one(hold)?;
        Ok(found.map(|(_, hold)| hold))
    }

    async fn taken_by(&self, partition: Partition, run: RunId) -> Result<Taken> {
        let answer = self.read(partition, "taken_by", Args::new().put(run)).await?;
        let mut taken = Taken::default();
        for member in answer.each(Answer::text)? {
            let parts: Vec<&str> = member.split('\0').collect();
            match parts.as_slice() {
                ["lock", target, effect] => taken.locks.push(Lock {
                    target: (*target).to_owned(),
                    effect: effect.parse().map_err(unreadable)?,
                    run,
                }),
                ["hold", target, facet, effect] => taken.shares.push(Share {
                    target: (*target).to_owned(),
                    facet: (*facet).to_owned(),
                    effect: effect.parse().map_err(unreadable)?,
                }),
                _ => return Err(unreadable(format_args!("`{member}` is nothing a run takes"))),
            }
        }
        Ok(taken)
    }

    async fn holds(&self, partition: Partition) -> Result<Vec<Hold>> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let args = Args::new().maybe(after.as_ref()).put(PAGE);
            let page = self.read(partition, "holds", args).await?.lists(hold)?;
            let all = page.len() < PAGE;
            for (name, hold) in page {
                after = Some(name);
                found.push(hold);
            }
            if all {
                return Ok(found);
            }
        }
    }

    async fn due_holders(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<DueHolder>> {
        let args = Args::new().time(now).put(rows(limit));
        self.read(partition, "due_holders", args).await?.lists(due)
    }

    async fn next_lease_end(&self, partition: Partition) -> Result<Option<Time>> {
        let mut answer = self.read(partition, "next_lease_end", Args::new()).await?;
        answer.maybe_time()
    }
}
