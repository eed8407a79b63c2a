//! What is true of SQLite alone: files, owners, schemas, groups, and what a full or failing disk does.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use rusqlite::Connection;

use super::failure::Failure;
use super::fixture::{alert_id, entries, entry, here, new_alert, new_run, open_update, run_id};
use super::job::Weight;
use super::schema;
use super::{Options, SqliteStore};
use crate::clock::Time;
use crate::id::Partition;
use crate::journal::ChainId;
use crate::store::{Accepted, Alerts as _, Disposition, Error, Feed as _, Runs as _};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cordon.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::default()).unwrap()
}

fn refusal(path: &Path) -> Error {
    SqliteStore::open(path, Options::default()).unwrap_err()
}

#[tokio::test]
async fn what_was_answered_is_there_after_opening_again() {
    let (_folder, path) = folder();
    let id = run_id(0, here());
    let chain = ChainId::Run(id);
    {
        let store = open(&path);
        store.create_run(here(), new_run(id, 1, Some(1))).await.unwrap();
        let claim = store
            .claim_run(here(), id, "w", Time(1), Time(9))
            .await
            .unwrap()
            .unwrap();
        store
            .append(
                here(),
                &claim,
                1,
                Time(2),
                entries(chain, 1..50),
                open_update(None, false),
            )
            .await
            .unwrap();
        store
            .accept(here(), new_alert(alert_id(0, here()), 1))
            .await
            .unwrap();
    }
    let store = open(&path);
    let row = store.run(here(), id).await.unwrap().unwrap();
    assert_eq!(
        (row.len, row.last, row.epoch),
        (50, entry(chain, 49, 0).digest, 1)
    );
    assert_eq!(store.journal(here(), chain, 0).await, Ok(entries(chain, 0..50)));
    // Positions go on where they were.
    store
        .accept(here(), new_alert(alert_id(1, here()), 1))
        .await
        .unwrap();
    let feed = store.feed(here(), 50, 10).await.unwrap();
    assert_eq!(
        feed.iter().map(|item| item.position).collect::<Vec<_>>(),
        [51, 52]
    );
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_what_to_do() {
    let (_folder, path) = folder();
    let store = open(&path);
    let error = refusal(&path).to_string();
    assert!(error.contains("another process holds"), "{error}");
    assert!(error.contains("stop the other cordon"), "{error}");
    assert_eq!(store.ready().await, Ok(()));
    drop(store);
    assert_eq!(open(&path).ready().await, Ok(()));
}

#[test]
fn only_its_user_may_read_its_files() {
    let (folder, path) = folder();
    let _store = open(&path);
    let mut modes = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        modes.push((
            file.file_name(),
            file.metadata().unwrap().permissions().mode() & 0o777,
        ));
    }
    assert!(modes.len() >= 3, "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    let (_folder, path) = folder();
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert_eq!(
        refusal(&path),
        Error::Schema {
            found: 99,
            known: schema::VERSION
        }
    );
}

#[test]
fn every_older_schema_is_brought_up_to_ours() {
    let tables = |connection: &Connection| -> Vec<(String, Option<String>)> {
        let sql = "SELECT name, sql FROM sqlite_schema ORDER BY name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let (_new_folder, new) = folder();
    drop(open(&new));
    let ours = tables(&Connection::open(&new).unwrap());
    for older in 1..schema::VERSION {
        let (_folder, path) = folder();
        let connection = Connection::open(&path).unwrap();
        schema::make(&connection, older).unwrap();
        drop(connection);
        drop(open(&path));
        let connection = Connection::open(&path).unwrap();
        let version: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        assert_eq!(version, schema::VERSION);
        assert_eq!(tables(&connection), ours, "from version {older}");
    }
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = folder();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(connection);
    let error = refusal(&path).to_string();
    assert!(error.contains("belongs to another program"), "{error}");
    let connection = Connection::open(&path).unwrap();
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);

    let (_folder, path) = folder_with(b"a letter to a friend, not a database at all".repeat(100));
    assert!(matches!(refusal(&path), Error::Corrupt { .. }));
}

fn folder_with(bytes: Vec<u8>) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = folder();
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn the_settings_that_make_a_commit_last_are_in_force() {
    let (_folder, path) = folder();
    let store = open(&path);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = runtime.block_on(store.write(Weight::Light, |connection| {
        let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        Ok([
            number("synchronous")?,
            number("foreign_keys")?,
            number("trusted_schema")?,
            number("wal_autocheckpoint")?,
            number("application_id")?,
        ])
    }));
    assert_eq!(settings, Ok([2, 1, 0, 0, schema::APPLICATION]));
    let refused = runtime.block_on(store.read(|connection| {
        connection.execute("DELETE FROM runs", [])?;
        Ok(())
    }));
    assert!(refused.is_err(), "a reader wrote");
}

/// Gives the writer something to do until the sender is used, so that a test decides what waits behind it.
async fn hold_up(store: &Arc<SqliteStore>) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<()>) {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let store = Arc::clone(store);
    let slow = tokio::spawn(async move {
        let work = store.write(Weight::Light, move |_| {
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            Ok(())
        });
        work.await.unwrap();
    });
    has_begun.await.unwrap();
    (go_on, slow)
}

#[tokio::test]
async fn callers_that_wait_together_share_one_commit() {
    let (_folder, path) = folder();
    let store = Arc::new(open(&path));
    let (go_on, slow) = hold_up(&store).await;
    let mut waiting: Vec<_> = (0..64)
        .map(|n| store.accept(here(), new_alert(alert_id(n, here()), 1)))
        .collect();
    // One that is refused, in their midst, spoils nothing.
    let mut refused = store.dispose(here(), alert_id(99, here()), 1, vec![], Disposition::Split);
    for (n, accept) in waiting.iter_mut().enumerate() {
        if n == 32 {
            assert!((&mut refused).now_or_never().is_none());
        }
        assert!(accept.now_or_never().is_none());
    }
    let before = store.commits();
    go_on.send(()).unwrap();
    slow.await.unwrap();
    for accept in waiting {
        assert_eq!(accept.await, Ok(Accepted::New));
    }
    assert!(matches!(refused.await, Err(Error::Missing { .. })));
    assert_eq!(store.commits() - before, 2, "the slow one, and the 65 behind it");
    assert_eq!(store.operations(), 66);
    assert_eq!(store.feed(here(), 0, 100).await.unwrap().len(), 64);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_goes_on_by_itself() {
    let (_folder, path) = folder();
    let options = Options {
        pages_max: Some(150),
        ..Options::default()
    };
    let store = SqliteStore::open(&path, options).unwrap();
    let delivery = |n| {
        let mut alert = new_alert(alert_id(n, here()), 1);
        alert.body = vec![b'x'; 40_000];
        alert
    };
    let mut kept = 0;
    let error = loop {
        match store.accept(here(), delivery(kept)).await {
            Ok(accepted) => assert_eq!(accepted, Accepted::New),
            Err(error) => break error,
        }
        kept += 1;
        assert!(kept < 100, "it never filled");
    };
    assert!(kept > 0);
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.may_pass());
    let refused = store.alert(here(), alert_id(kept, here())).await;
    assert_eq!(refused, Ok(None), "nothing of it is left");
    assert_eq!(store.unprocessed(here(), 1_000).await.unwrap().len(), kept);
    assert_eq!(store.feed(here(), 0, 1_000).await.unwrap().len(), kept);
    assert_eq!(*store.fatal().borrow(), None);

    let room = store.write(Weight::Light, |connection| {
        connection.pragma_update_and_check(None, "max_page_count", 10_000, |_| Ok(()))?;
        Ok(())
    });
    room.await.unwrap();
    assert_eq!(store.ready().await, Ok(()));
    assert_eq!(store.accept(here(), delivery(kept)).await, Ok(Accepted::New));
}

#[tokio::test]
async fn too_many_waiting_writers_are_told_it_is_busy() {
    let (_folder, path) = folder();
    let options = Options {
        queue_max: 2,
        ..Options::default()
    };
    let store = Arc::new(SqliteStore::open(&path, options).unwrap());
    let (go_on, slow) = hold_up(&store).await;
    let mut waiting: Vec<_> = (0..2).map(|_| store.ready()).collect();
    for ready in &mut waiting {
        assert!(ready.now_or_never().is_none());
    }
    assert_eq!(store.ready().await, Err(Error::Busy { waiting: 2 }));
    go_on.send(()).unwrap();
    slow.await.unwrap();
    for ready in waiting {
        assert_eq!(ready.await, Ok(()));
    }
}

fn sqlite_says(extended_code: i32) -> Failure {
    Failure::Sql(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(extended_code),
        None,
    ))
}

#[tokio::test]
async fn a_failing_disk_ends_all_writing_and_says_so() {
    let (_folder, path) = folder();
    let store = open(&path);
    let id = alert_id(0, here());
    store.accept(here(), new_alert(id, 1)).await.unwrap();
    let mut fatal = store.fatal();
    let failed = store.write::<()>(Weight::Light, |connection| {
        connection.execute("DELETE FROM alerts", [])?;
        Err(sqlite_says(rusqlite::ffi::SQLITE_IOERR_FSYNC))
    });
    assert!(matches!(failed.await, Err(Error::Unavailable { .. })));
    fatal.changed().await.unwrap();
    assert!(fatal.borrow().is_some());
    assert!(matches!(store.ready().await, Err(Error::Unavailable { .. })));
    let again = store.accept(here(), new_alert(id, 1)).await;
    assert!(matches!(again, Err(Error::Unavailable { .. })));
    assert!(store.alert(here(), id).await.unwrap().is_some(), "reads go on");
}

#[tokio::test]
async fn an_operation_that_fails_alone_leaves_nothing_and_the_others_stay() {
    let (_folder, path) = folder();
    let store = open(&path);
    let broken = store.write(Weight::Light, |connection| {
        connection.execute("INSERT INTO cursors VALUES (5, 'a', 1)", [])?;
        connection.execute("INSERT INTO cursors VALUES (5, 'a', 2)", [])?;
        Ok(())
    });
    let sound = store.accept(here(), new_alert(alert_id(0, here()), 1));
    let (broken, sound) = tokio::join!(broken, sound);
    assert!(matches!(broken, Err(Error::Unavailable { .. })), "{broken:?}");
    assert_eq!(sound, Ok(Accepted::New));
    assert_eq!(store.cursor(here(), "a").await, Ok(0));
    assert_eq!(*store.fatal().borrow(), None);
}

#[tokio::test]
async fn the_log_is_copied_into_the_database_as_it_grows() {
    let (_folder, path) = folder();
    let store = open(&path);
    let size = || std::fs::metadata(&path).unwrap().len();
    let id = run_id(0, here());
    store.create_run(here(), new_run(id, 1, Some(1))).await.unwrap();
    let claim = store
        .claim_run(here(), id, "w", Time(1), Time(9))
        .await
        .unwrap()
        .unwrap();
    let before = size();
    for n in 0..12 {
        let (first, last) = (1 + n * 250, 1 + (n + 1) * 250);
        let entries = entries(ChainId::Run(id), first..last);
        let append = store.append(here(), &claim, first, Time(2), entries, open_update(None, false));
        append.await.unwrap();
    }
    // The checkpoint follows the answer; the next operation waits behind it.
    store.ready().await.unwrap();
    assert!(size() > before + 100_000, "{} bytes, {before} before", size());
}

#[tokio::test]
async fn opening_gives_the_claims_of_a_process_that_died_back() {
    let (_folder, path) = folder();
    let id = run_id(0, here());
    {
        let store = open(&path);
        store.create_run(here(), new_run(id, 1, Some(100))).await.unwrap();
        let claims = store
            .claim_due(here(), "dead", Time(100), Time(900_000), 10)
            .await;
        assert_eq!(claims.unwrap().len(), 1);
        assert_eq!(store.next_wake(here()).await, Ok(Some(Time(900_000))));
    }
    let store = open(&path);
    assert_eq!(store.next_wake(here()).await, Ok(Some(Time(100))));
    let claims = store
        .claim_due(here(), "alive", Time(101), Time(900_000), 10)
        .await
        .unwrap();
    assert_eq!(claims.iter().map(|claim| claim.epoch).collect::<Vec<_>>(), [2]);
}

const CRASH_DB: &str = "CORDON_TEST_CRASH_DB";

/// Runs in a process of its own that is killed at a crash point; by itself it does nothing but say so.
#[tokio::test]
async fn child_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os(CRASH_DB).map(PathBuf::from) else {
        assert!(std::env::var_os("CORDON_CRASH_AT").is_none());
        return;
    };
    let store = open(&path);
    let answered = path.with_extension("answered");
    for n in 0..3 {
        store
            .accept(here(), new_alert(alert_id(n, here()), 1))
            .await
            .unwrap();
        std::fs::write(&answered, (n + 1).to_string()).unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_at_every_crash_point() {
    let mut kills = 0;
    for at in 1.. {
        let (_folder, path) = folder();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::sqlite::tests::child_appends_until_it_is_killed",
            ])
            .env(CRASH_DB, &path)
            .env("CORDON_CRASH_AT", at.to_string())
            .env("CORDON_CRASH_LOG", path.with_extension("log"))
            .output()
            .unwrap();
        let answered = std::fs::read_to_string(path.with_extension("answered")).unwrap_or_default();
        let answered: usize = answered.parse().unwrap_or(0);
        let store = open(&path);
        let kept = store.unprocessed(here(), 10).await.unwrap().len();
        let feed = store
            .feed(Partition::number(5).unwrap(), 0, 10)
            .await
            .unwrap()
            .len();
        assert_eq!(kept, feed, "killed at {at}");
        if child.status.signal().is_none() {
            assert!(child.status.success());
            assert_eq!((answered, kept), (3, 3));
            break;
        }
        kills += 1;
        let log = std::fs::read_to_string(path.with_extension("log")).unwrap();
        // After the commit and before the answer it is there although nobody was told.
        let committed = usize::from(log.trim() == "store.after-commit");
        assert_eq!(kept, answered + committed, "killed at {at}, {log}");
    }
    assert_eq!(kills, 6, "two points for each of three operations");
}
