//! The tables, and the check that a file is ours and not from the future. Times are milliseconds, ids are
//! text as people see them, nested values are JSON, so that the file can be read with any SQL tool.

use rusqlite::Connection;

use super::failure::{Failure, Fallible};
use crate::id::PARTITIONS;
use crate::store::error::Error;

/// Marks the file as ours: `CORD` in ASCII.
pub(super) const APPLICATION: i64 = 0x434f_5244;
/// The schema this program writes. An older one is brought up to it step by step, a newer one refused.
pub(super) const VERSION: i64 = 1 + STEPS.len() as i64;

/// What each version has more than the one before it, from the second on. Never changed, only added to.
const STEPS: [&str; 6] = [
    "
CREATE TABLE followers (
    partition INTEGER NOT NULL,
    follower TEXT NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (partition, follower)
) STRICT, WITHOUT ROWID;
CREATE TABLE notices (
    partition INTEGER NOT NULL,
    key TEXT NOT NULL,
    group_of BLOB NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    leads INTEGER NOT NULL,
    due_at INTEGER,
    content TEXT NOT NULL,
    PRIMARY KEY (partition, key)
) STRICT;
CREATE INDEX notices_by_time ON notices (partition, at, key);
CREATE INDEX notices_by_state ON notices (partition, state, at, key);
CREATE INDEX notices_due ON notices (partition, due_at, key) WHERE due_at IS NOT NULL;
CREATE INDEX notices_leading ON notices (partition, group_of) WHERE leads = 1;
",
    "
CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    run TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    open INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_by_time ON approvals (partition, asked_at, id);
CREATE INDEX approvals_by_standing ON approvals (partition, open, asked_at, id);

CREATE TABLE votes (
    approval TEXT NOT NULL,
    principal TEXT NOT NULL,
    approve INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    run TEXT NOT NULL,
    at INTEGER NOT NULL,
    vote TEXT NOT NULL,
    PRIMARY KEY (approval, principal, approve)
) STRICT, WITHOUT ROWID;
CREATE INDEX votes_by_run ON votes (run);
",
    "
CREATE INDEX locks_by_run ON locks (partition, run);
CREATE INDEX holders_by_run ON holders (partition, run);
CREATE TABLE budgets (
    scope TEXT NOT NULL,
    member TEXT NOT NULL,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, member)
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_by_time ON budgets (scope, at);
",
    "
CREATE TABLE gone (
    chain TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX gone_by_time ON gone (partition, at, chain);
CREATE INDEX runs_settled ON runs (partition, updated_at, id) WHERE status = 'settled';
CREATE INDEX approvals_by_run ON approvals (run, id);
CREATE INDEX changes_by_time ON changes (partition, at, target);
",
    "
CREATE TABLE signals (
    run TEXT NOT NULL,
    id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL,
    principal TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (run, id)
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE leavers (
    key TEXT NOT NULL,
    facet TEXT NOT NULL,
    effect TEXT NOT NULL,
    partition INTEGER NOT NULL,
    place INTEGER NOT NULL,
    run TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (key, facet, effect),
    FOREIGN KEY (key, facet) REFERENCES holds (key, facet)
) STRICT, WITHOUT ROWID;
",
];

/// The first version.
const TABLES: &str = "
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    source TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    times INTEGER NOT NULL,
    disposition TEXT NOT NULL,
    len INTEGER NOT NULL,
    last BLOB NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX alerts_by_time ON alerts (partition, received_at, id);
CREATE INDEX alerts_by_disposition ON alerts (partition, disposition, received_at, id);
CREATE INDEX alerts_repeated ON alerts (partition, times) WHERE times > 1;

CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    playbook TEXT NOT NULL,
    title TEXT NOT NULL,
    subject TEXT NOT NULL,
    cause TEXT NOT NULL,
    severity_id INTEGER NOT NULL,
    status TEXT NOT NULL,
    ended_as TEXT,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    waits_for TEXT NOT NULL,
    wake_at INTEGER,
    woken_at INTEGER,
    epoch INTEGER NOT NULL,
    worker TEXT,
    claim_until INTEGER,
    len INTEGER NOT NULL,
    last BLOB NOT NULL,
    CHECK ((worker IS NULL) = (claim_until IS NULL))
) STRICT;
CREATE INDEX runs_by_time ON runs (partition, started_at, id);
CREATE INDEX runs_by_status ON runs (partition, status, started_at, id);
CREATE INDEX runs_by_end ON runs (partition, ended_as) WHERE ended_as IS NOT NULL;
CREATE INDEX runs_due ON runs (partition, coalesce(wake_at, claim_until), id) WHERE status = 'open';
CREATE INDEX runs_by_worker ON runs (partition, worker) WHERE worker IS NOT NULL;

CREATE TABLE journal (
    chain TEXT NOT NULL,
    seq INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    salt BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX journal_feed ON journal (partition, position);

CREATE TABLE feeds (
    partition INTEGER NOT NULL PRIMARY KEY,
    last_position INTEGER NOT NULL
) STRICT;

CREATE TABLE cursors (
    partition INTEGER NOT NULL,
    follower TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (partition, follower)
) STRICT, WITHOUT ROWID;

CREATE TABLE claims (
    key BLOB NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    owner TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_end ON claims (partition, until);
CREATE TABLE claims_lost (
    key BLOB NOT NULL REFERENCES claims (key) ON DELETE CASCADE,
    asker TEXT NOT NULL,
    PRIMARY KEY (key, asker)
) STRICT, WITHOUT ROWID;

CREATE TABLE locks (
    target TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    effect TEXT NOT NULL,
    run TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    target TEXT NOT NULL PRIMARY KEY,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    key TEXT NOT NULL,
    facet TEXT NOT NULL,
    partition INTEGER NOT NULL,
    target TEXT NOT NULL,
    prior TEXT NOT NULL,
    undo TEXT NOT NULL,
    PRIMARY KEY (key, facet)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_partition ON holds (partition, key, facet);
CREATE TABLE holders (
    key TEXT NOT NULL,
    facet TEXT NOT NULL,
    effect TEXT NOT NULL,
    partition INTEGER NOT NULL,
    place INTEGER NOT NULL,
    was_first INTEGER NOT NULL,
    run TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    tries INTEGER NOT NULL,
    ending INTEGER NOT NULL,
    seen TEXT,
    PRIMARY KEY (key, facet, effect),
    FOREIGN KEY (key, facet) REFERENCES holds (key, facet)
) STRICT, WITHOUT ROWID;
CREATE INDEX holders_due ON holders (partition, until, key, facet, effect) WHERE until IS NOT NULL;

CREATE TABLE instance (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE principals (
    name TEXT NOT NULL PRIMARY KEY,
    token BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bundles (
    digest BLOB NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE secrets (
    handle TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;
";

/// Checks that the file is empty or ours and not newer than we are, and makes the tables in an empty one.
pub(super) fn prepare(connection: &mut Connection) -> Fallible<()> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id")?;
    let version = number("user_version")?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == APPLICATION {
        return match version {
            VERSION => Ok(()),
            older @ 1..VERSION => {
                let transaction = connection.transaction()?;
                bring_up(&transaction, older)?;
                transaction.commit()?;
                Ok(())
            }
            found => Err(Failure::Refused(Error::Schema {
                found,
                known: VERSION,
            })),
        };
    }
    if application != 0 || version != 0 || tables != 0 {
        return Err(Failure::Refused(Error::Corrupt {
            why: format!(
                "the file belongs to another program (application id {application}, {tables} tables); name another file in `[store]`"
            ),
        }));
    }
    let transaction = connection.transaction()?;
    make_first(&transaction)?;
    bring_up(&transaction, 1)?;
    transaction.commit()?;
    Ok(())
}

/// Makes the first version in an empty file.
fn make_first(transaction: &Connection) -> Fallible<()> {
    transaction.execute_batch(TABLES)?;
    for partition in 0..PARTITIONS {
        transaction.execute("INSERT INTO feeds VALUES (?1, 0)", [partition])?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", 1)?;
    Ok(())
}

/// Makes an older version in an empty file, as the program of its time did.
#[cfg(test)]
pub(super) fn make(connection: &Connection, version: i64) -> Fallible<()> {
    make_first(connection)?;
    for (step, version) in STEPS.iter().zip(2..=version) {
        connection.execute_batch(step)?;
        connection.pragma_update(None, "user_version", version)?;
    }
    Ok(())
}

/// Takes every step after version `from`.
fn bring_up(transaction: &Connection, from: i64) -> Fallible<()> {
    let taken = usize::try_from(from - 1).unwrap_or(0);
    for step in STEPS.iter().skip(taken) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}
