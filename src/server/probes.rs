//! What machines ask: does it live, can it take a write, how much of everything is there.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use super::services::Shared;
use crate::telemetry::OPENMETRICS;

/// The process lives. Asks nothing: a store that is down is no reason to kill it.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "alive": true }))
}

/// The store takes writes. The reason is told, because this is where an operator looks. Partitions that are parked are
/// named, and are no reason to take this node out: the others take writes, and no other node is better off.
pub(super) async fn readyz(State(shared): State<Shared>) -> Result<Json<Value>, ApiError> {
    match shared.store().ready().await {
        Ok(()) => {
            let parked = shared.store().parked().await?;
            let parked: Vec<String> = parked.iter().map(|one| one.partition.to_string()).collect();
            Ok(Json(if parked.is_empty() {
                json!({ "ready": true })
            } else {
                json!({ "ready": true, "parked": parked })
            }))
        }
        Err(error) => Err(ApiError::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            error.to_string(),
            "alerts are answered 503 and no effect begins until the store takes writes again",
        )),
    }
}

/// Metrics, as OpenMetrics text.
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let standing = shared.content.standing();
    shared
        .telemetry
        .content(standing.loaded_at, standing.refused.is_some());
    let text = shared
        .telemetry
        .scrape(shared.store().as_ref(), shared.now())
        .await?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
