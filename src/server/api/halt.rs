//! The switch: while it is on, no effect begins on any node.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::guardrail::Halt;
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;

#[derive(Serialize)]
pub(super) struct Switch {
    halted: Option<Halt>,
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Switch>, ApiError> {
    Ok(Json(Switch {
        halted: shared.store().switches().await?.halt,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: String,
}

pub(super) async fn halt(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Why>,
) -> Result<Json<Switch>, ApiError> {
    let halt = Halt {
        by: who.0,
        at: shared.now(),
        reason: reason(&asked.reason)?,
    };
    tracing::warn!(principal = halt.by, "all effects are halted");
    set(&shared, Some(halt)).await
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Why>,
) -> Result<Json<Switch>, ApiError> {
    let reason = reason(&asked.reason)?;
    tracing::warn!(principal = who.0, reason, "effects are resumed");
    set(&shared, None).await
}

/// The store first, for every node; then this node's own switch, without waiting for its next look.
async fn set(shared: &Shared, halt: Option<Halt>) -> Result<Json<Switch>, ApiError> {
    shared.store().set_halt(halt.clone()).await?;
    // What it said before is of no interest.
    let _ = shared.services.halt.send_replace(Ok(halt.clone()));
    Ok(Json(Switch { halted: halt }))
}
