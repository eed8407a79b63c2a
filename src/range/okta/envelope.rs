//! Bodies of answers, in the vendor's shapes.

use serde_json::{Value, json};

use super::super::vendor::{Body, Reply, request_id};
use super::person::{ApiToken, Grant, Group, OauthToken, User};
use crate::clock::Time;

/// Requests a minute. General knowledge, not compared with the vendor.
const RATE_LIMIT: u32 = 600;
/// When everything of the seed was made; a stand-in has no history.
const CREATED: &str = "2026-01-05T08:00:00.000Z";

pub(super) fn user(user: &User, told: Option<&str>) -> Value {
    json!({
        "id": user.id,
        "status": told.unwrap_or(user.status.as_str()),
        "created": CREATED,
        "lastUpdated": CREATED,
        "profile": { "login": user.login, "email": user.email, "displayName": user.display_name },
    })
}

pub(super) fn group(group: &Group) -> Value {
    json!({ "id": group.id, "type": "OKTA_GROUP", "created": CREATED, "profile": { "name": group.name } })
}

pub(super) fn token(user: &User, token: &OauthToken) -> Value {
    json!({
        "id": token.id,
        "status": "ACTIVE",
        "created": CREATED,
        "userId": user.id,
        "clientId": token.client,
        "scopes": ["offline_access"],
    })
}

pub(super) fn client(id: &str) -> Value {
    json!({ "client_id": id, "client_name": id })
}

pub(super) fn grant(user: &User, grant: &Grant) -> Value {
    json!({
        "id": grant.id,
        "status": "ACTIVE",
        "created": CREATED,
        "userId": user.id,
        "clientId": grant.client,
        "scopeId": grant.scope,
    })
}

pub(super) fn api_token(user: &User, token: &ApiToken) -> Value {
    json!({ "id": token.id, "name": token.name, "userId": user.id, "clientName": "Okta API", "created": CREATED })
}

/// The entry of the system log about sessions of this user that were cleared.
pub(super) fn cleared(user: &User, at_ms: i64) -> Value {
    json!({
        "uuid": format!("clear-{}-{at_ms}", user.id),
        "published": Time(at_ms).to_string(),
        "eventType": "user.session.clear",
        "outcome": { "result": "SUCCESS" },
        "target": [{ "id": user.id, "type": "User", "alternateId": user.login }],
    })
}

/// An answer that says no, in the vendor's envelope.
pub(super) fn failure(status: u16, message: &str, number: u64) -> Reply {
    let (code, summary) = match status {
        400 => ("E0000001", "Api validation failed"),
        401 => ("E0000011", "Invalid token provided"),
        403 => (
            "E0000006",
            "You do not have permission to perform the requested action",
        ),
        404 => ("E0000007", "Not found"),
        429 => (
            "E0000047",
            "API call exceeded rate limit due to too many requests",
        ),
        _ => ("E0000009", "Internal Server Error"),
    };
    let causes = if message.is_empty() {
        json!([])
    } else {
        json!([{ "errorSummary": message }])
    };
    let body = json!({
        "errorCode": code,
        "errorSummary": summary,
        "errorLink": code,
        "errorId": request_id(number),
        "errorCauses": causes,
    });
    Reply::json(status, body)
}

/// 204.
pub(super) fn nothing() -> Reply {
    Reply::new(204, Body::Empty)
}

/// What the vendor says of its limits beside every answer; `wait_s` where there is nothing left. There is no
/// `Retry-After` (our notes on vendor APIs, 2026-11-23).
pub(super) fn with_limits(reply: Reply, now: Time, wait_s: Option<u64>) -> Reply {
    let reset_s = now
        .0
        .div_euclid(1_000)
        .saturating_add_unsigned(wait_s.unwrap_or(60));
    let left = if wait_s.is_some() { 0 } else { RATE_LIMIT - 1 };
    reply
        .header("x-rate-limit-limit", RATE_LIMIT)
        .header("x-rate-limit-remaining", left)
        .header("x-rate-limit-reset", reset_s)
}
