//! Runs, listed and shown with their journal and whether its chain holds.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::routes::{Ask, id};
use crate::clock::Time;
use crate::digest::Digest;
use crate::id::RunId;
use crate::journal::{ChainId, Entry, Event, verify};
use crate::server::cursor::{self, Cursor, limit};
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{RunQuery, RunRow, RunStatus};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    status: Option<RunStatus>,
    playbook: Option<String>,
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Serialize)]
pub(super) struct List {
    runs: Vec<RunRow>,
    /// `before` of the next page.
    next: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Ask(query): Ask<Query>,
) -> Result<Json<List>, ApiError> {
    let before = query.before.as_deref().map(Cursor::parse).transpose()?;
    let store = shared.store();
    let (runs, next) = cursor::page(
        before,
        limit(query.limit)?,
        |row: &RunRow| (row.started_at, row.id.to_string()),
        |partition, before, limit| {
            let asked = RunQuery {
                status: query.status,
                playbook: query.playbook.clone(),
                before,
                limit,
            };
            async move { store.runs(partition, &asked).await }
        },
    )
    .await?;
    Ok(Json(List { runs, next }))
}

/// One entry of a journal.
#[derive(Serialize)]
pub(super) struct Told {
    seq: u64,
    kind: String,
    at: Option<Time>,
    event: Option<Event>,
    /// Why it cannot be read; then `at` and `event` are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The entries as they are sent, and whether the chain is whole and ends as the row says. What was appended
/// after the row was read does no harm.
pub(super) fn tell(entries: &[Entry], len: u64, last: &Digest) -> (Vec<Told>, bool) {
    let ends_so = len
        .checked_sub(1)
        .and_then(|place| usize::try_from(place).ok())
        .and_then(|place| entries.get(place))
        .is_some_and(|entry| entry.digest == *last);
    let events = entries.iter().map(|entry| {
        let (at, event, problem) = match entry.event() {
            Ok((at, event)) => (Some(at), Some(event), None),
            Err(problem) => (None, None, Some(problem.to_string())),
        };
        Told {
            seq: entry.seq,
            kind: entry.kind.clone(),
            at,
            event,
            problem,
        }
    });
    (events.collect(), ends_so && verify(entries).is_ok())
}

#[derive(Serialize)]
pub(super) struct Whole {
    run: RunRow,
    events: Vec<Told>,
    digest_ok: bool,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<Whole>, ApiError> {
    let run: RunId = id(&text)?;
    let row = shared
        .store()
        .run(run.partition(), run)
        .await?
        .ok_or_else(|| unknown(run))?;
    let entries = shared
        .store()
        .journal(run.partition(), ChainId::Run(run), 0)
        .await?;
    let (events, digest_ok) = tell(&entries, row.len, &row.last);
    if !digest_ok {
        tracing::error!(run.id = %run, "the run's journal does not verify: it was changed outside of cordon");
    }
    Ok(Json(Whole {
        run: row,
        events,
        digest_ok,
    }))
}

pub(super) fn unknown(id: RunId) -> ApiError {
    ApiError::missing(format!("there is no {id}"), "`cordon runs` lists what is there")
}
