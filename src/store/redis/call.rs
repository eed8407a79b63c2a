//! What every operation does: call one function and read its answer.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::RedisStore;
use super::answer::Answer;
use super::args::Args;
use crate::id::Partition;
use crate::store::error::{Error, Result};

/// Most rows that one call lists, whatever the limit: what is answered at once must fit in memory on both sides.
const ROWS_MAX: usize = 10_000;
/// Rows that one call answers or works on where the caller goes on by itself until it has all.
pub(super) const PAGE: usize = 500;

/// Begins each process's names of calls where no other does.
static BEGUN: LazyLock<std::result::Result<u64, String>> = LazyLock::new(|| {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(u64::from_le_bytes(bytes))
});
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A name for one call that no other has, so that the server knows a call that is sent again because its answer was lost.
pub(super) fn ask() -> Result<String> {
    let begun = BEGUN
        .as_ref()
        .map_err(|why| Error::Unavailable { why: why.clone() })?;
    Ok(format!("{begun:016x}.{}", CALLS.fetch_add(1, Ordering::Relaxed)))
}

/// A limit of rows.
pub(super) fn rows(limit: usize) -> usize {
    limit.min(ROWS_MAX)
}

impl RedisStore {
    pub(super) async fn write(
        &self,
        partition: Partition,
        function: &'static str,
        args: Args,
    ) -> Result<Answer> {
        Answer::of(self.link().write(partition, function, args.into_vec()).await?)
    }

    pub(super) async fn read(
        &self,
        partition: Partition,
        function: &'static str,
        args: Args,
    ) -> Result<Answer> {
        Answer::of(self.link().read(partition, function, args.into_vec()).await?)
    }
}
