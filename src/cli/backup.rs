//! `cordon backup` and `cordon restore`: everything a store holds, into a file and back. Backing up asks a running
//! server; restoring opens a store itself, because no server may work on it then.

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::client::Reach;
use super::content::Place;
use super::failure::{Done, Exit, Failure};
use super::output;
use crate::app;
use crate::config::StoreUrl;
use crate::upkeep::BackupFile;

/// How often progress is said, ms.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// Arguments of `backup`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon backup cordon-2026-11-24.backup
  cordon backup --check cordon-2026-11-24.backup

The server goes on working. The file is as secret as the store. The sealing key is NOT in it: keep `cordon.key`, or what
`[store] key` names, beside it or better elsewhere. With SQLite all of it is as of one moment.")]
pub struct Backup {
    /// The file to write; there must be none of that name
    file: PathBuf,
    /// Only read a backup from end to end and say whether it is whole; asks no server
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Arguments of `restore`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon restore cordon-2026-11-24.backup --store sqlite:/var/lib/cordon/cordon.db
  cordon restore cordon-2026-11-24.backup

No server may be running on that store. It has to be empty, or to have been begun to be restored from this very file.
Without --store it is the one that cordon.toml names.")]
pub struct Restore {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// The store to fill, instead of what the configuration says
    #[arg(long, value_name = "URL", value_parser = super::serve::store)]
    store: Option<StoreUrl>,
}

fn failed(message: impl Into<String>, help: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, message, help)
}

/// Runs `backup`.
///
/// # Errors
/// The server said no, or the file cannot be written.
pub async fn backup(args: Backup) -> Done {
    if args.check {
        return check(&args.file);
    }
    let client = args.reach.client()?;
    if args.file.exists() {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{}` is there already", args.file.display()),
            "give another name: a backup is never written over",
        ));
    }
    // Beside it and renamed when whole, so that a file of that name is always a whole backup.
    let mut name = args.file.clone().into_os_string();
    name.push(".part");
    let part = PathBuf::from(name);
    let done = take(&client, &part).await.and_then(|()| keep(&part, &args.file));
    if done.is_err() {
        // What is left of it is of no use to anybody.
        let _ = fs::remove_file(&part);
    }
    let read = done?;
    output::say(&format!(
        "wrote `{}`: {}{}",
        args.file.display(),
        read.contents.line(),
        if read.exact {
            ""
        } else {
            "; others wrote meanwhile, so not everything is as of one moment"
        }
    ));
    output::say("the sealing key is not in it: without that key, restored secrets do not open. Keep it, too");
    output::data(&format!("sha256 {}", read.sha256))
}

async fn take(client: &super::client::Client, part: &Path) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| failed(format!("cannot write `{}`: {error}", part.display()), "");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .map_err(cannot)?;
    let mut bytes: u64 = 0;
    let mut said = Instant::now();
    let mut answer = client.stream("/api/backup").await?;
    while let Some(piece) = answer.next().await? {
        file.write_all(&piece).map_err(cannot)?;
        bytes = bytes.saturating_add(piece.len() as u64);
        if said.elapsed() >= SAY_EVERY {
            output::say(&format!("{} MiB so far", bytes >> 20));
            said = Instant::now();
        }
    }
    file.sync_all().map_err(cannot)
}

/// Reads what was written once more, and gives it its name.
fn keep(part: &Path, file: &Path) -> Result<BackupFile, Failure> {
    let read = read_whole(part)?;
    fs::rename(part, file)
        .and_then(|()| File::open(folder(file))?.sync_all())
        .map_err(|error| failed(format!("cannot write `{}`: {error}", file.display()), ""))?;
    Ok(read)
}

fn folder(file: &Path) -> &Path {
    file.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn read_whole(path: &Path) -> Result<BackupFile, Failure> {
    let not_one = |why: String| {
        failed(
            format!("`{}` is no backup that can be trusted: {why}", path.display()),
            "take another one; nothing was restored from this",
        )
    };
    let file = File::open(path).map_err(|error| not_one(error.to_string()))?;
    BackupFile::read(BufReader::new(file), |_, _| Ok(())).map_err(|error| not_one(error.to_string()))
}

fn check(path: &Path) -> Done {
    let read = read_whole(path)?;
    output::say(&format!(
        "`{}` is whole: {}, from a store in {}, begun {}",
        path.display(),
        read.contents.line(),
        read.form.backend,
        read.form.made_at
    ));
    output::data(&format!("sha256 {}", read.sha256))
}

/// Runs `restore`.
///
/// # Errors
/// The file is not whole, or the store cannot be filled from it.
pub async fn restore(args: Restore) -> Done {
    let read = read_whole(&args.file)?;
    output::say(&format!("the backup is whole: {}", read.contents.line()));
    let config = args.place.config()?;
    let url = args.store.unwrap_or_else(|| config.store.clone());
    let opened = app::open_at_rest(&config, &url).await?;
    let mut said = Instant::now();
    let mut told = |n: u64| {
        if said.elapsed() >= SAY_EVERY {
            output::say(&format!("{n} records so far"));
            said = Instant::now();
        }
    };
    let restored = app::restore(&*opened.store, &args.file, &read, &mut told).await?;
    if restored {
        output::say("every record and every chain was read back and is as it was");
    } else {
        output::say("the store holds this very backup already; nothing was done");
    }
    output::say(&opened.about_key);
    output::say(
        "before you serve it: effects done since the backup are not in it. Close the way to vendors, start, \
         `cordon halt --reason restore`, compare `cordon contained` with them, then resume",
    );
    output::data(&read.contents.line())
}
