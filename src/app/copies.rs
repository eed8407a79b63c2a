//! Stores that are opened without a server: to be filled from a backup, or to be moved. And what keeps a store that is
//! not whole, or that went elsewhere, from being served.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use super::serve::open;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, StoreUrl};
use crate::id::Partition;
use crate::limits::DUMP_PAGE;
use crate::store::{Mark, Record, Store};
use crate::upkeep::{self, BackupFile, CannotCopy, Contents, NOT_SERVED, Told};

/// A store that no server works on.
pub struct AtRest {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What it is called, without a password.
    pub name: String,
    /// What to know about the key that seals its secrets.
    pub about_key: String,
}

/// Opens a store for as long as it is copied from or into.
///
/// # Errors
/// It cannot be opened, such as when a server holds it.
pub async fn open_at_rest(config: &Config, url: &StoreUrl) -> anyhow::Result<AtRest> {
    let about_key = about_key(url);
    let opened = open(url, config).await?;
    Ok(AtRest {
        store: opened.store,
        name: name(url),
        about_key,
    })
}

/// A store's address, without a password.
fn name(url: &StoreUrl) -> String {
    match url {
        StoreUrl::Memory => "memory:".to_owned(),
        StoreUrl::Sqlite(path) => {
            // The same file is the same store, from whatever folder the command is repeated.
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            format!("sqlite:{}", path.display())
        }
        StoreUrl::Redis(address) => address.to_string(),
    }
}

/// Said before the store is opened, because opening makes a key where there is none.
fn about_key(url: &StoreUrl) -> String {
    match url {
        StoreUrl::Memory => "a store in memory is gone with the process".to_owned(),
        StoreUrl::Redis(_) => {
            "the key that seals secrets is what `[store] key` names, on every node; sealed secrets open with the key they \
             were sealed with and no other (32 bytes of a `cordon.key` can be given as they are)"
                .to_owned()
        }
        StoreUrl::Sqlite(path) => {
            let key = path.with_extension("key");
            let there = if key.exists() { "is there" } else { "was NOT there, so a new one was made" };
            format!(
                "the key that seals secrets is `{}`, which {there}; sealed secrets open with the key they were sealed \
                 with and no other: put that one there before you serve",
                key.display()
            )
        }
    }
}

/// Refuses to serve a store that is not whole, or that went elsewhere.
pub(super) async fn may_be_served(store: &dyn Store) -> anyhow::Result<()> {
    match store.mark().await.context("failed to look at the store")? {
        None => Ok(()),
        Some(Mark::Moved { to, at }) => {
            bail!(
                "{NOT_SERVED}: this store was moved to {to} at {at}: serve that one; what happened since is there"
            )
        }
        Some(Mark::Filling { from, at }) => bail!(
            "{NOT_SERVED}: this store was begun to be filled from {from} at {at} and is not whole: repeat the `cordon restore` or \
             `cordon store migrate`, or begin again with an empty store"
        ),
    }
}

/// Fills a store from a backup that was read and found whole; `false` when it holds that already.
///
/// # Errors
/// The store holds something else, or cannot do it.
pub async fn restore(
    store: &dyn Store,
    path: &Path,
    read: &BackupFile,
    told: Told<'_>,
) -> anyhow::Result<bool> {
    let from = format!("the backup with sha256 {}", read.sha256);
    let now = SystemClock.now();
    if !upkeep::fill(store, &from, &read.contents, now, told).await? {
        return Ok(false);
    }
    let file = File::open(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    let (out, records) = mpsc::channel::<(Partition, Record)>(DUMP_PAGE);
    let give = tokio::task::spawn_blocking(move || {
        BackupFile::read(BufReader::new(file), |partition, record| {
            out.blocking_send((partition, record))
                .map_err(|_| std::io::Error::other("nobody takes records any more"))
        })
    });
    let taken = upkeep::copy(store, records, told).await;
    let given = give.await.context("failed to read the backup")?;
    taken?;
    let again = given.context("the backup cannot be read a second time")?;
    if again != *read {
        bail!(
            "the backup was changed while it was restored: it was not trusted, repeat with one that nobody writes to"
        );
    }
    upkeep::end_copy(store, &read.contents, told).await?;
    Ok(true)
}

/// Moves everything from one store to another.
///
/// # Errors
/// Why nothing, or not everything, was moved.
pub async fn migrate(from: &AtRest, to: &AtRest, told: Told<'_>) -> Result<Contents, anyhow::Error> {
    let now = SystemClock.now();
    let moved: Result<Contents, CannotCopy> =
        upkeep::move_all((&*from.store, &from.name), (&*to.store, &to.name), now, told).await;
    Ok(moved?)
}
