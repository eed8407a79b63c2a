//! Looking without doing: what a source would make of a body, and which triggers that would meet. Nothing is
//! kept and no run begins.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::id::FindingId;
use crate::intake::{NotRead, read};
use crate::server::body::Asked;
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::trigger::Miss;

/// A body as a source would deliver it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    source: String,
    body: String,
    /// Headers of the delivery, where its sender says there what the body is.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Its findings.
#[derive(Serialize)]
pub(super) struct Findings {
    findings: Vec<Finding>,
}

/// Its findings, each held against every trigger.
#[derive(Serialize)]
pub(super) struct Matches {
    findings: Vec<Met>,
}

#[derive(Serialize)]
struct Met {
    finding: FindingId,
    title: String,
    triggers: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    trigger: String,
    playbook: String,
    file: String,
    matched: bool,
    misses: Vec<Miss>,
}

pub(super) async fn normalise(
    State(shared): State<Shared>,
    Asked(asked): Asked<Body>,
) -> Result<Json<Findings>, ApiError> {
    Ok(Json(Findings {
        findings: findings(&shared, &asked).await?,
    }))
}

pub(super) async fn matches(
    State(shared): State<Shared>,
    Asked(asked): Asked<Body>,
) -> Result<Json<Matches>, ApiError> {
    let findings = findings(&shared, &asked).await?;
    let content = shared.content.now();
    let met = findings.into_iter().map(|finding| Met {
        triggers: content
            .index
            .explain(&finding)
            .into_iter()
            .map(|one| Held {
                trigger: one.trigger.title.clone(),
                playbook: one.trigger.playbook.clone(),
                file: one.trigger.file.clone(),
                matched: one.matched,
                misses: one.misses,
            })
            .collect(),
        finding: finding.id,
        title: finding.title,
    });
    Ok(Json(Matches {
        findings: met.collect(),
    }))
}

async fn findings(shared: &Shared, asked: &Body) -> Result<Vec<Finding>, ApiError> {
    let profile = shared.gate.profiles().get(&asked.source).ok_or_else(|| {
        let name = asked.source.escape_debug();
        ApiError::missing(
            format!("there is no source `{name}`"),
            "`GET /api/status` lists the sources",
        )
    })?;
    let evaluators = &shared.handle.context().evaluators;
    let content = shared.content.now();
    let headers: Vec<(String, String)> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    read(
        evaluators,
        &content.fresh(profile),
        &headers,
        asked.body.as_bytes(),
        shared.now(),
    )
    .await
    .map_err(|error| match error {
        NotRead::Unreadable(why) => ApiError::bad(
            format!("the body is unreadable: {why}"),
            "a delivery of it would be kept as unreadable",
        ),
        NotRead::Interrupted(why) => ApiError::defect(why),
        NotRead::Later { why, .. } => ApiError::defect(why),
    })
}
