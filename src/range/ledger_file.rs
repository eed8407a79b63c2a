//! The effect ledger on disk: one JSON object a line, appended and fsynced before an answer leaves. Whoever
//! reads it after a crash may assume: every line that was answered for is whole; at most the last line is
//! torn, and a torn line was never answered for.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::ledger::{Ledger, LedgerLine};

/// The ledger cannot be used; the range does not start, or answers 503 from then on.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot use the effect ledger `{path}`; check that the folder exists and can be written")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another range writes it now.
    #[error("the effect ledger `{0}` is used by another range; stop that one or name another file")]
    InUse(PathBuf),
    /// The range was stopped.
    #[error("this range was stopped; start another")]
    Closed,
    /// A line before the last is not what a range writes.
    #[error(
        "line {line} of the effect ledger `{path}` is not what a range writes: {why}; move the file away"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Ledger {
    /// Reads a ledger file that a range wrote, also while it writes and after it was killed. A torn last
    /// line is left out; the file is not changed. Lines before the last reset are left out.
    pub fn read(path: &Path) -> Result<Ledger, LedgerError> {
        let bytes = std::fs::read(path).map_err(|source| LedgerError::Io {
            path: path.to_owned(),
            source,
        })?;
        let (lines, _) = parse(path, &bytes)?;
        Ok(Ledger::new(since_reset(lines)))
    }
}

/// The lines from the last `reset` on.
pub(super) fn since_reset(mut lines: Vec<LedgerLine>) -> Vec<LedgerLine> {
    let start = lines.iter().rposition(|line| line.action == "reset").unwrap_or(0);
    lines.split_off(start)
}

/// The open file. Holds an exclusive lock on it until dropped.
pub(super) struct LedgerFile {
    path: PathBuf,
    file: File,
    /// A write failed: what is on disk is not known, so nothing more is written.
    broken: bool,
}

impl LedgerFile {
    /// Opens or makes the file, cuts off a torn last line, and answers all whole lines.
    pub(super) fn open(path: &Path) -> Result<(LedgerFile, Vec<LedgerLine>), LedgerError> {
        let failed = |source| LedgerError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(LedgerError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (lines, whole) = parse(path, &bytes)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        // A new file is durable only when its folder is.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        folder.sync_all().map_err(failed)?;
        Ok((
            LedgerFile {
                path: path.to_owned(),
                file,
                broken: false,
            },
            lines,
        ))
    }

    /// Appends the lines as one write and returns when they are on disk. After an error nothing is known
    /// about them, and every later call fails too: an fsync that failed is never tried again.
    pub(super) fn append(&mut self, lines: &[LedgerLine]) -> Result<(), LedgerError> {
        let failed = |source| LedgerError::Io {
            path: self.path.clone(),
            source,
        };
        if self.broken {
            return Err(failed(io::Error::other("an earlier write failed")));
        }
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line).map_err(|error| failed(error.into()))?;
            bytes.push(b'\n');
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        self.broken = written.is_err();
        written.map_err(failed)
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started holds a copy of the open file
        // until it executes, and the lock with it. An error leaves the lock to the closing.
        let _ = self.file.unlock();
    }
}

/// Whole lines, and how many bytes they take. What follows the last line feed is torn.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<LedgerLine>, usize), LedgerError> {
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let (text, _torn) = bytes.split_at(whole);
    let mut lines = Vec::new();
    for (index, row) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let damaged = |why: String| LedgerError::Damaged {
            path: path.to_owned(),
            line: index + 1,
            why,
        };
        let line: LedgerLine = serde_json::from_slice(row).map_err(|error| damaged(error.to_string()))?;
        let expected = index as u64 + 1;
        if line.n != expected {
            return Err(damaged(format!(
                "its number is {} where {expected} comes next",
                line.n
            )));
        }
        lines.push(line);
    }
    Ok((lines, whole))
}
