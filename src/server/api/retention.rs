//! What retention keeps and has forgotten, and what it would forget now.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::clock::Time;
use crate::id::Partition;
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::upkeep::{Collected, Keep, pass};

#[derive(Serialize)]
pub(super) struct Retention {
    keep: Keep,
    /// What would go now.
    would_collect: Collected,
    /// What went since this process began.
    collected: Collected,
    /// The last pass, and what it came to.
    last_pass: Option<(Time, Collected)>,
}

/// A pass that only counts.
pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Retention>, ApiError> {
    let shown = shared.upkeep.now();
    let partitions: Vec<Partition> = Partition::all().collect();
    let store = shared.store().as_ref();
    Ok(Json(Retention {
        would_collect: pass(store, &partitions, &shown.keep, &[], shared.now(), true).await?,
        keep: shown.keep,
        collected: shown.collected,
        last_pass: shown.last_pass,
    }))
}
