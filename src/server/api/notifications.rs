//! What people were told and how that went, a message that tests it, and who is on call.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::routes::Ask;
use crate::clock::Time;
use crate::notify::{Duty, Trial, View, Whom, duties, trial};
use crate::server::auth::Who;
use crate::server::body::Asked;
use crate::server::cursor::{self, Cursor, limit};
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{Notice, NoticeQuery, NoticeState};

/// Most recipients of one test.
const TESTED_MAX: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    state: Option<NoticeState>,
    limit: Option<usize>,
    before: Option<String>,
}

#[derive(Serialize)]
pub(super) struct List {
    notifications: Vec<View>,
    /// `before` of the next page.
    next: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Ask(query): Ask<Query>,
) -> Result<Json<List>, ApiError> {
    let before = query.before.as_deref().map(Cursor::parse).transpose()?;
    let store = shared.store();
    let (notices, next) = cursor::page(
        before,
        limit(query.limit)?,
        |notice: &Notice| (notice.at, notice.key.clone()),
        |partition, before, limit| {
            let asked = NoticeQuery {
                state: query.state,
                before,
                limit,
            };
            async move { store.notices(partition, &asked).await }
        },
    )
    .await?;
    Ok(Json(List {
        notifications: notices.iter().map(View::of).collect(),
        next,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Test {
    /// To whom; to those who get what no route takes where nobody is named.
    #[serde(default)]
    to: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Tested {
    trials: Vec<Trial>,
}

pub(super) async fn test(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Test>,
) -> Result<Json<Tested>, ApiError> {
    let plan = &shared.notify.plan;
    let mut whom = Vec::new();
    for text in asked.to.iter().take(TESTED_MAX) {
        let one: Whom = text.parse().map_err(|error: crate::notify::NotWhom| {
            ApiError::bad(error.to_string(), "`[notify]` in cordon.toml has the names")
        })?;
        if plan.reached(&one, shared.now()).recipients.is_empty() {
            return Err(ApiError::missing(
                format!("`{one}` leads to nobody"),
                "`[notify]` in cordon.toml has the names",
            ));
        }
        whom.push(one);
    }
    if asked.to.len() > TESTED_MAX {
        return Err(ApiError::bad(
            format!("a test goes to at most {TESTED_MAX}"),
            "name fewer at once",
        ));
    }
    if whom.is_empty() {
        whom = plan.unrouted();
    }
    let trials = trial(plan, &shared.notify.sender, &whom, &who.0, shared.now()).await;
    tracing::info!(principal = who.0, tried = trials.len(), "a test message was sent");
    Ok(Json(Tested { trials }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    at: Option<String>,
}

#[derive(Serialize)]
pub(super) struct OnCall {
    at: Time,
    oncall: Vec<Duty>,
}

pub(super) async fn oncall(
    State(shared): State<Shared>,
    Ask(when): Ask<When>,
) -> Result<Json<OnCall>, ApiError> {
    let at = match when.at.as_deref() {
        None => shared.now(),
        Some(text) => Time::parse(text).ok_or_else(|| {
            ApiError::bad(
                format!("`{}` is not a moment", text.escape_debug()),
                "write it like `2026-11-23T16:45:46Z`",
            )
        })?,
    };
    let plan = &shared.notify.plan;
    Ok(Json(OnCall {
        at,
        oncall: duties(&plan.rotas, plan.first_rota.as_deref(), at),
    }))
}
