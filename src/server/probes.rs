//! What machines ask: does it live, can it take a write, how much of everything is there.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ApiError;
use super::services::Shared;
use crate::telemetry::OPENMETRICS;
use crate::upkeep::{Level, level};

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
            let mut answer = serde_json::Map::from_iter([("ready".to_owned(), json!(true))]);
            if !parked.is_empty() {
                answer.insert("parked".to_owned(), json!(parked));
            }
            if let Some(room) = room(&shared) {
                answer.insert("warning".to_owned(), json!(room));
            }
            Ok(Json(Value::Object(answer)))
        }
        Err(error) => Err(ApiError::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            error.to_string(),
            "alerts are answered 503 and no effect begins until the store takes writes again",
        )),
    }
}

/// What is left of the room, in one sentence, where it is low.
fn room(shared: &Shared) -> Option<String> {
    let health = shared.upkeep.now().health?;
    let level = level(&health);
    (level != Level::Enough).then(|| {
        format!(
            "room is {}: {} of {} bytes are free",
            level.word(),
            health.free_bytes.unwrap_or(0),
            health.total_bytes.unwrap_or(0)
        )
    })
}

/// Metrics, as OpenMetrics text.
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let standing = shared.content.standing();
    shared
        .telemetry
        .content(standing.loaded_at, standing.refused.is_some());
    let shown = shared.upkeep.now();
    let health = shown.health.unwrap_or_default();
    let mut bytes = vec![("used", health.used_bytes)];
    bytes.extend(health.free_bytes.map(|free| ("free", free)));
    bytes.extend(health.total_bytes.map(|total| ("total", total)));
    let collected = [("runs", shown.collected.runs), ("alerts", shown.collected.alerts)];
    shared.telemetry.upkeep(&shown.violations, &bytes, &collected);
    let text = shared
        .telemetry
        .scrape(shared.store().as_ref(), shared.now())
        .await?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
