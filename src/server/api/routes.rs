//! The paths below `/api`, all behind a token.

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{get, post};

use super::{
    alerts, approvals, backup, contained, content, halt, looking, notifications, plan, playbooks, retention,
    runs, speaking, start, status, store, tokens, undo,
};
use crate::server::auth::Who;
use crate::server::error::ApiError;
use crate::server::services::Shared;

/// Every path; who adds it here has it guarded.
pub(in crate::server) fn routes() -> Router<Shared> {
    Router::new()
        .route("/alerts", get(alerts::list))
        .route("/alerts/{id}", get(alerts::show))
        .route("/alerts/{id}/reprocess", post(alerts::reprocess))
        .route("/runs", get(runs::list).post(start::by_hand))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/undo", post(undo::run))
        .route("/runs/{id}/cancel", post(speaking::cancel))
        .route("/runs/{id}/retry", post(speaking::retry))
        .route("/effects/{id}/undo", post(undo::effect))
        .route("/effects/{id}/resolve", post(speaking::resolve))
        .route("/plan", post(plan::make))
        .route("/act", post(start::act))
        .route("/normalise", post(looking::normalise))
        .route("/match", post(looking::matches))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::show))
        .route("/approvals/{id}/approve", post(approvals::approve))
        .route("/approvals/{id}/deny", post(approvals::deny))
        .route("/contained", get(contained::list))
        .route("/release", post(contained::release))
        .route("/halt", get(halt::show).post(halt::halt))
        .route("/resume", post(halt::resume))
        .route("/notifications", get(notifications::list))
        .route("/notifications/test", post(notifications::test))
        .route("/oncall", get(notifications::oncall))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/playbooks", get(playbooks::list))
        .route("/reload", post(content::reload))
        .route("/backup", post(backup::make))
        .route("/retention", get(retention::show))
        .route("/status", get(status::show))
        .route("/store", get(store::show))
        .route("/store/{partition}/recover", post(store::recover))
}

/// Taken only where the guard has put it: a path outside the guard answers 500, never as nobody.
impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Who, ApiError> {
        let who = parts.extensions.get::<Who>().cloned();
        who.ok_or_else(|| ApiError::defect("a path of the API is not guarded"))
    }
}

/// The query string, with unknown names refused.
pub(super) struct Ask<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Ask<T>, ApiError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Ask(query.0)),
            Err(error) => Err(ApiError::bad(
                error.body_text(),
                "see the API's documentation for what this path takes",
            )),
        }
    }
}

/// An id in a path.
pub(super) fn id<T: std::str::FromStr<Err = crate::id::NotAnId>>(text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|error: crate::id::NotAnId| ApiError::bad(error.to_string(), "check the id"))
}
