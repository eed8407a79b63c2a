//! The playbooks this server runs, and what starts each.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::digest::Digest;
use crate::journal::{OnFailure, PlaybookKind};
use crate::server::services::Shared;

#[derive(Serialize)]
pub(super) struct List {
    playbooks: Vec<Playbook>,
}

#[derive(Serialize)]
struct Playbook {
    id: String,
    title: String,
    kind: PlaybookKind,
    on_failure: OnFailure,
    deadline_ms: u64,
    bundle: Digest,
    /// Titles of its triggers.
    triggers: Vec<String>,
}

pub(super) async fn list(State(shared): State<Shared>) -> Json<List> {
    let content = shared.content.now();
    let triggers = content.index.triggers();
    let playbooks = content.bundles.values().map(|bundle| Playbook {
        id: bundle.playbook.clone(),
        title: bundle.title.clone(),
        kind: bundle.kind,
        on_failure: bundle.on_failure,
        deadline_ms: bundle.deadline_ms,
        bundle: bundle.digest,
        triggers: triggers
            .iter()
            .filter(|trigger| trigger.playbook == bundle.playbook)
            .map(|trigger| trigger.title.clone())
            .collect(),
    });
    Json(List {
        playbooks: playbooks.collect(),
    })
}
