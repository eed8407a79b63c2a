//! Loading content again, asked for by a person.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::intake::{Reloaded, Standing};
use crate::server::auth::Who;
use crate::server::error::ApiError;
use crate::server::services::Shared;

/// What came of it.
#[derive(Serialize)]
pub(super) struct Answer {
    /// `same`, `changed` or `refused`.
    outcome: &'static str,
    content: Standing,
}

pub(super) async fn reload(State(shared): State<Shared>, who: Who) -> Result<Json<Answer>, ApiError> {
    let (content, handle) = (shared.content.clone(), shared.handle.clone());
    let reloaded = tokio::task::spawn_blocking(move || content.reload(&handle))
        .await
        .map_err(ApiError::defect)?;
    let outcome = match reloaded {
        Reloaded::Same => "same",
        Reloaded::Changed => "changed",
        Reloaded::Refused(_) => "refused",
    };
    tracing::info!(principal = who.0, outcome, "content was loaded again by hand");
    Ok(Json(Answer {
        outcome,
        content: shared.content.standing(),
    }))
}
