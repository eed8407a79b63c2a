//! The server in one answer.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::guardrail::Halt;
use crate::intake::Standing;
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
    /// When connectors, playbooks and triggers were loaded, and what was refused since.
    content: Standing,
    counts: Counts,
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Status>, ApiError> {
    let content = shared.content.now();
    Ok(Json(Status {
        version: shared.version,
        worker: shared.handle.context().worker.clone(),
        uptime_ms: shared.telemetry.uptime_ms(),
        halted: shared.store().switches().await?.halt,
        sources: shared.gate.profiles().len(),
        playbooks: content.bundles.len(),
        triggers: content.index.len(),
        content: shared.content.standing(),
        counts: totals(shared.store().as_ref(), shared.now()).await?,
    }))
}
