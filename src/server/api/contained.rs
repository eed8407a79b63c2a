//! What is contained now, and its release by the name a person has for it.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::start::Started;
use crate::containment::{Contained, Found, find, holds, ledger};
use crate::id::{EffectId, RunId};
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;

#[derive(Serialize)]
pub(super) struct List {
    contained: Vec<Contained>,
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<List>, ApiError> {
    let holds = holds(shared.store().as_ref()).await?;
    Ok(Json(List {
        contained: ledger(&holds, shared.now()),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    entity: String,
    reason: String,
}

pub(super) async fn release(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Release>,
) -> Result<Json<Started>, ApiError> {
    let reason = reason(&asked.reason)?;
    let all = holds(shared.store().as_ref()).await?;
    let name = asked.entity.escape_debug();
    let held = match find(&all, &asked.entity) {
        Found::One(held) => held,
        Found::Nothing => {
            return Err(ApiError::missing(
                format!("nothing called `{name}` is contained"),
                "`cordon contained` lists what is",
            ));
        }
        Found::Several(targets) => {
            let list: Vec<String> = targets
                .iter()
                .map(|target| format!("{} is {}", target.key(), target.label()))
                .collect();
            return Err(ApiError::conflict(
                "ambiguous-target",
                format!("`{name}` could be {} targets: {}", list.len(), list.join("; ")),
                "give one of the keys instead, such as the first word of a target above",
            ));
        }
    };
    let subject = held.first().map(|hold| hold.target.label()).unwrap_or_default();
    // The latest first, as in every undo.
    let mut holders: Vec<_> = held.iter().flat_map(|hold| &hold.holders).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.since));
    let effects: Vec<(RunId, EffectId)> = holders.iter().map(|holder| (holder.run, holder.effect)).collect();
    let run = shared
        .handle
        .revert(effects, &who.0, &reason, None, subject)
        .await?;
    tracing::info!(run.id = %run, principal = who.0, "a containment is released");
    Ok(Json(Started { run }))
}
