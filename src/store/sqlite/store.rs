//! The handle others hold: sends writes to the writer thread and reads to the readers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::failure::{Failure, Fallible};
use super::job::{Job, Operation, Weight};
use super::open::{self, Options};
use super::readers::Readers;
use super::writer::{Told, Writer};
use super::{runs, schema};
use crate::clock::{Clock, SystemClock, Time};
use crate::store::error::{Error, Result};
use crate::store::targets::in_time;

/// Everything durable, in one SQLite file that this process alone owns.
pub struct SqliteStore {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    queue_max: usize,
    thread: Option<JoinHandle<()>>,
    readers: Readers,
    path: PathBuf,
    told: Arc<Told>,
    clock: Arc<dyn Clock>,
    /// Held to the end; the lock goes when the file is closed.
    _lock: File,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the database at `path`, making it when there is none, and starts its writer thread. Blocks for
    /// a few disk writes. Claims of earlier processes are given back: they are dead, since one process alone
    /// owns the file, and nobody need wait for the claims to end. Refuses a file that another process owns (`Unavailable`), that belongs to another
    /// program (`Corrupt`), or whose schema is newer than ours (`Schema`).
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<SqliteStore> {
        SqliteStore::open_with_clock(path, options, Arc::new(SystemClock))
    }

    /// The same, with a present of its own.
    pub fn open_with_clock(
        path: impl AsRef<Path>,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<SqliteStore> {
        let path = path.as_ref();
        let lock = open::own(path)?;
        open::make(path)?;
        let prepared = open::writer(path).and_then(|mut connection| {
            schema::prepare(&mut connection)?;
            runs::release_all(&connection)?;
            open::bound(&connection, options.pages_max)?;
            Ok(connection)
        });
        let connection = prepared.map_err(Failure::into_error)?;
        let told = Told::new();
        let (queue, jobs) = mpsc::channel(options.queue_max.max(1));
        let writer = Writer {
            connection,
            queue: jobs,
            told: Arc::clone(&told),
            wal: open::wal_of(path),
            checkpointed_at: 0,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::Unavailable {
                why: format!("the writer thread does not start: {error}"),
            })?;
        Ok(SqliteStore {
            queue: Some(queue),
            queue_max: options.queue_max.max(1),
            thread: Some(thread),
            readers: Readers::new(path.to_owned(), options.readers),
            path: path.to_owned(),
            told,
            clock,
            _lock: lock,
        })
    }

    /// The database file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits so far. Fewer than operations when callers shared them.
    pub fn commits(&self) -> u64 {
        self.told.commits.load(Ordering::Relaxed)
    }

    /// Operations that were part of a commit so far, refused ones counted.
    pub fn operations(&self) -> u64 {
        self.told.operations.load(Ordering::Relaxed)
    }

    /// Why the store cannot be used any more, once the disk has failed; `None` until then. Whoever runs the
    /// process watches this and stops it: only a restart, which reads what is really on the disk, helps.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.told.fatal.subscribe()
    }

    /// Runs `work` in the next group and answers after its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        weight: Weight,
        work: impl FnOnce(&Connection) -> Fallible<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Box<dyn Job> = Box::new(Operation::new(weight, work, reply));
        let gone = || Error::Unavailable {
            why: "the writer thread is gone".to_owned(),
        };
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy {
                waiting: self.queue_max,
            },
            TrySendError::Closed(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }

    /// The same for what changes locks or holds: refuses it where its turn comes too late.
    pub(super) async fn write_before<T: Send + 'static>(
        &self,
        before: Time,
        work: impl FnOnce(&Connection) -> Fallible<T> + Send + 'static,
    ) -> Result<T> {
        let clock = Arc::clone(&self.clock);
        self.write(Weight::Durable, move |connection| {
            in_time(before, clock.now())?;
            work(connection)
        })
        .await
    }

    /// Runs `work` on a reading connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Fallible<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.read(work).await
    }
}

/// What was committed is on the disk.
impl crate::store::Losses for SqliteStore {}

impl Drop for SqliteStore {
    /// Lets the writer finish what it was given, so that the file can be opened again at once.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panicked writer has poisoned the store already, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
