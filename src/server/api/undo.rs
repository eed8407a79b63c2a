//! Undoing what a run, or one effect of it, changed.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::routes::id;
use super::runs::unknown;
use super::start::Started;
use crate::id::{EffectId, RunId};
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoRun {
    reason: String,
}

/// The run that undoes, and what it does not reach.
#[derive(Serialize)]
pub(super) struct Undone {
    run: RunId,
    /// Runs that the undone one started and whose journals are gone or cannot be read.
    left: Vec<RunId>,
}

pub(super) async fn run(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(asked): Asked<UndoRun>,
) -> Result<Json<Undone>, ApiError> {
    let of: RunId = id(&text)?;
    let reason = reason(&asked.reason)?;
    exists(&shared, of).await?;
    let left = shared.handle.left_by_undo(of).await?;
    let run = shared.handle.undo_run(of, &who.0, &reason).await?;
    tracing::info!(run.id = %run, undoes = %of, principal = who.0, "a run is undone");
    Ok(Json(Undone { run, left }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndoEffect {
    /// Its run, where it is known.
    run: Option<String>,
    reason: String,
}

pub(super) async fn effect(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(asked): Asked<UndoEffect>,
) -> Result<Json<Started>, ApiError> {
    let effect: EffectId = id(&text)?;
    let reason = reason(&asked.reason)?;
    let of: RunId = match &asked.run {
        Some(text) => id(text)?,
        None => super::speaking::of(&shared, effect).await?,
    };
    exists(&shared, of).await?;
    let run = shared.handle.undo_effect(of, effect, &who.0, &reason).await?;
    tracing::info!(run.id = %run, effect.id = %effect, principal = who.0, "an effect is undone");
    Ok(Json(Started { run }))
}

async fn exists(shared: &Shared, run: RunId) -> Result<(), ApiError> {
    let row = shared.store().run(run.partition(), run).await?;
    row.map(drop).ok_or_else(|| unknown(run))
}
