//! Principals: listed by name, made with a token that is shown once.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::server::auth::{FIRST_PRINCIPAL, Who, make, principal_name};
use crate::server::body::Asked;
use crate::server::error::ApiError;
use crate::server::services::Shared;

/// The group whose members make tokens, beside the first principal.
const ADMINS: &str = "admins";

#[derive(Serialize)]
pub(super) struct List {
    tokens: Vec<Named>,
}

/// Never its digest: whoever can read it could try tokens against it.
#[derive(Serialize)]
struct Named {
    name: String,
    created_at: Time,
    created_by: String,
}

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<List>, ApiError> {
    let principals = shared.store().principals().await?.into_iter();
    let tokens = principals.map(|principal| Named {
        name: principal.name,
        created_at: principal.created_at,
        created_by: principal.created_by,
    });
    Ok(Json(List {
        tokens: tokens.collect(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    /// True to take the old token of that name out of use.
    #[serde(default)]
    replace: bool,
}

#[derive(Serialize)]
pub(super) struct Created {
    name: String,
    token: String,
}

/// The first principal, and the members of the group of admins.
pub(super) fn is_admin(shared: &Shared, who: &str) -> bool {
    let groups = &shared.handle.context().policy.groups;
    who == FIRST_PRINCIPAL || groups.0.get(ADMINS).is_some_and(|admins| admins.contains(who))
}

/// Whoever makes a token can act under its name, and so fill the quorum of an approval alone. So only the first
/// principal and the group `admins` make tokens; everybody else replaces their own.
fn may_make(shared: &Shared, who: &str, name: &str, replace: bool) -> Result<(), ApiError> {
    if is_admin(shared, who) || (replace && who == name) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        format!("`{who}` may replace the token of `{who}`, and make no other"),
        format!("ask `{FIRST_PRINCIPAL}`, or a member of the group `{ADMINS}` of `[groups]`"),
    ))
}

pub(super) async fn create(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<Create>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let name = principal_name(&asked.name)?;
    may_make(&shared, &who.0, &name, asked.replace)?;
    let _making = shared.principals.making.lock().await;
    let store = shared.store().as_ref();
    if !asked.replace
        && store
            .principals()
            .await?
            .iter()
            .any(|principal| principal.name == name)
    {
        return Err(ApiError::conflict(
            "name-taken",
            format!("there is a token for `{name}` already"),
            "choose another name, or say `\"replace\": true` to take the old token out of use",
        ));
    }
    let token = make(store, shared.handle.context().clock.as_ref(), &name, &who.0).await?;
    shared.principals.forget();
    tracing::info!(
        principal = who.0,
        name,
        replace = asked.replace,
        "a token was made"
    );
    Ok((StatusCode::CREATED, Json(Created { name, token })))
}
