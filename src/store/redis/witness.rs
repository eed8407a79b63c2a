//! The file beside a node with the calls it was acknowledged. One thread writes it; a call with an intent is answered
//! when it is on the disk. Two files, so that the older can go when the newer is full.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::noted::Noted;
use crate::limits::{REDIS_BATCH_MAX, REDIS_QUEUE_MAX, REDIS_WITNESS_BYTES_MAX};

/// Code of its page in `docs/errors`.
pub(super) const CODE: &str = "K057";

/// A call to write, and whom to tell when it is on the disk.
struct Job {
    noted: Arc<Noted>,
    synced: Option<oneshot::Sender<()>>,
}

/// The writing end.
pub(super) struct Witness {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Opens the file at `path`, and answers what an earlier process left there.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub(super) fn open(path: &Path) -> io::Result<(Witness, Vec<Noted>)> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(beside(path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(
                "another process writes it: give each node a name of its own in `[store] node`",
            ),
            TryLockError::Error(error) => error,
        })?;
        let mut left = read(&beside(path, OLDER))?;
        let (newer, bytes) = read_to(path)?;
        left.extend(newer);
        let file = open(path)?;
        // What a crash cut off is cut off for good, or nothing after it could be read.
        file.set_len(bytes)?;
        file.sync_all()?;
        let (queue, jobs) = mpsc::channel(REDIS_QUEUE_MAX);
        let writer = Writer {
            path: path.to_owned(),
            file,
            bytes,
            is_well: true,
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("store-witness".to_owned())
            .spawn(move || writer.run(jobs))?;
        let witness = Witness {
            queue: Some(queue),
            thread: Some(thread),
        };
        Ok((witness, left))
    }

    /// Writes a call; with `sync` it is on the disk afterwards. A disk that fails is told of in the log and holds
    /// nobody up: the servers have the call, and this is for the day when they have not.
    pub(super) async fn write(&self, noted: Arc<Noted>, sync: bool) {
        let (told, synced) = oneshot::channel();
        let job = Job {
            noted,
            synced: sync.then_some(told),
        };
        if let Some(queue) = &self.queue
            && queue.send(job).await.is_ok()
            && sync
        {
            // A writer that is gone has said why.
            let _ = synced.await;
        }
    }
}

impl Drop for Witness {
    /// Lets the writer finish what it was given.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panicked writer is in the log already.
            let _ = thread.join();
        }
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    bytes: u64,
    is_well: bool,
    /// Held to the end; the lock goes when the file is closed.
    _lock: File,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while let Some(first) = jobs.blocking_recv() {
            batch.push(first);
            while batch.len() < REDIS_BATCH_MAX {
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next);
            }
            let written = self.write(&batch);
            if let Err(error) = &written
                && self.is_well
            {
                tracing::error!(
                    "{CODE}: the witness `{}` cannot be written: {error}; what the servers lose from now on cannot be put \
                     back from this node",
                    self.path.display()
                );
            }
            self.is_well = written.is_ok();
            for job in batch.drain(..) {
                if let Some(synced) = job.synced {
                    // Whoever waited may have gone.
                    let _ = synced.send(());
                }
            }
        }
    }

    fn write(&mut self, batch: &[Job]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for job in batch {
            bytes.extend(job.noted.to_bytes());
        }
        let before = self.bytes;
        if let Err(error) = self.file.write_all(&bytes) {
            // Half of it would make what comes after unreadable.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if batch.iter().any(|job| job.synced.is_some()) {
            self.file.sync_data()?;
        }
        if self.bytes > REDIS_WITNESS_BYTES_MAX {
            self.file.sync_data()?;
            fs::rename(&self.path, beside(&self.path, OLDER))?;
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        Ok(())
    }
}

/// What the file before is called.
const OLDER: &str = ".older";

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn read(path: &Path) -> io::Result<Vec<Noted>> {
    read_to(path).map(|(noted, _)| noted)
}

/// What a file has, and how far it can be read.
fn read_to(path: &Path) -> io::Result<(Vec<Noted>, u64)> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            file.take(2 * REDIS_WITNESS_BYTES_MAX).read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while let Some((noted, after)) = Noted::from_bytes(rest) {
        found.push(noted);
        rest = after;
    }
    let read = bytes.len() - rest.len();
    Ok((found, u64::try_from(read).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Partition;

    fn noted(generation: u64) -> Arc<Noted> {
        Arc::new(Noted {
            partition: Partition::CONTROL,
            generation,
            function: "append".to_owned(),
            args: vec![vec![b'x'; 64 << 10]],
        })
    }

    #[tokio::test]
    async fn a_later_process_finds_what_an_earlier_one_was_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/witness");
        let (witness, left) = Witness::open(&path).unwrap();
        assert!(left.is_empty());
        witness.write(noted(1), false).await;
        witness.write(noted(2), true).await;
        drop(witness);
        let whole = fs::metadata(&path).unwrap().len();
        // A crash in the middle of a third.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&noted(3).to_bytes()[..100]).unwrap();
        drop(file);
        let (witness, left) = Witness::open(&path).unwrap();
        assert_eq!(left, [(*noted(1)).clone(), (*noted(2)).clone()]);
        assert_eq!(fs::metadata(&path).unwrap().len(), whole);
        witness.write(noted(4), true).await;
        drop(witness);
        let (_, left) = Witness::open(&path).unwrap();
        assert_eq!(left.last().unwrap().generation, 4);
    }

    #[test]
    fn two_processes_do_not_write_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        let first = Witness::open(&path).unwrap();
        let second = Witness::open(&path).err().unwrap();
        assert!(second.to_string().contains("[store] node"), "{second}");
        drop(first);
        assert!(Witness::open(&path).is_ok());
    }

    #[tokio::test]
    async fn the_file_never_grows_past_twice_its_bound_and_the_latest_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        let (witness, _) = Witness::open(&path).unwrap();
        let many = 3 * REDIS_WITNESS_BYTES_MAX / (64 << 10);
        for generation in 1..=many {
            witness.write(noted(generation), false).await;
        }
        drop(witness);
        let bytes = fs::metadata(&path).unwrap().len() + fs::metadata(beside(&path, OLDER)).unwrap().len();
        assert!(
            bytes <= 2 * REDIS_WITNESS_BYTES_MAX + 2 * (64 << 10) * u64::try_from(REDIS_BATCH_MAX).unwrap()
        );
        let (_, left) = Witness::open(&path).unwrap();
        assert_eq!(left.last().unwrap().generation, many);
        assert!(
            left.windows(2)
                .all(|pair| pair[0].generation < pair[1].generation)
        );
    }
}
