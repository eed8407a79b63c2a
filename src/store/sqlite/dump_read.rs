//! Rows as records. A page is found by an index first, as moments and names, and each record is then read whole, all
//! in one snapshot.

use rusqlite::{Connection, Row, params};

use super::approvals::{approval_row, votes};
use super::failure::{Failure, Fallible};
use super::row::{Ask as _, json, rows, uint, word, word_or_none};
use super::{alerts, journal, notices, runs, signals};
use crate::action::{Holder, Leaver};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::journal::ChainId;
use crate::limits::DUMP_PAGE_BYTES;
use crate::store::control::{Principal, Switches};
use crate::store::dump::{Dumped, HeldBy, Kind, Record};
use crate::store::error::{Error, Result};

/// A place in the order of a kind: a moment, where the index has one, and the name.
type Place = (i64, String);

fn write_place((at, name): &Place) -> String {
    format!("{at}:{name}")
}

fn read_place(text: &str) -> Result<Place> {
    let strange = || Error::Corrupt {
        why: format!("`{text}` is no place to go on from in this store"),
    };
    let (at, name) = text.split_once(':').ok_or_else(strange)?;
    Ok((at.parse().map_err(|_| strange())?, name.to_owned()))
}

/// A page of records.
pub(super) fn page(
    connection: &Connection,
    partition: Partition,
    kind: Kind,
    next: Option<&str>,
    limit: usize,
) -> Fallible<Dumped> {
    let after = next.map_or(Ok((i64::MIN, String::new())), read_place)?;
    let limit = limit.max(1);
    let places = places(connection, partition, kind, &after, limit)?;
    let mut dumped = Dumped::default();
    let mut bytes = 0;
    for place in &places {
        if let Some(record) = record(connection, partition, kind, &place.1)? {
            bytes += size(&record);
            dumped.records.push(record);
        }
        if bytes >= DUMP_PAGE_BYTES {
            dumped.next = Some(write_place(place));
            return Ok(dumped);
        }
    }
    dumped.next = places.last().filter(|_| places.len() >= limit).map(write_place);
    Ok(dumped)
}

/// About how many bytes a record takes; only what can be large counts.
fn size(record: &Record) -> usize {
    let chain = record.chain().iter().map(|item| item.entry.payload.len() + 256);
    let own = match record {
        Record::Alert { body, .. } => body.len(),
        Record::Bundle { bytes, .. } => bytes.len(),
        Record::Secret { sealed, .. } => sealed.len(),
        _ => 0,
    };
    chain.sum::<usize>() + own
}

/// Moments and names after a place. What belongs to the instance has none outside its partition.
fn places(
    connection: &Connection,
    partition: Partition,
    kind: Kind,
    after: &Place,
    limit: usize,
) -> Fallible<Vec<Place>> {
    let of_instance = matches!(
        kind,
        Kind::Switches | Kind::Principal | Kind::Secret | Kind::Bundle
    );
    if of_instance && partition != Partition::CONTROL {
        return Ok(Vec::new());
    }
    let sql = match kind {
        Kind::Alert => {
            "SELECT received_at, id FROM alerts WHERE partition = ?1 AND (received_at, id) > (?2, ?3)
             ORDER BY received_at, id LIMIT ?4"
        }
        Kind::Run => {
            "SELECT started_at, id FROM runs WHERE partition = ?1 AND (started_at, id) > (?2, ?3)
             ORDER BY started_at, id LIMIT ?4"
        }
        Kind::Gone => {
            "SELECT at, chain FROM gone WHERE partition = ?1 AND (at, chain) > (?2, ?3) ORDER BY at, chain LIMIT ?4"
        }
        Kind::Claim => {
            "SELECT until, lower(hex(key)) FROM claims WHERE partition = ?1 AND (until, lower(hex(key))) > (?2, ?3)
             ORDER BY until, key LIMIT ?4"
        }
        Kind::Notice => {
            "SELECT at, key FROM notices WHERE partition = ?1 AND (at, key) > (?2, ?3) ORDER BY at, key LIMIT ?4"
        }
        Kind::Cursor => {
            "SELECT 0, follower FROM cursors WHERE partition = ?1 AND (0, follower) > (?2, ?3)
             ORDER BY follower LIMIT ?4"
        }
        Kind::Follower => {
            "SELECT 0, follower FROM followers WHERE partition = ?1 AND (0, follower) > (?2, ?3)
             ORDER BY follower LIMIT ?4"
        }
        Kind::Lock => {
            "SELECT 0, target FROM locks WHERE partition = ?1 AND (0, target) > (?2, ?3) ORDER BY target LIMIT ?4"
        }
        Kind::Change => {
            "SELECT at, target FROM changes WHERE partition = ?1 AND (at, target) > (?2, ?3)
             ORDER BY at, target LIMIT ?4"
        }
        Kind::Hold => {
            "SELECT 0, key || char(31) || facet FROM holds
             WHERE partition = ?1 AND (0, key || char(31) || facet) > (?2, ?3)
             ORDER BY key || char(31) || facet LIMIT ?4"
        }
        Kind::Budget => {
            "SELECT 0, scope || char(31) || member FROM budgets
             WHERE partition = ?1 AND (0, scope || char(31) || member) > (?2, ?3)
             ORDER BY scope || char(31) || member LIMIT ?4"
        }
        Kind::Feed => {
            "SELECT 0, '' FROM feeds WHERE partition = ?1 AND last_position > 0 AND (?2, ?3) < (0, '') LIMIT ?4"
        }
        Kind::Switches => {
            "SELECT 0, '' FROM instance WHERE name = 'switches' AND ?1 = 0 AND (?2, ?3) < (0, '') LIMIT ?4"
        }
        Kind::Principal => {
            "SELECT 0, name FROM principals WHERE ?1 = 0 AND (0, name) > (?2, ?3) ORDER BY name LIMIT ?4"
        }
        Kind::Secret => {
            "SELECT 0, handle FROM secrets WHERE ?1 = 0 AND (0, handle) > (?2, ?3) ORDER BY handle LIMIT ?4"
        }
        Kind::Bundle => {
            "SELECT 0, lower(hex(digest)) FROM bundles WHERE ?1 = 0 AND (0, lower(hex(digest))) > (?2, ?3)
             ORDER BY digest LIMIT ?4"
        }
    };
    connection.all(
        sql,
        params![partition.index(), after.0, after.1, rows(limit)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

fn digest(name: &str) -> Fallible<Digest> {
    name.parse()
        .map_err(|_| super::failure::unreadable(format_args!("`{name}` is no digest")))
}

/// The record of a name, if there is one.
pub(super) fn record(
    connection: &Connection,
    partition: Partition,
    kind: Kind,
    name: &str,
) -> Fallible<Option<Record>> {
    let here = partition.index();
    match kind {
        Kind::Alert => alert(connection, name),
        Kind::Run => run(connection, name),
        Kind::Gone => connection.one("SELECT chain, at FROM gone WHERE chain = ?1", [name], |row| {
            Ok(Record::Gone {
                chain: journal::chain(row)?,
                at: row.get("at")?,
            })
        }),
        Kind::Claim => claim(connection, digest(name)?),
        Kind::Notice => {
            let sql = format!(
                "SELECT {} FROM notices WHERE partition = ?1 AND key = ?2",
                notices::COLUMNS
            );
            let notice = connection.one(&sql, params![here, name], notices::read)?;
            Ok(notice.map(Record::Notice))
        }
        Kind::Cursor => connection.one(
            "SELECT follower, position FROM cursors WHERE partition = ?1 AND follower = ?2",
            params![here, name],
            |row| {
                Ok(Record::Cursor {
                    follower: row.get("follower")?,
                    position: uint(row, "position")?,
                })
            },
        ),
        Kind::Follower => connection.one(
            "SELECT follower, holder, until FROM followers WHERE partition = ?1 AND follower = ?2",
            params![here, name],
            |row| {
                Ok(Record::Follower {
                    follower: row.get("follower")?,
                    holder: row.get("holder")?,
                    until: row.get("until")?,
                })
            },
        ),
        Kind::Lock => connection.one(
            "SELECT target, effect, run, since FROM locks WHERE target = ?1",
            [name],
            |row| {
                Ok(Record::Lock {
                    target: row.get("target")?,
                    effect: word(row, "effect")?,
                    run: word(row, "run")?,
                    since: row.get("since")?,
                })
            },
        ),
        Kind::Change => connection.one(
            "SELECT target, at FROM changes WHERE target = ?1",
            [name],
            |row| {
                Ok(Record::Change {
                    target: row.get("target")?,
                    at: row.get("at")?,
                })
            },
        ),
        Kind::Hold => hold(connection, name),
        Kind::Budget => budget(connection, name),
        Kind::Feed => connection.one(
            "SELECT last_position FROM feeds WHERE partition = ?1 AND last_position > 0",
            [here],
            |row| {
                Ok(Record::Feed {
                    last: uint(row, "last_position")?,
                })
            },
        ),
        Kind::Switches | Kind::Principal | Kind::Secret | Kind::Bundle => of_instance(connection, kind, name),
    }
}

fn alert(connection: &Connection, name: &str) -> Fallible<Option<Record>> {
    let sql = format!("SELECT {}, headers, body FROM alerts WHERE id = ?1", alerts::ROW);
    let read = |row: &Row<'_>| Ok((alerts::alert_row(row)?, json(row, "headers")?, row.get("body")?));
    let Some((row, headers, body)) = connection.one(&sql, [name], read)? else {
        return Ok(None);
    };
    let chain = journal::items(connection, ChainId::Alert(AlertId::clone(&row.id)))?;
    Ok(Some(Record::Alert {
        row,
        headers,
        body,
        chain,
    }))
}

fn run(connection: &Connection, name: &str) -> Fallible<Option<Record>> {
    let sql = format!(
        "SELECT {}, claim_until, woken_at FROM runs WHERE id = ?1",
        runs::ROW
    );
    let read = |row: &Row<'_>| Ok((runs::run_row(row)?, row.get("claim_until")?, row.get("woken_at")?));
    let Some((row, claim_until, woken_at)) = connection.one(&sql, [name], read)? else {
        return Ok(None);
    };
    let id: RunId = row.id;
    Ok(Some(Record::Run {
        chain: journal::items(connection, ChainId::Run(id))?,
        approvals: connection.all(
            "SELECT id, run, asked_at, open, state FROM approvals WHERE run = ?1 ORDER BY id",
            [name],
            approval_row,
        )?,
        votes: votes(connection, id)?,
        signals: signals::signals(connection, id)?,
        row,
        claim_until,
        woken_at,
    }))
}

fn claim(connection: &Connection, key: Digest) -> Fallible<Option<Record>> {
    let sql = "SELECT owner, until FROM claims WHERE key = ?1";
    let found: Option<(String, Time)> =
        connection.one(sql, [key], |row| Ok((row.get("owner")?, row.get("until")?)))?;
    let Some((owner, until)) = found else {
        return Ok(None);
    };
    let lost = connection.all(
        "SELECT asker FROM claims_lost WHERE key = ?1 ORDER BY asker",
        [key],
        |row| row.get("asker"),
    )?;
    Ok(Some(Record::Claim {
        key,
        owner,
        until,
        lost,
    }))
}

fn hold(connection: &Connection, name: &str) -> Fallible<Option<Record>> {
    let Some((key, facet)) = name.split_once('\u{1f}') else {
        return Ok(None);
    };
    let held = connection.one(
        "SELECT target, prior, undo FROM holds WHERE key = ?1 AND facet = ?2",
        [key, facet],
        |row| Ok((json(row, "target")?, json(row, "prior")?, json(row, "undo")?)),
    )?;
    let Some((target, prior, undo)) = held else {
        return Ok(None);
    };
    let holders = connection.all(
        "SELECT effect, run, since, until, tries, ending, seen, was_first FROM holders
         WHERE key = ?1 AND facet = ?2 ORDER BY place",
        [key, facet],
        |row| {
            Ok(HeldBy {
                holder: Holder {
                    effect: word(row, "effect")?,
                    run: word(row, "run")?,
                    since: row.get("since")?,
                    until: row.get("until")?,
                    tries: row.get("tries")?,
                    ending: row.get("ending")?,
                    seen: word_or_none(row, "seen")?,
                },
                first: row.get("was_first")?,
            })
        },
    )?;
    let left = connection.all(
        "SELECT effect, run, since FROM leavers WHERE key = ?1 AND facet = ?2 ORDER BY place",
        [key, facet],
        leaver,
    )?;
    Ok(Some(Record::Hold {
        target,
        facet: facet.to_owned(),
        prior,
        undo,
        holders,
        left,
    }))
}

/// Who let go of a hold, from a row.
pub(super) fn leaver(row: &Row<'_>) -> rusqlite::Result<Leaver> {
    Ok(Leaver {
        effect: word(row, "effect")?,
        run: word(row, "run")?,
        since: row.get("since")?,
    })
}

fn budget(connection: &Connection, name: &str) -> Fallible<Option<Record>> {
    let Some((scope, member)) = name.split_once('\u{1f}') else {
        return Ok(None);
    };
    connection.one(
        "SELECT scope, member, at FROM budgets WHERE scope = ?1 AND member = ?2",
        [scope, member],
        |row| {
            Ok(Record::Budget {
                scope: row.get("scope")?,
                member: row.get("member")?,
                at: row.get("at")?,
            })
        },
    )
}

fn of_instance(connection: &Connection, kind: Kind, name: &str) -> Fallible<Option<Record>> {
    match kind {
        Kind::Principal => connection.one(
            "SELECT name, token, created_at, created_by FROM principals WHERE name = ?1",
            [name],
            |row| {
                Ok(Record::Principal(Principal {
                    name: row.get("name")?,
                    token: row.get("token")?,
                    created_at: row.get("created_at")?,
                    created_by: row.get("created_by")?,
                }))
            },
        ),
        Kind::Secret => connection.one(
            "SELECT handle, sealed FROM secrets WHERE handle = ?1",
            [name],
            |row| {
                Ok(Record::Secret {
                    handle: row.get("handle")?,
                    sealed: row.get("sealed")?,
                })
            },
        ),
        Kind::Bundle => connection.one(
            "SELECT digest, bytes FROM bundles WHERE digest = ?1",
            [digest(name)?],
            |row| {
                Ok(Record::Bundle {
                    digest: row.get("digest")?,
                    bytes: row.get("bytes")?,
                })
            },
        ),
        _ => {
            let sql = "SELECT value FROM instance WHERE name = 'switches'";
            let switches: Option<Switches> = connection.one(sql, [], |row| json(row, "value"))?;
            let set = switches.filter(|switches| *switches != Switches::default());
            Ok::<_, Failure>(set.map(Record::Switches))
        }
    }
}
