//! Locks and holds, as rows.

use async_trait::async_trait;
use rusqlite::{Connection, Params, params};

use super::SqliteStore;
use super::dump_read::leaver;
use super::failure::Fallible;
use super::row::{Ask as _, json, rows, to_json, to_word, word, word_or_none};
use crate::action::{Hold, Holder, Leaver, Reading, Undo, Verification};
use crate::clock::Time;
use crate::id::{EffectId, Partition, RunId};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::targets::{
    DueHolder, HoldEnd, Lock, Locked, NewHold, Share as Taking, Taken, Targets, Took,
};

/// One effect's share of a hold, as it is looked up.
#[derive(Clone)]
struct Share {
    key: String,
    facet: String,
    effect: String,
}

impl Share {
    fn new(target: &str, facet: &str, effect: EffectId) -> Share {
        Share {
            key: target.to_owned(),
            facet: facet.to_owned(),
            effect: effect.to_string(),
        }
    }
}

fn lock(
    connection: &Connection,
    partition: Partition,
    target: &str,
    effect: EffectId,
    run: RunId,
    now: Time,
) -> Fallible<Locked> {
    connection.run(
        "INSERT INTO locks (target, partition, effect, run, since) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
        params![
            target,
            partition.index(),
            effect.to_string(),
            run.to_string(),
            now
        ],
    )?;
    let owner: Option<(EffectId, RunId)> = connection.one(
        "SELECT effect, run FROM locks WHERE target = ?1",
        [target],
        |row| Ok((word(row, "effect")?, word(row, "run")?)),
    )?;
    Ok(match owner {
        Some((owner, run)) if owner != effect => Locked::Busy { effect: owner, run },
        _ => Locked::Granted,
    })
}

fn restores(connection: &Connection, share: &Share) -> Fallible<Option<(Reading, Option<Undo>)>> {
    connection.one(
        "SELECT prior, undo FROM holds WHERE key = ?1 AND facet = ?2",
        [&share.key, &share.facet],
        |row| Ok((json(row, "prior")?, json(row, "undo")?)),
    )
}

fn take(connection: &Connection, partition: Partition, hold: &NewHold) -> Fallible<Took> {
    let share = Share::new(&hold.target.key(), &hold.facet, hold.effect);
    let known = connection.one(
        "UPDATE holders SET until = ?4 WHERE key = ?1 AND facet = ?2 AND effect = ?3 RETURNING was_first",
        params![share.key, share.facet, share.effect, hold.until],
        |row| row.get::<_, bool>(0),
    )?;
    let first = match known {
        Some(first) => first,
        None => join(connection, partition, hold, &share)?,
    };
    let (prior, undo) = restores(connection, &share)?
        .ok_or_else(|| super::failure::unreadable(format_args!("the hold on `{}` is gone", share.key)))?;
    Ok(Took { first, prior, undo })
}

/// Adds a holder that is not there yet; says whether it is the first.
fn join(connection: &Connection, partition: Partition, hold: &NewHold, share: &Share) -> Fallible<bool> {
    let made = connection.run(
        "INSERT INTO holds (key, facet, partition, target, prior, undo) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING",
        params![
            share.key,
            share.facet,
            partition.index(),
            to_json(&hold.target)?,
            to_json(&hold.prior)?,
            to_json(&hold.undo)?,
        ],
    )?;
    let first = made > 0;
    forget_leaver(connection, share)?;
    let who = Leaver {
        effect: hold.effect,
        run: hold.run,
        since: hold.at,
    };
    add(connection, partition, share, &who, hold.until, first)?;
    Ok(first)
}

/// Adds somebody to the holders of a facet, as the last.
fn add(
    connection: &Connection,
    partition: Partition,
    of: &Share,
    who: &Leaver,
    until: Option<Time>,
    first: bool,
) -> Fallible<()> {
    connection.run(
        "INSERT INTO holders (key, facet, effect, partition, place, was_first, run, since, until, tries, ending)
         VALUES (?1, ?2, ?3, ?4,
                 (SELECT coalesce(max(place), 0) + 1 FROM holders WHERE key = ?1 AND facet = ?2),
                 ?5, ?6, ?7, ?8, 0, 0)",
        params![
            of.key,
            of.facet,
            who.effect.to_string(),
            partition.index(),
            first,
            who.run.to_string(),
            who.since,
            until,
        ],
    )?;
    Ok(())
}

/// The others that hold and are not ending.
fn others(connection: &Connection, share: &Share) -> Fallible<usize> {
    let others = connection.one(
        "SELECT count(*) FROM holders WHERE key = ?1 AND facet = ?2 AND effect <> ?3 AND NOT ending",
        [&share.key, &share.facet, &share.effect],
        |row| row.get::<_, i64>(0),
    )?;
    Ok(usize::try_from(others.unwrap_or(0)).unwrap_or(0))
}

fn end(connection: &Connection, partition: Partition, share: &Share) -> Fallible<HoldEnd> {
    let ours = connection.one(
        "SELECT effect, run, since FROM holders WHERE key = ?1 AND facet = ?2 AND effect = ?3",
        [&share.key, &share.facet, &share.effect],
        leaver,
    )?;
    let restores = restores(connection, share)?;
    let (Some(ours), Some((prior, undo))) = (ours, restores) else {
        return Ok(HoldEnd::NotHeld);
    };
    let remaining = others(connection, share)?;
    if remaining > 0 {
        remove(connection, share)?;
        note_leaver(connection, partition, (&share.key, &share.facet), &ours)?;
        return Ok(HoldEnd::Others { remaining });
    }
    connection.run(
        "UPDATE holders SET ending = 1 WHERE key = ?1 AND facet = ?2 AND effect = ?3",
        [&share.key, &share.facet, &share.effect],
    )?;
    Ok(HoldEnd::Last { prior, undo })
}

/// Removes a share; says whether it was there.
fn remove(connection: &Connection, share: &Share) -> Fallible<bool> {
    let removed = connection.run(
        "DELETE FROM holders WHERE key = ?1 AND facet = ?2 AND effect = ?3",
        [&share.key, &share.facet, &share.effect],
    )?;
    Ok(removed > 0)
}

fn forget(connection: &Connection, share: &Share) -> Fallible<()> {
    remove(connection, share)?;
    for table in ["leavers", "holds"] {
        connection.run(
            &format!(
                "DELETE FROM {table} WHERE key = ?1 AND facet = ?2
                 AND NOT EXISTS (SELECT 1 FROM holders WHERE holders.key = ?1 AND holders.facet = ?2)"
            ),
            [&share.key, &share.facet],
        )?;
    }
    Ok(())
}

/// Adds one who let go, as the last.
pub(super) fn note_leaver(
    connection: &Connection,
    partition: Partition,
    (key, facet): (&str, &str),
    leaver: &Leaver,
) -> Fallible<()> {
    connection.run(
        "INSERT INTO leavers (key, facet, effect, partition, place, run, since)
         VALUES (?1, ?2, ?3, ?4,
                 (SELECT coalesce(max(place), 0) + 1 FROM leavers WHERE key = ?1 AND facet = ?2), ?5, ?6)",
        params![
            key,
            facet,
            leaver.effect.to_string(),
            partition.index(),
            leaver.run.to_string(),
            leaver.since,
        ],
    )?;
    Ok(())
}

fn forget_leaver(connection: &Connection, share: &Share) -> Fallible<()> {
    connection.run(
        "DELETE FROM leavers WHERE key = ?1 AND facet = ?2 AND effect = ?3",
        [&share.key, &share.facet, &share.effect],
    )?;
    Ok(())
}

fn give_up(connection: &Connection, partition: Partition, share: &Share, at: Time) -> Fallible<()> {
    forget_leaver(connection, share)?;
    if !remove(connection, share)? {
        return Ok(());
    }
    if others(connection, share)? == 0 {
        let last = connection.one(
            "SELECT effect, run, since FROM leavers WHERE key = ?1 AND facet = ?2 ORDER BY place DESC LIMIT 1",
            [&share.key, &share.facet],
            leaver,
        )?;
        if let Some(last) = last {
            forget_leaver(connection, &Share::new(&share.key, &share.facet, last.effect))?;
            add(connection, partition, share, &last, Some(at), false)?;
        }
    }
    forget(connection, share)
}

/// The holds that fit a condition over `holds`, by target key and facet.
fn holds(connection: &Connection, condition: &str, values: impl Params) -> Fallible<Vec<Hold>> {
    let rows = connection.all(
        &format!(
            "SELECT holds.key AS key, holds.facet AS facet, target, prior, undo,
                    effect, run, since, until, tries, ending, seen,
                    (SELECT json_group_array(json_object('effect', effect, 'run', run, 'since', since)) FROM
                        (SELECT effect, run, since FROM leavers
                         WHERE leavers.key = holds.key AND leavers.facet = holds.facet ORDER BY place)) AS leavers
             FROM holds JOIN holders USING (key, facet)
             WHERE {condition} ORDER BY holds.key, holds.facet, since, place"
        ),
        values,
        |row| {
            let key: (String, String) = (row.get("key")?, row.get("facet")?);
            let hold = Hold {
                target: json(row, "target")?,
                facet: key.1.clone(),
                prior: json(row, "prior")?,
                undo: json(row, "undo")?,
                holders: vec![Holder {
                    effect: word(row, "effect")?,
                    run: word(row, "run")?,
                    since: row.get("since")?,
                    until: row.get("until")?,
                    tries: row.get("tries")?,
                    ending: row.get("ending")?,
                    seen: word_or_none(row, "seen")?,
                }],
                left: json(row, "leavers")?,
            };
            Ok((key, hold))
        },
    )?;
    let mut holds: Vec<((String, String), Hold)> = Vec::new();
    for (key, hold) in rows {
        match holds.last_mut() {
            Some((last, known)) if *last == key => known.holders.extend(hold.holders),
            _ => holds.push((key, hold)),
        }
    }
    Ok(holds.into_iter().map(|(_, hold)| hold).collect())
}

fn due(connection: &Connection, partition: Partition, now: Time, limit: usize) -> Fallible<Vec<DueHolder>> {
    connection.all(
        "SELECT target, holders.facet AS facet, effect, run, until, tries
         FROM holders JOIN holds USING (key, facet)
         WHERE holders.partition = ?1 AND until <= ?2
         ORDER BY until, holders.key, holders.facet, effect LIMIT ?3",
        params![partition.index(), now, rows(limit)],
        |row| {
            Ok(DueHolder {
                target: json(row, "target")?,
                facet: row.get("facet")?,
                effect: word(row, "effect")?,
                run: word(row, "run")?,
                until: row.get("until")?,
                tries: row.get("tries")?,
            })
        },
    )
}

fn taken(connection: &Connection, partition: Partition, run: RunId) -> Fallible<Taken> {
    let locks = connection.all(
        "SELECT target, effect, run FROM locks WHERE partition = ?1 AND run = ?2 ORDER BY target",
        params![partition.index(), run.to_string()],
        |row| {
            Ok(Lock {
                target: row.get("target")?,
                effect: word(row, "effect")?,
                run: word(row, "run")?,
            })
        },
    )?;
    let shares = connection.all(
        "SELECT key, facet, effect FROM holders WHERE partition = ?1 AND run = ?2 ORDER BY key, facet, effect",
        params![partition.index(), run.to_string()],
        |row| {
            Ok(Taking {
                target: row.get("key")?,
                facet: row.get("facet")?,
                effect: word(row, "effect")?,
            })
        },
    )?;
    Ok(Taken { locks, shares })
}

#[async_trait]
impl Targets for SqliteStore {
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
        let target = target.to_owned();
        self.write_before(before, move |connection| {
            lock(connection, partition, &target, effect, run, now)
        })
        .await
    }

    async fn unlock(&self, partition: Partition, before: Time, target: &str, effect: EffectId) -> Result<()> {
        home::of_target(partition, target)?;
        let target = target.to_owned();
        self.write_before(before, move |connection| {
            let sql = "DELETE FROM locks WHERE target = ?1 AND effect = ?2";
            connection.run(sql, [target, effect.to_string()])?;
            Ok(())
        })
        .await
    }

    async fn hold_take(&self, partition: Partition, before: Time, hold: NewHold) -> Result<Took> {
        home::of_target(partition, &hold.target.key())?;
        self.write_before(before, move |connection| take(connection, partition, &hold))
            .await
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
        let share = Share::new(target, facet, effect);
        self.write_before(before, move |connection| end(connection, partition, &share))
            .await
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
        let share = Share::new(target, facet, effect);
        self.write_before(before, move |connection| forget(connection, &share))
            .await
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
        let share = Share::new(target, facet, effect);
        self.write_before(before, move |connection| {
            give_up(connection, partition, &share, at)
        })
        .await
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
        let share = Share::new(target, facet, effect);
        self.write_before(before, move |connection| {
            let changed = connection.run(
                "UPDATE holders SET until = ?4, tries = ?5 WHERE key = ?1 AND facet = ?2 AND effect = ?3",
                params![share.key, share.facet, share.effect, until, tries],
            )?;
            if changed == 0 {
                return Err(Error::Missing {
                    what: format!("hold of `{}` on `{}`", share.effect, share.key),
                }
                .into());
            }
            Ok(())
        })
        .await
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
        let share = Share::new(target, facet, effect);
        self.write_before(before, move |connection| {
            connection.run(
                "UPDATE holders SET seen = ?4 WHERE key = ?1 AND facet = ?2 AND effect = ?3",
                params![share.key, share.facet, share.effect, to_word(&seen)?],
            )?;
            Ok(())
        })
        .await
    }

    async fn note_change(&self, partition: Partition, before: Time, target: &str, at: Time) -> Result<()> {
        home::of_target(partition, target)?;
        let target = target.to_owned();
        self.write_before(before, move |connection| {
            connection.run(
                "INSERT INTO changes (target, partition, at) VALUES (?1, ?2, ?3)
                 ON CONFLICT (target) DO UPDATE SET at = max(at, excluded.at)",
                params![target, partition.index(), at],
            )?;
            Ok(())
        })
        .await
    }

    async fn changed_at(&self, partition: Partition, target: &str) -> Result<Option<Time>> {
        home::of_target(partition, target)?;
        let target = target.to_owned();
        self.read(move |connection| {
            connection.one("SELECT at FROM changes WHERE target = ?1", [target], |row| {
                row.get(0)
            })
        })
        .await
    }

    async fn locks(&self, partition: Partition) -> Result<Vec<Lock>> {
        self.read(move |connection| {
            connection.all(
                "SELECT target, effect, run FROM locks WHERE partition = ?1 ORDER BY target",
                [partition.index()],
                |row| {
                    Ok(Lock {
                        target: row.get("target")?,
                        effect: word(row, "effect")?,
                        run: word(row, "run")?,
                    })
                },
            )
        })
        .await
    }

    async fn hold(&self, partition: Partition, target: &str, facet: &str) -> Result<Option<Hold>> {
        home::of_target(partition, target)?;
        let (target, facet) = (target.to_owned(), facet.to_owned());
        self.read(move |connection| {
            let found = holds(
                connection,
                "holds.key = ?1 AND holds.facet = ?2",
                [&target, &facet],
            )?;
            Ok(found.into_iter().next())
        })
        .await
    }

    async fn taken_by(&self, partition: Partition, run: RunId) -> Result<Taken> {
        self.read(move |connection| taken(connection, partition, run))
            .await
    }

    async fn holds(&self, partition: Partition) -> Result<Vec<Hold>> {
        self.read(move |connection| holds(connection, "holds.partition = ?1", [partition.index()]))
            .await
    }

    async fn due_holders(&self, partition: Partition, now: Time, limit: usize) -> Result<Vec<DueHolder>> {
        self.read(move |connection| due(connection, partition, now, limit))
            .await
    }

    async fn next_lease_end(&self, partition: Partition) -> Result<Option<Time>> {
        self.read(move |connection| {
            connection.one(
                "SELECT until FROM holders WHERE partition = ?1 AND until IS NOT NULL ORDER BY until LIMIT 1",
                [partition.index()],
                |row| row.get(0),
            )
        })
        .await
    }
}
