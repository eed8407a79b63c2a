//! The one check every back end makes first: does the thing live in the partition that the operation names. A
//! back end that let one through would work on one node and not on a cluster.

use std::fmt::Display;

use super::approvals::ApprovalRow;
use super::dump::Record;
use super::error::{Error, Result};
use super::feed::FeedItem;
use super::notices::Notice;
use crate::digest::Digest;
use crate::id::{ApprovalId, Partition};
use crate::journal::{ChainId, Entry};

/// Refuses `what` when its home is not `partition`.
fn at(partition: Partition, what: impl Display, home: Partition) -> Result<()> {
    if home == partition {
        Ok(())
    } else {
        Err(Error::WrongPartition {
            what: what.to_string(),
            partition: partition.index(),
        })
    }
}

/// Refuses an alert or a run, or its chain, that lives elsewhere.
pub(super) fn of_chain(partition: Partition, chain: ChainId) -> Result<()> {
    at(partition, chain, chain.partition())
}

/// Refuses a request for approval that lives elsewhere.
pub(super) fn of_approval(partition: Partition, approval: ApprovalId) -> Result<()> {
    at(partition, approval, approval.partition())
}

/// Refuses requests of which one lives elsewhere.
pub(super) fn of_approvals(partition: Partition, rows: &[ApprovalRow]) -> Result<()> {
    rows.iter().try_for_each(|row| of_approval(partition, row.id))
}

/// Refuses a target that lives elsewhere.
pub(super) fn of_target(partition: Partition, target: &str) -> Result<()> {
    at(
        partition,
        format_args!("target `{target}`"),
        Partition::of_text(target),
    )
}

/// Refuses a budget that lives elsewhere.
pub(super) fn of_scope(partition: Partition, scope: &str) -> Result<()> {
    at(
        partition,
        format_args!("budget `{scope}`"),
        Partition::of_text(scope),
    )
}

/// Refuses a claim key that lives elsewhere.
pub(super) fn of_key(partition: Partition, key: &Digest) -> Result<()> {
    at(
        partition,
        format_args!("claim key {}", key.short()),
        Partition::of(key),
    )
}

/// Refuses notices whose group lives elsewhere.
pub(super) fn of_notices(partition: Partition, notices: &[Notice]) -> Result<()> {
    for notice in notices {
        at(
            partition,
            format_args!("notice `{}`", notice.key),
            Partition::of(&notice.group),
        )?;
    }
    Ok(())
}

/// Refuses a record that lives elsewhere, or whose chain does not begin at 0 and count up to the length its row says.
pub(super) fn of_record(partition: Partition, record: &Record) -> Result<()> {
    match record {
        Record::Alert { row, chain, .. } => {
            whole(partition, ChainId::Alert(row.id), (row.len, row.last), chain)
        }
        Record::Run {
            row,
            chain,
            approvals,
            votes,
            ..
        } => {
            whole(partition, ChainId::Run(row.id), (row.len, row.last), chain)?;
            of_approvals(partition, approvals)?;
            votes.iter().try_for_each(|(of, _)| of_approval(partition, *of))
        }
        Record::Gone { chain, .. } => of_chain(partition, *chain),
        Record::Claim { key, .. } => of_key(partition, key),
        Record::Notice(notice) => of_notices(partition, std::slice::from_ref(notice)),
        Record::Cursor { .. } | Record::Follower { .. } | Record::Feed { .. } => Ok(()),
        Record::Lock { target, .. } | Record::Change { target, .. } => of_target(partition, target),
        Record::Hold { target, .. } => of_target(partition, &target.key()),
        Record::Budget { scope, .. } => of_scope(partition, scope),
        Record::Switches(_) | Record::Principal(_) | Record::Secret { .. } | Record::Bundle { .. } => at(
            partition,
            format_args!("what belongs to the instance (`{}`)", record.name()),
            Partition::CONTROL,
        ),
    }
}

fn whole(partition: Partition, chain: ChainId, (len, last): (u64, Digest), items: &[FeedItem]) -> Result<()> {
    of_chain(partition, chain)?;
    let broken = |why: &str| Error::Corrupt {
        why: format!("the record of `{chain}`: {why}"),
    };
    for (seq, item) in (0_u64..).zip(items) {
        if item.entry.chain != chain || item.entry.seq != seq {
            return Err(broken("its chain has an entry out of place"));
        }
    }
    if items.len() as u64 != len || items.last().map(|item| item.entry.digest) != Some(last) {
        return Err(broken("its chain ends elsewhere than its row says"));
    }
    Ok(())
}

/// Refuses entries that do not live in `partition`, are of another chain than `chain`, or do not count up by
/// one from `first`.
pub(super) fn of_entries(partition: Partition, chain: ChainId, first: u64, entries: &[Entry]) -> Result<()> {
    for entry in entries {
        of_chain(partition, entry.chain)?;
    }
    for (seq, entry) in (first..).zip(entries) {
        if entry.chain != chain || entry.seq < seq {
            return Err(Error::Conflict {
                chain: chain.to_string(),
                seq: entry.seq,
            });
        }
        if entry.seq > seq {
            return Err(Error::Gap {
                chain: chain.to_string(),
                len: seq,
                seq: entry.seq,
            });
        }
    }
    Ok(())
}
