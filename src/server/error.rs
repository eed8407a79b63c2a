//! How the surface says no: a status, a code for programs, a message and a help for people. Never says to a
//! stranger more than that they are one.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::playbook::BadInputs;
use crate::run::CannotStart;
use crate::store::Error;

/// When a sender should try again, seconds.
const RETRY_AFTER_S: &str = "5";

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
    help: String,
}

/// What is sent of it.
#[derive(Serialize)]
struct Sent<'a> {
    error: SentError<'a>,
}

#[derive(Serialize)]
struct SentError<'a> {
    code: &'a str,
    message: &'a str,
    help: &'a str,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> ApiError {
        ApiError {
            status,
            code,
            message: message.into(),
            help: help.into(),
        }
    }

    /// The request is not one (400).
    pub(super) fn bad(message: impl Into<String>, help: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "bad-request", message, help)
    }

    /// There is no such thing (404).
    pub(super) fn missing(message: impl Into<String>, help: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", message, help)
    }

    /// It cannot be done as things stand (409).
    pub(super) fn conflict(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, code, message, help)
    }

    /// The caller may not do it (403).
    pub(super) fn forbidden(message: impl Into<String>, help: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", message, help)
    }

    /// A defect of ours (500). Logged here, because nobody above can do anything about it.
    pub(super) fn defect(why: impl std::fmt::Display) -> ApiError {
        tracing::error!("a request could not be answered: {why}");
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "cordon could not do it",
            "see the server's log under the request id of this answer",
        )
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        match &error {
            Error::Missing { .. } => ApiError::missing(error.to_string(), "check the id"),
            Error::Conflict { .. } | Error::Gap { .. } => ApiError::conflict(
                "changed-meanwhile",
                error.to_string(),
                "read it again, then try again",
            ),
            _ => {
                if error.may_pass() {
                    tracing::warn!("the store cannot take a request: {error}");
                } else {
                    tracing::error!("the store refuses a request: {error}");
                }
                ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store-unavailable",
                    "the store cannot do it now",
                    "try again in a few seconds; `GET /readyz` says when it can",
                )
            }
        }
    }
}

impl From<CannotStart> for ApiError {
    fn from(error: CannotStart) -> ApiError {
        match error {
            CannotStart::Store(error) => error.into(),
            CannotStart::Nothing(why) => {
                ApiError::conflict("nothing-to-do", why, "`cordon show RUN` shows what a run did")
            }
            CannotStart::Inputs(error) => {
                let help = match &error {
                    BadInputs::Unknown { help, .. } => help.clone(),
                    BadInputs::Missing(name) => format!("give it: `--input {name}=…`"),
                };
                ApiError::bad(error.to_string(), help)
            }
            CannotStart::Defect(why) => ApiError::defect(why),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let sent = Sent {
            error: SentError {
                code: self.code,
                message: &self.message,
                help: &self.help,
            },
        };
        let mut response = (self.status, Json(sent)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"cordon\""),
                );
            }
            // What is left of the request is not read, so the connection cannot carry another.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
