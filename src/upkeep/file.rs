//! A backup as a file: one JSON object a line, a head, every record, and an end with counts, digests and the SHA-256 of
//! all before it. The same for every back end, so that what one gave another takes.

use std::io::{BufRead, Read as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::codes::UNSOUND;
use super::contents::{Contents, Unsound};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::Partition;
use crate::limits::{BACKUP_LINE_BYTES_MAX, DUMP_PAGE};
use crate::store::{Error, Record, Store};

/// The form of the file. A newer one is refused by an older program.
const FORM: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The form of the file.
    pub cordon_backup: u32,
    /// The program's version that wrote it.
    pub version: String,
    /// Which back end it came from.
    pub backend: String,
    /// When it was begun.
    pub made_at: Time,
}

#[derive(Serialize, Deserialize)]
struct Line {
    partition: Partition,
    record: Record,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    end: End,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// Whether all records are as of one moment.
    exact: bool,
    /// What is in it.
    contents: Contents,
    /// SHA-256 of every byte before this line.
    sha256: Digest,
}

/// Why a file is no backup that can be trusted.
#[derive(Debug, thiserror::Error)]
pub enum NotABackup {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is something else, or torn.
    #[error("{}: line {line}: {why}", UNSOUND)]
    Torn {
        /// Where.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// A record is not sound.
    #[error("{}: {}", UNSOUND, .0)]
    Unsound(#[from] Unsound),
    /// It is whole, and not what was written.
    #[error(
        "{}: the file was changed since it was written: its checksum is another",
        UNSOUND
    )]
    Changed,
    /// It was written by a newer program.
    #[error(
        "{}: the file has form {found}, this program knows form {}: use the newer program",
        UNSOUND,
        FORM
    )]
    Newer {
        /// Its form.
        found: u32,
    },
}

/// Sends a backup of a store as pieces of a file, each some lines. Ends early, and without the last line, when the
/// store fails, and answers why; a file without its last line is no backup.
pub async fn stream(
    store: &dyn Store,
    version: &str,
    now: Time,
    out: mpsc::Sender<Vec<u8>>,
) -> Result<(), Error> {
    let head = Form {
        cordon_backup: FORM,
        version: version.to_owned(),
        backend: store.health().await?.backend,
        made_at: now,
    };
    let mut lines = Lines {
        out,
        sha256: Sha256::new(),
        contents: Contents::default(),
    };
    lines.send(&head).await?;
    let (give, records) = mpsc::channel(DUMP_PAGE);
    let written = async move {
        // Its own, so that it is gone when this ends early and the giver hears of it.
        let mut records = records;
        while let Some((partition, record)) = records.recv().await {
            lines.record(partition, record).await?;
        }
        Ok::<_, Error>(lines)
    };
    let (given, written) = tokio::join!(store.dump_all(give), written);
    let lines = written?;
    lines.end(given?).await
}

struct Lines {
    out: mpsc::Sender<Vec<u8>>,
    sha256: Sha256,
    contents: Contents,
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    Error::Corrupt { why: why.to_string() }
}

impl Lines {
    async fn send(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(line).map_err(corrupt)?;
        bytes.push(b'\n');
        self.sha256.update(&bytes);
        self.out.send(bytes).await.map_err(|_| Error::Unavailable {
            why: "nobody takes the backup any more".to_owned(),
        })
    }

    async fn record(&mut self, partition: Partition, record: Record) -> Result<(), Error> {
        self.contents.add(partition, &record).map_err(corrupt)?;
        self.send(&Line { partition, record }).await
    }

    async fn end(mut self, exact: bool) -> Result<(), Error> {
        let sha256 = Digest(self.sha256.clone().finalize().into());
        let contents = std::mem::take(&mut self.contents);
        let end = End {
            exact,
            contents,
            sha256,
        };
        self.send(&LastLine { end }).await
    }
}

/// A backup that was read once from end to end and is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFile {
    /// Its first line.
    pub form: Form,
    /// Whether all records are as of one moment.
    pub exact: bool,
    /// What is in it.
    pub contents: Contents,
    /// Its checksum.
    pub sha256: Digest,
}

impl BackupFile {
    /// Reads a file from end to end, gives each record to `take`, and answers when the checksum and every chain hold.
    /// `take` says stop by an error, which is `NotABackup::Io`. What it was given may be wrong until this answers: read
    /// once with a `take` that does nothing before anything is done with it.
    pub fn read(
        mut file: impl BufRead,
        mut take: impl FnMut(Partition, Record) -> std::io::Result<()>,
    ) -> Result<BackupFile, NotABackup> {
        let mut sha256 = Sha256::new();
        let mut contents = Contents::default();
        let mut number: u64 = 0;
        let mut text = Vec::new();
        let mut form: Option<Form> = None;
        loop {
            text.clear();
            number = number.saturating_add(1);
            let torn = |why: String| NotABackup::Torn { line: number, why };
            let bound = BACKUP_LINE_BYTES_MAX;
            (&mut file).take(bound).read_until(b'\n', &mut text)?;
            if text.last() != Some(&b'\n') {
                let why = "the file ends here, before its last line: it is not whole";
                return Err(torn(why.to_owned()));
            }
            let Some(head) = &form else {
                let why = |_| torn("this is not a backup of cordon".to_owned());
                let head: Form = serde_json::from_slice(&text).map_err(why)?;
                if head.cordon_backup > FORM {
                    return Err(NotABackup::Newer {
                        found: head.cordon_backup,
                    });
                }
                sha256.update(&text);
                form = Some(head);
                continue;
            };
            if text.starts_with(br#"{"end":"#) {
                let last: LastLine =
                    serde_json::from_slice(&text).map_err(|error| torn(error.to_string()))?;
                let read = BackupFile {
                    form: head.clone(),
                    exact: last.end.exact,
                    contents,
                    sha256: Digest(sha256.finalize().into()),
                };
                if file.read(&mut [0; 1])? != 0 {
                    return Err(torn("something follows the last line".to_owned()));
                }
                if read.sha256 != last.end.sha256 || read.contents != last.end.contents {
                    return Err(NotABackup::Changed);
                }
                return Ok(read);
            }
            sha256.update(&text);
            let line: Line = serde_json::from_slice(&text).map_err(|error| torn(error.to_string()))?;
            contents.add(line.partition, &line.record)?;
            take(line.partition, line.record)?;
        }
    }
}
