//! The store itself: what it lost although it had acknowledged it, and putting it back.

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use crate::id::Partition;
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{Parked, Recovered, Recovery};

/// A partition that is parked, with what it is about.
#[derive(Serialize)]
pub(super) struct Lost {
    #[serde(flatten)]
    parked: Parked,
    /// What nodes remember and can put back, in words, the first of it.
    missing: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Standing {
    parked: Vec<Lost>,
    /// What was put back before, the latest last.
    recoveries: Vec<Recovery>,
}

pub(super) async fn show(State(shared): State<Shared>) -> Result<Json<Standing>, ApiError> {
    let store = shared.store();
    let mut lost = Vec::new();
    for parked in store.parked().await? {
        let missing = store.missing(parked.partition).await?;
        lost.push(Lost { parked, missing });
    }
    Ok(Json(Standing {
        parked: lost,
        recoveries: store.recoveries().await?,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    reason: String,
}

pub(super) async fn recover(
    State(shared): State<Shared>,
    Path(partition): Path<String>,
    who: Who,
    Asked(asked): Asked<Why>,
) -> Result<Json<Recovered>, ApiError> {
    let number = partition.strip_prefix('p').and_then(|number| number.parse().ok());
    let partition = number.and_then(Partition::number).ok_or_else(|| {
        ApiError::bad(
            format!("`{partition}` is no partition"),
            "partitions are `p00` to `p15`; `cordon store status` names those that are parked",
        )
    })?;
    let reason = reason(&asked.reason)?;
    tracing::warn!(principal = who.0, reason, "partition {partition} is put back");
    let recovered = shared.store().recover(partition, &who.0, &reason).await?;
    tracing::warn!(
        principal = who.0,
        "partition {partition} goes on: {} writes put back, {} there already, {} refused",
        recovered.put_back,
        recovered.there,
        recovered.refused
    );
    Ok(Json(recovered))
}
