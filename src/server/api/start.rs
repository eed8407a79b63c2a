//! Runs started by a person: a playbook about a finding, an alert or inputs, or one action by itself. The id is
//! random, because a person who asks twice means it twice.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::alerts;
use super::routes::id;
use crate::action::ActionName;
use crate::finding::{Entity, EntityType, Finding, Role, SeverityId};
use crate::id::{AlertId, RunId};
use crate::intake::NotRead;
use crate::journal::Cause;
use crate::playbook::Bundle;
use crate::run::Start;
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::error::ApiError;
use crate::server::services::Shared;

/// Answer of everything that starts a run.
#[derive(Serialize)]
pub(super) struct Started {
    pub(super) run: RunId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByHand {
    playbook: String,
    finding: Option<Finding>,
    alert: Option<String>,
    /// Which finding of the alert, from 0; needed when there are several.
    index: Option<usize>,
    inputs: Option<BTreeMap<String, Value>>,
    /// Why, for the journal; a plan has none.
    #[serde(default)]
    reason: String,
}

pub(super) async fn by_hand(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<ByHand>,
) -> Result<Json<Started>, ApiError> {
    let reason = reason(&asked.reason)?;
    let (bundle, start) = starting(&shared, &who, asked, reason).await?;
    let run = start.run;
    shared.handle.keep_bundle(&bundle).await?;
    shared.handle.start(&bundle, start).await?;
    tracing::info!(run.id = %run, principal = who.0, playbook = bundle.playbook, "a run was started by hand");
    Ok(Json(Started { run }))
}

/// What a run that was asked for by hand is made of.
pub(super) async fn starting(
    shared: &Shared,
    who: &Who,
    asked: ByHand,
    reason: String,
) -> Result<(Bundle, Start), ApiError> {
    let content = shared.content.now();
    let bundle = content.bundles.get(&asked.playbook).ok_or_else(|| {
        let name = asked.playbook.escape_debug();
        ApiError::missing(
            format!("there is no playbook `{name}`"),
            "`GET /api/playbooks` lists what is there",
        )
    })?;
    let run = new_run()?;
    let cause = Cause::Person {
        principal: who.0.clone(),
        reason,
    };
    if asked.index.is_some() && asked.alert.is_none() {
        return Err(ApiError::bad(
            "`index` says which finding of an alert, and no alert is given",
            "give `alert` too",
        ));
    }
    let mut start = match (asked.finding, asked.alert) {
        (Some(finding), None) => Start::on_finding(run, cause, &finding, false),
        (None, Some(alert)) => {
            let (finding, weak) = of_alert(shared, &alert, asked.index).await?;
            Start::on_finding(run, cause, &finding, weak)
        }
        (None, None) => Start {
            run,
            cause,
            inputs: BTreeMap::new(),
            severity_id: SeverityId(1),
            subject: "by hand".to_owned(),
            weak_source: false,
        },
        _ => {
            return Err(ApiError::bad(
                "a run is about one thing",
                "give `finding` or `alert`, and not both of them",
            ));
        }
    };
    for (name, value) in asked.inputs.unwrap_or_default() {
        if name == "finding" {
            return Err(ApiError::bad(
                "a finding is no input",
                "give it as `finding`, beside `inputs`",
            ));
        }
        start.inputs.insert(name, value);
    }
    Ok((bundle.clone(), start))
}

async fn of_alert(shared: &Shared, text: &str, index: Option<usize>) -> Result<(Finding, bool), ApiError> {
    let alert_id: AlertId = id(text)?;
    let alert = shared.store().alert(alert_id.partition(), alert_id).await?;
    let alert = alert.ok_or_else(|| alerts::unknown(alert_id))?;
    let profile = shared.gate.profiles().get(&alert.row.source).ok_or_else(|| {
        let message = format!(
            "the alert's source `{}` is not configured any more",
            alert.row.source
        );
        ApiError::conflict(
            "no-source",
            message,
            "configure it again, or give the `finding` itself",
        )
    })?;
    let content = shared.content.now();
    let reading = shared.pipeline.read(&content.fresh(profile), &alert).await;
    let reading = reading.map_err(|error| match error {
        NotRead::Unreadable(why) => ApiError::conflict(
            "unreadable",
            why.to_string(),
            "mend the source's mapping, or give the `finding` itself",
        ),
        NotRead::Interrupted(why) => ApiError::conflict("interrupted", why, "try again"),
        NotRead::Later { why, .. } => ApiError::conflict("interrupted", why, "try again in a minute"),
    })?;
    let findings = reading.findings;
    let count = findings.len();
    let index = match (index, count) {
        (Some(index), _) => index,
        (None, 0 | 1) => 0,
        (None, _) => {
            let message = format!("the alert holds {count} findings");
            return Err(ApiError::bad(
                message,
                format!("say which in `index`, 0 to {}", count - 1),
            ));
        }
    };
    let finding = findings.into_iter().nth(index).ok_or_else(|| {
        ApiError::missing(
            format!("the alert holds {count} findings, none at `{index}`"),
            "`index` counts from 0",
        )
    })?;
    Ok((finding, profile.auth.is_weak()))
}

fn new_run() -> Result<RunId, ApiError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(ApiError::defect)?;
    Ok(RunId::derive(&[b"person".as_slice(), &nonce]))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Act {
    action: String,
    target: ActTarget,
    #[serde(default)]
    options: Map<String, Value>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActTarget {
    #[serde(rename = "type")]
    kind: EntityType,
    name: String,
    uid: Option<String>,
    #[serde(default)]
    ids: BTreeMap<String, String>,
}

pub(super) async fn act(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Act>,
) -> Result<Json<Started>, ApiError> {
    let reason = reason(&asked.reason)?;
    let action: ActionName = asked
        .action
        .parse()
        .map_err(|error: crate::action::NotAnActionName| {
            ApiError::bad(
                error.to_string(),
                "`cordon connectors` lists the actions there are",
            )
        })?;
    let ActTarget { kind, name, uid, ids } = asked.target;
    let real = Entity::new(kind, Role::Affected, &name).ok_or_else(|| {
        let message = format!(
            "`{}` is a placeholder or not a {}",
            name.escape_debug(),
            kind.word()
        );
        ApiError::bad(message, "give the name people use for it")
    })?;
    let uid = uid.unwrap_or_else(|| real.name.clone());
    let target = json!({ "type": kind, "name": real.name, "uid": uid, "ids": ids });
    let options = Value::Object(asked.options);
    let run = shared
        .handle
        .act(&action.to_string(), target, options, &who.0, &reason)
        .await?;
    tracing::info!(run.id = %run, principal = who.0, action = %action, "an action was started by hand");
    Ok(Json(Started { run }))
}
