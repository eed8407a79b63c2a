//! `POST /hooks/NAME`: the only path of strangers. Answers 2xx only when the alert is durable, and tells a
//! sender that did not prove itself nothing about why; the log has it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body;
use super::error::ApiError;
use super::services::Shared;
use crate::id::AlertId;
use crate::intake::{Challenged, Headers, Kept, Turned};
use crate::limits::ALERT_BODY_BYTES_MAX;

/// What a sender is told.
#[derive(Serialize)]
struct Accepted {
    alert: AlertId,
    times: u64,
}

pub(super) async fn receive(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let known = shared.gate.profiles().contains_key(&name);
    let answer = take(&shared, &name, &headers, body).await;
    let response = match answer {
        Ok(Kept { alert, times }) => {
            if times == 1 {
                shared.telemetry.kept();
            }
            (StatusCode::ACCEPTED, Json(Accepted { alert, times })).into_response()
        }
        Err(refusal) => refusal.into_response(),
    };
    shared
        .telemetry
        .delivery(known.then_some(name.as_str()), response.status().as_u16());
    response
}

/// What a sender that asks before its first alert gets to hear.
#[derive(Serialize)]
struct Verification {
    verification: String,
}

/// `GET /hooks/NAME`: only senders that ask a question first are answered, with what they asked and nothing else.
pub(super) async fn challenge(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !shared.gate.profiles().contains_key(&name) {
        return unknown().into_response();
    }
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    match shared.gate.challenge(&name, &Headers::of(pairs)) {
        Challenged::Nothing => other_method(State(shared), Path(name)).await,
        Challenged::NoQuestion => ApiError::bad(
            "a GET here is for the sender's one-time question, and this holds none",
            "alerts are sent by POST",
        )
        .into_response(),
        Challenged::Echo(verification) => Json(Verification { verification }).into_response(),
    }
}

/// Any other method, said with those the source has.
pub(super) async fn other_method(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let asks = shared
        .gate
        .profiles()
        .get(&name)
        .is_some_and(|profile| profile.challenge.is_some());
    let mut response = super::router::other_method().await.into_response();
    let allowed = HeaderValue::from_static(if asks { "GET, POST" } else { "POST" });
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

async fn take(shared: &Shared, name: &str, headers: &HeaderMap, body: Body) -> Result<Kept, ApiError> {
    if !shared.gate.profiles().contains_key(name) {
        return Err(unknown());
    }
    let bytes = body::read(headers, body, ALERT_BODY_BYTES_MAX, shared.allowed).await?;
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let received = shared.gate.receive(name, &Headers::of(pairs), &bytes).await;
    received.map_err(|turned| match turned {
        Turned::Unknown(_) => unknown(),
        Turned::Refused(refused) => {
            tracing::warn!(
                source = name,
                rule = refused.rule,
                "a delivery was refused: {}",
                refused.why
            );
            ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the delivery did not prove where it comes from",
                "check the secret and the clock on both sides; cordon's log says what was wrong",
            )
        }
        Turned::Unproven(why) => {
            tracing::warn!(
                source = name,
                "a delivery could not be judged, its sender is told to repeat it: {why}"
            );
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not-judged",
                "whether the delivery is genuine cannot be told now",
                "send it again in a few seconds",
            )
        }
        Turned::TooLarge => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the body is larger than {ALERT_BODY_BYTES_MAX} bytes"),
            "send fewer findings at a time",
        ),
        // Whatever the store says, the sender has to send it again: it is not durable.
        Turned::Store(error) => {
            tracing::error!(
                source = name,
                "a delivery could not be kept, its sender is told to repeat it: {error}"
            );
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-unavailable",
                "the alert could not be kept",
                "send it again in a few seconds",
            )
        }
        Turned::Defect(why) => ApiError::defect(why),
    })
}

fn unknown() -> ApiError {
    ApiError::missing(
        "there is no source of this name",
        "add a `[[source]]` of that name to the configuration, or mend the address",
    )
}
