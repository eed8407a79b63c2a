//! Bodies: read up to a bound and a deadline, and never held past either; JSON strictly, with the unknown
//! fields of a typing mistake refused instead of ignored.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::services::Shared;
use crate::limits::ALERT_BODY_BYTES_MAX;

/// Largest body of an API request, bytes: a whole finding fits, with a little around it.
const API_BODY_BYTES_MAX: usize = ALERT_BODY_BYTES_MAX + (64 << 10);
/// How much of a body that is too large is read and thrown away, bytes, so that the sender gets to read why:
/// a connection closed under unread data is reset, and the answer lost with it. Nothing of it is held, and the
/// deadline of bodies bounds the time.
const THROWN_AWAY_BYTES_MAX: usize = 32 << 20;

/// The whole body, if it has at most `bytes_max` and comes in time.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    allowed: Duration,
) -> Result<Vec<u8>, ApiError> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes());
    if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "compressed",
            "a compressed body is not read",
            "send it without `Content-Encoding`",
        ));
    }
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    let read = tokio::time::timeout(allowed, take(body, declared.unwrap_or(0), bytes_max)).await;
    read.unwrap_or_else(|_| {
        Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            format!("the body did not come within {} ms", allowed.as_millis()),
            "send it faster, or less of it",
        ))
    })
}

async fn take(body: Body, declared: usize, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut taken = Vec::with_capacity(declared.min(bytes_max));
    let mut seen = 0_usize;
    let mut too_large = declared > bytes_max;
    if declared > THROWN_AWAY_BYTES_MAX {
        return Err(too_large_error(bytes_max));
    }
    while let Some(part) = stream.next().await {
        let part = part.map_err(|_| ApiError::bad("the body broke off", "send it again"))?;
        seen = seen.saturating_add(part.len());
        if too_large || seen > bytes_max {
            too_large = true;
            taken = Vec::new();
            if seen > THROWN_AWAY_BYTES_MAX {
                break;
            }
        } else {
            taken.extend_from_slice(&part);
        }
    }
    if too_large {
        Err(too_large_error(bytes_max))
    } else {
        Ok(taken)
    }
}

fn too_large_error(bytes_max: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        format!("the body is larger than {bytes_max} bytes"),
        "send fewer findings at a time",
    )
}

/// A JSON request of the API.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Asked<T>, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(&parts.headers, body, API_BODY_BYTES_MAX, shared.allowed).await?;
        serde_json::from_slice(&bytes).map(Asked).map_err(|error| {
            ApiError::bad(
                format!("the request is not what this path takes: {error}"),
                "see the API's documentation",
            )
        })
    }
}

/// A reason is why somebody will understand this in a year; blank is none.
pub(super) fn reason(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ApiError::bad(
            "the reason is blank",
            "say in `reason` why, for whoever reads it later",
        ));
    }
    let chars_max = crate::limits::ALERT_TEXT_CHARS_MAX;
    if text.chars().count() > chars_max {
        return Err(ApiError::bad(
            format!("the reason is longer than {chars_max} characters"),
            "write the heart of it and where the rest can be read",
        ));
    }
    Ok(text.to_owned())
}
