//! What arrived: listed, shown whole, and processed again on request.

use axum::Json;
use axum::extract::{Path, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::routes::{Ask, id};
use super::runs::{Told, tell};
use crate::id::AlertId;
use crate::intake::NotProcessed;
use crate::journal::ChainId;
use crate::server::auth::Who;
use crate::server::cursor::{self, Cursor, limit};
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{AlertRow, Disposition};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    disposition: Option<Disposition>,
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Serialize)]
pub(super) struct List {
    alerts: Vec<AlertRow>,
    /// `before` of the next page.
    next: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Ask(query): Ask<Query>,
) -> Result<Json<List>, ApiError> {
    let before = query.before.as_deref().map(Cursor::parse).transpose()?;
    let store = shared.store();
    let (alerts, next) = cursor::page(
        before,
        limit(query.limit)?,
        |row: &AlertRow| (row.received_at, row.id.to_string()),
        |partition, before, limit| store.alerts(partition, before, query.disposition, limit),
    )
    .await?;
    Ok(Json(List { alerts, next }))
}

#[derive(Serialize)]
pub(super) struct Whole {
    alert: AlertRow,
    headers: Vec<(String, String)>,
    /// As text where it is text.
    body: Option<String>,
    /// In Base64 (RFC 4648, section 4) where it is not.
    body_base64: Option<String>,
    events: Vec<Told>,
    digest_ok: bool,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<Whole>, ApiError> {
    let alert_id: AlertId = id(&text)?;
    let alert = shared
        .store()
        .alert(alert_id.partition(), alert_id)
        .await?
        .ok_or_else(|| unknown(alert_id))?;
    let entries = shared
        .store()
        .journal(alert_id.partition(), ChainId::Alert(alert_id), 0)
        .await?;
    let (events, digest_ok) = tell(&entries, alert.row.len, &alert.row.last);
    let (body, body_base64) = match String::from_utf8(alert.body) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    Ok(Json(Whole {
        alert: alert.row,
        headers: alert.headers,
        body,
        body_base64,
        events,
        digest_ok,
    }))
}

#[derive(Serialize)]
pub(super) struct Reprocessed {
    alert: AlertRow,
}

pub(super) async fn reprocess(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
) -> Result<Json<Reprocessed>, ApiError> {
    let alert_id: AlertId = id(&text)?;
    tracing::info!(alert.id = %alert_id, principal = who.0, "an alert is processed again");
    match shared.pipeline.reprocess(alert_id, &who.0).await {
        Ok(true) => {}
        Ok(false) => return Err(unknown(alert_id)),
        Err(NotProcessed::Store(error)) => return Err(error.into()),
        Err(NotProcessed::Start(error)) => return Err(error.into()),
        Err(NotProcessed::Interrupted(why) | NotProcessed::Later { why, .. }) => {
            let help = "the alert is pending and will be looked at again by itself";
            return Err(ApiError::conflict("still-pending", why, help));
        }
    }
    let alert = shared
        .store()
        .alert(alert_id.partition(), alert_id)
        .await?
        .ok_or_else(|| unknown(alert_id))?;
    Ok(Json(Reprocessed { alert: alert.row }))
}

pub(super) fn unknown(id: AlertId) -> ApiError {
    ApiError::missing(format!("there is no {id}"), "`cordon alerts` lists what is there")
}
