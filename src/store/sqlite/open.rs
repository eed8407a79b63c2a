//! How a database file is opened: by one process, for one user, with settings under which an acknowledged
//! commit is on the disk.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::failure::Fallible;
use crate::limits;
use crate::store::error::{Error, Result};

/// How the store is run. The defaults are right for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Writers that may wait before the store answers [`Error::Busy`].
    pub queue_max: usize,
    /// Reads that go on at once; each has a connection of its own, opened when first needed.
    pub readers: usize,
    /// Largest size of the database, in pages of 4096 bytes; `None` leaves it to the disk. Past it the store
    /// answers [`Error::Full`].
    pub pages_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            queue_max: limits::STORE_QUEUE_MAX,
            readers: 4,
            pages_max: None,
        }
    }
}

/// The write-ahead log is cut back to this when it starts again, bytes.
pub(super) const WAL_BYTES_KEPT: u64 = 64 << 20;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// The write-ahead log of a database.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn unavailable(path: &Path, what: &str, error: &io::Error) -> Error {
    Error::Unavailable {
        why: format!("`{}` {what}: {error}", path.display()),
    }
}

fn ours_alone(path: &Path, options: &mut OpenOptions) -> Result<File> {
    options
        .mode(0o600)
        .open(path)
        .map_err(|error| unavailable(path, "cannot be opened", &error))
}

/// Takes the lock that makes this process the only owner of the database; it is held until the file is
/// dropped, and a crash gives it back.
pub(super) fn own(path: &Path) -> Result<File> {
    let lock = beside(path, ".lock");
    let file = ours_alone(&lock, OpenOptions::new().create(true).truncate(false).write(true))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unavailable {
            why: format!(
                "another process holds `{}`: stop the other cordon, or name another file in `[store]`",
                lock.display()
            ),
        }),
        Err(TryLockError::Error(error)) => Err(unavailable(&lock, "cannot be locked", &error)),
    }
}

/// Makes the database file, readable by this user only, when there is none. SQLite gives its other files the
/// same mode. Afterwards its name survives a crash.
pub(super) fn make(path: &Path) -> Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(unavailable(path, "cannot be made", &error)),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| unavailable(folder, "cannot be synced", &error))
}

/// What a database takes, and the room of its file system, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Database and log.
    pub(super) used: u64,
    /// The file system.
    pub(super) total: u64,
    /// What is free on it for users other than root.
    pub(super) free: u64,
}

/// Looks at the disk.
pub(super) fn room(path: &Path) -> Result<Room> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let system = rustix::fs::statvfs(path)
        .map_err(|error| unavailable(path, "cannot be asked for the room on its disk", &error.into()))?;
    Ok(Room {
        used: size(path).saturating_add(size(&wal_of(path))),
        total: system.f_blocks.saturating_mul(system.f_frsize),
        free: system.f_bavail.saturating_mul(system.f_frsize),
    })
}

fn connect(path: &Path) -> Fallible<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Nobody else writes; an administrator's shell may hold a lock for a moment.
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// The connection that writes.
pub(super) fn writer(path: &Path) -> Fallible<Connection> {
    let connection = connect(path)?;
    // Answers the mode; a file system without shared memory refuses WAL, and then nothing here holds.
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::Unavailable {
            why: format!(
                "`{}` is on a file system that cannot do write-ahead logging",
                path.display()
            ),
        }
        .into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints are the writer's own, where their errors are seen.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT as i64)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    Ok(connection)
}

/// Bounds the size of the database.
pub(super) fn bound(connection: &Connection, pages_max: Option<u64>) -> Fallible<()> {
    if let Some(pages) = pages_max {
        let pages = i64::try_from(pages).unwrap_or(i64::MAX);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(())
}

/// A connection that reads.
pub(super) fn reader(path: &Path) -> Fallible<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    Ok(connection)
}
