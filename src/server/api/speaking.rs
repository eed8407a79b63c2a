//! What a person says to a run: cancel it, take it up again, or whether an effect in doubt happened.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::routes::id;
use super::runs::unknown;
use crate::id::{EffectId, RunId};
use crate::run::{Heard, NotHeard};
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;

/// What became of the word.
#[derive(Serialize)]
pub(super) struct Spoken {
    run: RunId,
    /// False when the run's worker has not come to it yet: it is kept, and counts when nothing came before it.
    counted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// Whether what was done is undone. There is no default: one of both has to be meant.
    undo: bool,
    reason: String,
}

pub(super) async fn cancel(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(asked): Asked<Cancel>,
) -> Result<Json<Spoken>, ApiError> {
    let run: RunId = id(&text)?;
    let reason = reason(&asked.reason)?;
    let row = shared.store().run(run.partition(), run).await?;
    if row.is_none() {
        return Err(unknown(run));
    }
    let heard = shared.handle.cancel(run, asked.undo, &who.0, &reason).await?;
    tracing::info!(run.id = %run, undo = asked.undo, principal = who.0, "a run is cancelled");
    Ok(Json(Spoken {
        run,
        counted: heard == Heard::Counted,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    reason: String,
}

/// What became of a parked run that is to be taken up again.
#[derive(Serialize)]
pub(super) struct TakenUp {
    run: RunId,
    /// False when the run's worker has not come to it yet: it is kept, and counts when nothing came before it.
    counted: bool,
    /// Why it was parked.
    was: String,
    /// Why it is parked again; null while it goes on.
    parked_again: Option<String>,
}

pub(super) async fn retry(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(asked): Asked<Retry>,
) -> Result<Json<TakenUp>, ApiError> {
    let run: RunId = id(&text)?;
    let reason = reason(&asked.reason)?;
    let retried = shared.handle.retry(run, &who.0, &reason).await?;
    tracing::info!(run.id = %run, principal = who.0, "a parked run is taken up again");
    Ok(Json(TakenUp {
        run,
        counted: retried.heard == Heard::Counted,
        was: retried.was,
        parked_again: retried.again,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resolve {
    happened: bool,
    reason: String,
    /// Its run, where it is known.
    run: Option<String>,
}

pub(super) async fn resolve(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(asked): Asked<Resolve>,
) -> Result<Json<Spoken>, ApiError> {
    let effect: EffectId = id(&text)?;
    let reason = reason(&asked.reason)?;
    let run: RunId = match &asked.run {
        Some(text) => id(text)?,
        None => of(&shared, effect).await?,
    };
    let heard = shared
        .handle
        .resolve(run, effect, asked.happened, &who.0, &reason)
        .await?;
    tracing::info!(
        run.id = %run, effect.id = %effect, happened = asked.happened, principal = who.0,
        "a doubt is resolved"
    );
    Ok(Json(Spoken {
        run,
        counted: heard == Heard::Counted,
    }))
}

/// The run of an effect.
pub(super) async fn of(shared: &Shared, effect: EffectId) -> Result<RunId, ApiError> {
    let found = shared.handle.run_of_effect(effect).await?;
    found.ok_or_else(|| {
        ApiError::missing(
            format!("no run that waits, holds anything or is recent has {effect}"),
            "say in `run` (`--run`) which run it belongs to, or check the id",
        )
    })
}

impl From<NotHeard> for ApiError {
    fn from(error: NotHeard) -> ApiError {
        match error {
            NotHeard::Store(error) => error.into(),
            NotHeard::Unknown(why) => ApiError::missing(why, "check the id"),
            NotHeard::Refused(why) => {
                ApiError::conflict("not-heard", why, "`cordon show RUN` shows how the run stands")
            }
            NotHeard::Defect(why) => ApiError::defect(why),
        }
    }
}
