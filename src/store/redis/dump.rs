//! Records out and in, and forgetting: the functions for it are not in the library yet, and each of these says so.

use async_trait::async_trait;

use super::RedisStore;
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::{AlertId, Partition, RunId};
use crate::store::dump::{Dump, Dumped, Kind, Mark, Record};
use crate::store::error::{Error, Result};
use crate::store::retention::{Bygone, Forgot, Retention, Swept};

fn not_yet<T>() -> Result<T> {
    Err(Error::Unavailable {
        why: "a store in Redis cannot be copied or cleaned up by this version".to_owned(),
    })
}

#[async_trait]
impl Dump for RedisStore {
    async fn dump(&self, _: Partition, _: Kind, _: Option<&str>, _: usize) -> Result<Dumped> {
        not_yet()
    }

    async fn restore(&self, _: Partition, _: Vec<Record>) -> Result<()> {
        not_yet()
    }

    async fn mark(&self) -> Result<Option<Mark>> {
        Ok(None)
    }

    async fn set_mark(&self, _: Option<Mark>) -> Result<()> {
        not_yet()
    }
}

#[async_trait]
impl Retention for RedisStore {
    async fn old_runs(
        &self,
        _: Partition,
        _: Time,
        _: Option<(Time, RunId)>,
        _: usize,
    ) -> Result<Vec<(Time, RunId)>> {
        not_yet()
    }

    async fn old_alerts(
        &self,
        _: Partition,
        _: Time,
        _: Option<(Time, AlertId)>,
        _: usize,
    ) -> Result<Vec<(Time, AlertId)>> {
        not_yet()
    }

    async fn forget_run(&self, _: Partition, _: RunId, _: Time, _: &[&str]) -> Result<Forgot> {
        not_yet()
    }

    async fn forget_alert(&self, _: Partition, _: AlertId, _: Time, _: &[&str]) -> Result<Forgot> {
        not_yet()
    }

    async fn sweep(&self, _: Partition, _: &Bygone, _: usize) -> Result<Swept> {
        not_yet()
    }

    async fn forget_bundle(&self, _: Digest) -> Result<()> {
        not_yet()
    }

    async fn bundles(&self) -> Result<Vec<Digest>> {
        not_yet()
    }
}
