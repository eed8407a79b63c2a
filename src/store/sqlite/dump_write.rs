//! Records as rows: what was read from another store, put where it belongs here.

use rusqlite::{Connection, params};

use super::dump_read::record;
use super::failure::Fallible;
use super::row::{Ask as _, int, to_json, to_word};
use super::{approvals, journal, notices, signals, targets};
use crate::action::{Leaver, Reading, Target, Undo};
use crate::clock::Time;
use crate::id::Partition;
use crate::store::alerts::AlertRow;
use crate::store::dump::{HeldBy, Record};
use crate::store::error::Error;
use crate::store::feed::FeedItem;
use crate::store::runs::RunRow;

/// Puts a record where it belongs, unless it is there already.
pub(super) fn restore(connection: &Connection, partition: Partition, new: &Record) -> Fallible<()> {
    let kind = new.kind();
    let there = record(connection, partition, kind, &new.name())?;
    match (there, new) {
        (Some(there), new) if there == *new => return Ok(()),
        // The end of a feed comes after what is in it, which has moved it.
        (Some(Record::Feed { last: there }), Record::Feed { last }) if *last > there => {}
        (Some(_), new) => {
            return Err(Error::Occupied {
                what: format!("record of the {} named `{}`", kind.word(), new.name()),
            }
            .into());
        }
        (None, _) => {}
    }
    put(connection, partition, new)
}

fn put(connection: &Connection, partition: Partition, new: &Record) -> Fallible<()> {
    let here = partition.index();
    match new {
        Record::Alert {
            row,
            headers,
            body,
            chain,
        } => put_alert(connection, partition, (row, headers, body), chain)?,
        Record::Run {
            row,
            claim_until,
            woken_at,
            chain,
            approvals: requests,
            votes,
            signals: words,
        } => {
            put_run(connection, partition, row, (*claim_until, *woken_at), chain)?;
            for request in requests {
                approvals::put(connection, partition, request)?;
            }
            for (approval, vote) in votes {
                approvals::keep_vote(connection, partition, row.id, *approval, vote)?;
            }
            for word in words {
                signals::keep(connection, partition, word)?;
            }
        }
        Record::Gone { chain, at } => {
            let sql = "INSERT INTO gone (chain, partition, at) VALUES (?1, ?2, ?3)";
            connection.run(sql, params![chain.to_string(), here, at])?;
        }
        Record::Claim {
            key,
            owner,
            until,
            lost,
        } => {
            connection.run(
                "INSERT INTO claims (key, partition, owner, until) VALUES (?1, ?2, ?3, ?4)",
                params![key, here, owner, until],
            )?;
            for asker in lost {
                let sql = "INSERT INTO claims_lost (key, asker) VALUES (?1, ?2)";
                connection.run(sql, params![key, asker])?;
            }
        }
        Record::Notice(notice) => {
            notices::write(connection, partition, notice, "")?;
        }
        Record::Cursor { follower, position } => {
            let sql = "INSERT INTO cursors (partition, follower, position) VALUES (?1, ?2, ?3)";
            connection.run(sql, params![here, follower, int(*position)])?;
        }
        Record::Follower {
            follower,
            holder,
            until,
        } => {
            let sql = "INSERT INTO followers (partition, follower, holder, until) VALUES (?1, ?2, ?3, ?4)";
            connection.run(sql, params![here, follower, holder, until])?;
        }
        Record::Lock {
            target,
            effect,
            run,
            since,
        } => {
            let sql = "INSERT INTO locks (target, partition, effect, run, since) VALUES (?1, ?2, ?3, ?4, ?5)";
            connection.run(
                sql,
                params![target, here, effect.to_string(), run.to_string(), since],
            )?;
        }
        Record::Change { target, at } => {
            let sql = "INSERT INTO changes (target, partition, at) VALUES (?1, ?2, ?3)";
            connection.run(sql, params![target, here, at])?;
        }
        Record::Hold {
            target,
            facet,
            prior,
            undo,
            holders,
            left,
        } => put_hold(
            connection,
            partition,
            (target, facet),
            (prior, undo),
            (holders, left),
        )?,
        Record::Budget { scope, member, at } => {
            let sql = "INSERT INTO budgets (scope, member, partition, at) VALUES (?1, ?2, ?3, ?4)";
            connection.run(sql, params![scope, member, here, at])?;
        }
        Record::Feed { last } => journal::move_end(connection, partition, *last)?,
        Record::Switches(_) | Record::Principal(_) | Record::Secret { .. } | Record::Bundle { .. } => {
            put_of_instance(connection, new)?;
        }
    }
    Ok(())
}

fn put_alert(
    connection: &Connection,
    partition: Partition,
    (row, headers, body): (&AlertRow, &[(String, String)], &[u8]),
    chain: &[FeedItem],
) -> Fallible<()> {
    journal::put_items(connection, partition, chain)?;
    connection.run(
        "INSERT INTO alerts (id, partition, source, received_at, times, disposition, len, last, headers, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            row.id.to_string(),
            partition.index(),
            row.source,
            row.received_at,
            int(row.times),
            to_word(&row.disposition)?,
            int(row.len),
            row.last,
            to_json(&headers)?,
            body,
        ],
    )?;
    Ok(())
}

fn put_run(
    connection: &Connection,
    partition: Partition,
    row: &RunRow,
    (claim_until, woken_at): (Option<Time>, Option<Time>),
    chain: &[FeedItem],
) -> Fallible<()> {
    journal::put_items(connection, partition, chain)?;
    connection.run(
        "INSERT INTO runs (id, partition, playbook, title, subject, cause, severity_id, status, ended_as, started_at,
                           updated_at, waits_for, wake_at, woken_at, epoch, worker, claim_until, len, last)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            row.id.to_string(),
            partition.index(),
            row.playbook,
            row.title,
            row.subject,
            row.cause,
            row.severity_id.0,
            to_word(&row.status)?,
            row.end.as_ref().map(to_word).transpose()?,
            row.started_at,
            row.updated_at,
            row.waits_for,
            row.wake_at,
            woken_at,
            int(row.epoch),
            row.worker,
            claim_until,
            int(row.len),
            row.last,
        ],
    )?;
    Ok(())
}

fn put_hold(
    connection: &Connection,
    partition: Partition,
    (target, facet): (&Target, &str),
    (prior, undo): (&Reading, &Option<Undo>),
    (shares, left): (&[HeldBy], &[Leaver]),
) -> Fallible<()> {
    let key = target.key();
    connection.run(
        "INSERT INTO holds (key, facet, partition, target, prior, undo) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            key,
            facet,
            partition.index(),
            to_json(target)?,
            to_json(prior)?,
            to_json(undo)?,
        ],
    )?;
    for (place, share) in (1_i64..).zip(shares) {
        let holder = &share.holder;
        connection.run(
            "INSERT INTO holders (key, facet, effect, partition, place, was_first, run, since, until, tries, ending, seen)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                key,
                facet,
                holder.effect.to_string(),
                partition.index(),
                place,
                share.first,
                holder.run.to_string(),
                holder.since,
                holder.until,
                holder.tries,
                holder.ending,
                holder.seen.as_ref().map(to_word).transpose()?,
            ],
        )?;
    }
    for leaver in left {
        targets::note_leaver(connection, partition, (&key, facet), leaver)?;
    }
    Ok(())
}

fn put_of_instance(connection: &Connection, new: &Record) -> Fallible<()> {
    match new {
        Record::Switches(switches) => connection.run(
            "INSERT INTO instance (name, value) VALUES ('switches', ?1)
             ON CONFLICT DO UPDATE SET value = excluded.value",
            [to_json(switches)?],
        )?,
        Record::Principal(principal) => connection.run(
            "INSERT INTO principals (name, token, created_at, created_by) VALUES (?1, ?2, ?3, ?4)",
            params![
                principal.name,
                principal.token,
                principal.created_at,
                principal.created_by
            ],
        )?,
        Record::Secret { handle, sealed } => connection.run(
            "INSERT INTO secrets (handle, sealed) VALUES (?1, ?2)",
            params![handle, sealed],
        )?,
        Record::Bundle { digest, bytes } => connection.run(
            "INSERT INTO bundles (digest, bytes) VALUES (?1, ?2)",
            params![digest, bytes],
        )?,
        _ => 0,
    };
    Ok(())
}
