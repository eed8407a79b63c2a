//! The connections that read. A read that begins after a write was answered sees it, because the write was
//! committed before its answer and every read begins a transaction of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::failure::Fallible;
use super::open;
use crate::store::error::{Error, Result};

/// A pool of read-only connections.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

fn gone(why: impl std::fmt::Display) -> Error {
    Error::Unavailable {
        why: format!("a read did not finish: {why}"),
    }
}

impl Readers {
    /// A pool of at most `count` connections to the database at `path`.
    pub(super) fn new(path: PathBuf, count: usize) -> Readers {
        Readers {
            path,
            permits: Arc::new(Semaphore::new(count.max(1))),
            idle: Arc::default(),
        }
    }

    /// Runs `work` in one read transaction on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Fallible<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(gone)?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || {
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = known.map_or_else(|| open::reader(&path), Ok)?;
            let answer = in_snapshot(&connection, work)?;
            // Only a connection that answered goes back; a failed one is opened anew.
            idle.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            drop(permit);
            Ok(answer)
        });
        done.await
            .map_err(gone)?
            .map_err(super::failure::Failure::into_error)
    }
}

fn in_snapshot<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Fallible<T>) -> Fallible<T> {
    let snapshot = connection.unchecked_transaction()?;
    let answer = work(&snapshot)?;
    snapshot.commit()?;
    Ok(answer)
}
