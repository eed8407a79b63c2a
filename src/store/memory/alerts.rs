//! Deliveries and claims on keys, in memory.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use async_trait::async_trait;

use super::MemoryStore;
use super::part::Once;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition};
use crate::journal::{ChainId, Entry};
use crate::store::alerts::{Accepted, Alert, AlertRow, Alerts, Claimed, Disposition, NewAlert};
use crate::store::error::{Error, Result};
use crate::store::home;
use crate::store::place::Place;

#[async_trait]
impl Alerts for MemoryStore {
    async fn accept(&self, partition: Partition, alert: NewAlert) -> Result<Accepted> {
        let chain = ChainId::Alert(alert.id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, 0, std::slice::from_ref(&alert.entry))?;
        let mut part = self.part(partition)?;
        if let Some(known) = part.alerts.get_mut(&alert.id) {
            known.row.times = known.row.times.saturating_add(1);
            return Ok(Accepted::Repeat {
                times: known.row.times,
            });
        }
        if part.gone.contains_key(&chain) {
            return Ok(Accepted::Repeat {
                times: Accepted::OF_COLLECTED,
            });
        }
        let (len, last) = part.push(chain, vec![alert.entry]);
        let row = AlertRow {
            id: alert.id,
            source: alert.source,
            received_at: alert.received_at,
            times: 1,
            disposition: Disposition::Pending,
            len,
            last,
        };
        let kept = Alert {
            row,
            headers: alert.headers,
            body: alert.body,
        };
        part.alerts.insert(alert.id, kept);
        Ok(Accepted::New)
    }

    async fn unprocessed(&self, partition: Partition, limit: usize) -> Result<Vec<AlertId>> {
        let part = self.part(partition)?;
        let rows = part.alerts.values().map(|alert| &alert.row);
        let mut rows: Vec<&AlertRow> = rows
            .filter(|row| row.disposition == Disposition::Pending)
            .collect();
        rows.sort_by_cached_key(|row| (row.received_at, row.id.to_string()));
        Ok(rows.into_iter().take(limit).map(|row| row.id).collect())
    }

    async fn alert(&self, partition: Partition, id: AlertId) -> Result<Option<Alert>> {
        home::of_chain(partition, ChainId::Alert(id))?;
        Ok(self.part(partition)?.alerts.get(&id).cloned())
    }

    async fn dispose(
        &self,
        partition: Partition,
        id: AlertId,
        expected_len: u64,
        entries: Vec<Entry>,
        disposition: Disposition,
    ) -> Result<()> {
        let chain = ChainId::Alert(id);
        home::of_chain(partition, chain)?;
        home::of_entries(partition, chain, expected_len, &entries)?;
        let mut part = self.part(partition)?;
        if !part.alerts.contains_key(&id) {
            return Err(Error::Missing {
                what: format!("alert `{id}`"),
            });
        }
        if part.place(chain, expected_len, &entries)? == Place::There {
            return Ok(());
        }
        let (len, last) = part.push(chain, entries);
        if let Some(alert) = part.alerts.get_mut(&id) {
            alert.row.len = len;
            alert.row.last = last;
            alert.row.disposition = disposition;
        }
        Ok(())
    }

    async fn alerts(
        &self,
        partition: Partition,
        before: Option<Time>,
        disposition: Option<Disposition>,
        limit: usize,
    ) -> Result<Vec<AlertRow>> {
        let part = self.part(partition)?;
        let rows = part.alerts.values().map(|alert| &alert.row);
        let mut rows: Vec<&AlertRow> = rows
            .filter(|row| before.is_none_or(|before| row.received_at < before))
            .filter(|row| disposition.is_none_or(|disposition| row.disposition == disposition))
            .collect();
        rows.sort_by_cached_key(|row| Reverse((row.received_at, row.id.to_string())));
        Ok(rows.into_iter().take(limit).cloned().collect())
    }

    async fn claim_once(
        &self,
        partition: Partition,
        key: Digest,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<Claimed> {
        home::of_key(partition, &key)?;
        let mut part = self.part(partition)?;
        if let Some(claim) = part.claims.get_mut(&key).filter(|claim| claim.until > now) {
            if claim.owner == owner {
                return Ok(Claimed::Won);
            }
            claim.lost.insert(owner.to_owned());
            return Ok(Claimed::Lost {
                owner: claim.owner.clone(),
                times: claim.lost.len() as u64,
            });
        }
        let claim = Once {
            owner: owner.to_owned(),
            until,
            lost: BTreeSet::new(),
        };
        part.claims.insert(key, claim);
        Ok(Claimed::Won)
    }
}
