//! The server in one answer.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::guardrail::Halt;
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::Counts;
use crate::telemetry::totals;

#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    worker: String,
    uptime_ms: u64,
    halted: Option<Halt>,
    sources: usize,
    playbooks: usize,
    triggers: usize,
    counts: Counts,
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Status>, ApiError> {
    Ok(Json(Status {
        version: shared.version,
        worker: shared.handle.context().worker.clone(),
        uptime_ms: shared.telemetry.uptime_ms(),
        halted: shared.store().switches().await?.halt,
        sources: shared.gate.profiles().len(),
        playbooks: shared.content.bundles.len(),
        triggers: shared.content.index.len(),
        counts: totals(shared.store().as_ref(), shared.now()).await?,
    }))
}
