//! The writer thread: takes whatever waits, runs it in one transaction, commits once, and only then answers.
//! It alone writes and checkpoints. It never waits for more work while one caller is alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, watch};

use super::failure::{Failure, Fallible, Reach};
use super::job::{Job, Weight};
use super::open::WAL_BYTES_KEPT;
use crate::crash;
use crate::limits::GROUP_COMMIT_MAX;
use crate::store::error::Error;

/// Rows changed after which the log is copied into the database.
const CHECKPOINT_AFTER_CHANGES: u64 = 2_000;
/// How long the writer lets the callers of a shared commit come back with their next operation. Without it
/// the first to come back would get a commit of its own and the rest would wait for it.
const GATHER: Duration = Duration::from_micros(100);

/// What the writer tells others.
#[derive(Debug)]
pub(super) struct Told {
    /// Commits so far.
    pub(super) commits: AtomicU64,
    /// Operations committed so far.
    pub(super) operations: AtomicU64,
    /// Why the store is unusable, once it is.
    pub(super) fatal: watch::Sender<Option<String>>,
}

impl Told {
    pub(super) fn new() -> Arc<Told> {
        Arc::new(Told {
            commits: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            fatal: watch::Sender::new(None),
        })
    }

    /// Marks the store unusable for good; the first reason stays.
    fn poison(&self, why: String) {
        self.fatal.send_if_modified(|fatal| {
            let first = fatal.is_none();
            if first {
                *fatal = Some(why);
            }
            first
        });
    }

    fn poisoned(&self) -> Option<Error> {
        let fatal = self.fatal.borrow();
        fatal.as_ref().map(|why| Error::Unavailable {
            why: format!("{why}; nothing is written any more, restart cordon once the disk is sound"),
        })
    }
}

/// The state of the writer thread.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) queue: mpsc::Receiver<Box<dyn Job>>,
    pub(super) told: Arc<Told>,
    pub(super) wal: PathBuf,
    pub(super) checkpointed_at: u64,
}

/// Poisons the store when the thread ends by a panic, so that nobody waits for a writer that is gone.
struct Guard(Arc<Told>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer thread ended unexpectedly".to_owned());
        }
    }
}

impl Writer {
    /// Works until every sender of the queue is gone.
    pub(super) fn run(mut self) {
        let _guard = Guard(Arc::clone(&self.told));
        let mut group: Vec<Box<dyn Job>> = Vec::with_capacity(GROUP_COMMIT_MAX);
        let mut last_group = 0;
        while let Some(first) = self.queue.blocking_recv() {
            group.push(first);
            self.gather(&mut group, last_group);
            last_group = group.len();
            let outcome = self.told.poisoned().map_or_else(|| self.commit(&mut group), Err);
            let error = outcome.err();
            for job in group.drain(..) {
                job.answer(error.as_ref());
            }
            self.checkpoint_if_due();
        }
    }

    /// Takes what waits, and after a shared commit gives its callers a moment to come back.
    fn gather(&mut self, group: &mut Vec<Box<dyn Job>>, last_group: usize) {
        if last_group > 1 {
            let begun = Instant::now();
            while self.queue.len().saturating_add(1) < last_group && begun.elapsed() < GATHER {
                std::thread::yield_now();
            }
        }
        while group.len() < GROUP_COMMIT_MAX {
            match self.queue.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
    }

    /// Runs a group and commits it, or leaves nothing of it.
    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), Error> {
        let durable = group.iter().any(|job| job.weight() == Weight::Durable);
        let done = self.transact(group, durable);
        if let Err(failure) = done {
            if !self.connection.is_autocommit() {
                // The transaction is void whether or not this is heard: nothing of it was committed.
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            return Err(self.judge(failure));
        }
        self.told.commits.fetch_add(1, Ordering::Relaxed);
        self.told
            .operations
            .fetch_add(group.len() as u64, Ordering::Relaxed);
        if durable {
            crash::point("store.after-commit");
        }
        Ok(())
    }

    fn transact(&self, group: &mut [Box<dyn Job>], durable: bool) -> Fallible<()> {
        self.statement("BEGIN IMMEDIATE")?;
        for job in group {
            self.statement("SAVEPOINT operation")?;
            match job.run(&self.connection) {
                Ok(true) => {}
                Ok(false) => self.statement("ROLLBACK TO operation")?,
                Err(failure) if failure.reach() == Reach::Operation && !self.connection.is_autocommit() => {
                    self.statement("ROLLBACK TO operation")?;
                    job.fail(failure.into_error());
                }
                Err(failure) => return Err(failure),
            }
            self.statement("RELEASE operation")?;
        }
        if durable {
            crash::point("store.before-commit");
        }
        self.statement("COMMIT")
    }

    fn statement(&self, sql: &str) -> Fallible<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// What the callers of a failed group are told; a failure of the disk ends all writing.
    fn judge(&self, failure: Failure) -> Error {
        let reach = failure.reach();
        let error = failure.into_error();
        if reach != Reach::Store {
            return error;
        }
        tracing::error!(error = %error, "the store cannot write any more");
        self.told.poison(error.to_string());
        self.told.poisoned().unwrap_or(error)
    }

    /// Copies the log into the database now and then, after the answers, so that no caller waits for it.
    fn checkpoint_if_due(&mut self) {
        let changes = self.connection.total_changes();
        let due = changes.saturating_sub(self.checkpointed_at) >= CHECKPOINT_AFTER_CHANGES
            || std::fs::metadata(&self.wal).is_ok_and(|wal| wal.len() > WAL_BYTES_KEPT);
        if !due || self.told.fatal.borrow().is_some() {
            return;
        }
        self.checkpointed_at = changes;
        let done = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            // No room, or a reader in the way: everything is in the log still, and a later one makes it good.
            let passes = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            if passes {
                tracing::warn!(error = %error, "a checkpoint of the store did not finish");
            } else {
                self.judge(error.into());
            }
        }
    }
}
