//! Deliveries are kept once and counted; a claim on a key is its first owner's until it ends.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use cordon::clock::Time;
use cordon::id::{AlertId, Partition};
use cordon::journal::ChainId;
use cordon::store::{Accepted, Alert, AlertRow, Claimed, Disposition, Result};

use super::super::op::Piece;
use super::super::things;
use super::{Fate, Once, Reference, lives, missing, numbered};

impl Reference {
    pub(super) fn accept(&mut self, partition: Partition, n: usize, at: i64) -> Result<Accepted> {
        let new = things::new_alert(n, at);
        lives(partition, new.id.partition())?;
        if let Some(known) = self.alerts.iter_mut().find(|known| known.row.id == new.id) {
            known.row.times += 1;
            let times = known.row.times;
            return Ok(Accepted::Repeat { times });
        }
        self.alerts.push(Alert {
            row: AlertRow {
                id: new.id,
                source: new.source,
                received_at: new.received_at,
                times: 1,
                disposition: Disposition::Pending,
                len: 1,
                last: new.entry.digest,
            },
            headers: new.headers,
            body: new.body,
        });
        self.entries.push(new.entry);
        Ok(Accepted::New)
    }

    pub(super) fn dispose(
        &mut self,
        partition: Partition,
        n: usize,
        len: u64,
        pieces: &[Piece],
        to: Disposition,
    ) -> Result<()> {
        let id = things::alert(n);
        let chain = ChainId::Alert(id);
        lives(partition, id.partition())?;
        let entries = things::entries(chain, pieces);
        numbered(chain, len, &entries)?;
        if !self.alerts.iter().any(|known| known.row.id == id) {
            return Err(missing());
        }
        if let Fate::Already = self.place_entries(chain, len, &entries)? {
            return Ok(());
        }
        let row = &mut self
            .alerts
            .iter_mut()
            .find(|known| known.row.id == id)
            .unwrap()
            .row;
        row.disposition = to;
        row.len += entries.len() as u64;
        row.last = entries.last().map_or(row.last, |entry| entry.digest);
        self.entries.extend(entries);
        Ok(())
    }

    pub(super) fn claim_once(
        &mut self,
        partition: Partition,
        n: usize,
        owner: usize,
        now: Time,
        until: Time,
    ) -> Result<Claimed> {
        let (key, owner) = (things::key(n), things::name(owner));
        lives(partition, Partition::of(&key))?;
        let in_force = self.once.get_mut(&key).filter(|claim| claim.until > now);
        let Some(claim) = in_force else {
            let others = BTreeSet::new();
            self.once.insert(key, Once { owner, until, others });
            return Ok(Claimed::Won);
        };
        if claim.owner == owner {
            return Ok(Claimed::Won);
        }
        claim.others.insert(owner);
        Ok(Claimed::Lost {
            owner: claim.owner.clone(),
            times: claim.others.len() as u64,
        })
    }

    pub(super) fn unprocessed(&self, partition: Partition, limit: usize) -> Result<Vec<AlertId>> {
        let mut rows = self.alert_rows(partition);
        rows.retain(|row| row.disposition == Disposition::Pending);
        rows.sort_by_key(|row| (row.received_at, row.id.to_string()));
        Ok(rows.into_iter().take(limit).map(|row| row.id).collect())
    }

    pub(super) fn alert(&self, partition: Partition, n: usize) -> Result<Option<Alert>> {
        let id = things::alert(n);
        lives(partition, id.partition())?;
        Ok(self.alerts.iter().find(|known| known.row.id == id).cloned())
    }

    pub(super) fn list_alerts(
        &self,
        partition: Partition,
        before: Option<Time>,
        disposition: Option<Disposition>,
        limit: usize,
    ) -> Result<Vec<AlertRow>> {
        let mut rows = self.alert_rows(partition);
        rows.retain(|row| before.is_none_or(|before| row.received_at < before));
        rows.retain(|row| disposition.is_none_or(|wanted| row.disposition == wanted));
        rows.sort_by_key(|row| Reverse((row.received_at, row.id.to_string())));
        rows.truncate(limit);
        Ok(rows)
    }

    pub(super) fn alert_rows(&self, partition: Partition) -> Vec<AlertRow> {
        let rows = self.alerts.iter().map(|alert| alert.row.clone());
        rows.filter(|row| row.id.partition() == partition).collect()
    }
}
