//! Every path there is, and what is done for each request whatever its path: a request id, one line in the log,
//! and errors of one shape.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use super::auth::{self, Principals};
use super::error::ApiError;
use super::pace::Peer;
use super::services::{Services, Shared};
use super::{api, hooks, probes};
use crate::limits::REQUEST_READ_MS;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The whole surface. Serve it with [`serve`](super::serve()), which keeps slow senders from holding
/// connections.
pub fn router(services: Arc<Services>) -> Router {
    router_within(services, Duration::from_millis(REQUEST_READ_MS))
}

/// The same with another deadline for bodies.
pub(super) fn router_within(services: Arc<Services>, allowed: Duration) -> Router {
    let shared = Shared {
        services,
        principals: Arc::new(Principals::default()),
        allowed,
    };
    let api = api::routes()
        .fallback(unknown_path)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(shared.clone(), auth::guard));
    Router::new()
        .route(
            "/hooks/{name}",
            post(hooks::receive)
                .get(hooks::challenge)
                .fallback(hooks::other_method),
        )
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .nest("/api", api)
        .fallback(unknown_path)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn(each))
        .with_state(shared)
}

async fn unknown_path() -> ApiError {
    ApiError::missing(
        "there is nothing at this path",
        "paths begin with `/hooks/`, `/api/`, or are `/healthz`, `/readyz`, `/metrics`",
    )
}

pub(super) async fn other_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path is not used with this method",
        "the `Allow` header of this answer lists the methods it takes",
    )
}

/// Around every request: says to the connection's clock that a request has come, gives it an id, logs it once.
/// The log has the path's pattern, never the path, a header or a body.
async fn each(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let underway = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(peer)| peer.pace.begin());
    let peer = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .map(|ConnectInfo(peer)| peer.address.to_string());
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let id = request_id();
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    let status = response.status().as_u16();
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let path = path.as_deref().unwrap_or("(none)");
    let peer = peer.as_deref().unwrap_or("(unknown)");
    if response.status().is_server_error() {
        tracing::warn!(request.id = id, %method, path, peer, status, duration_ms, "a request was not answered");
    } else if response.status().is_client_error() {
        tracing::info!(request.id = id, %method, path, peer, status, duration_ms, "a request was refused");
    } else {
        tracing::debug!(request.id = id, %method, path, peer, status, duration_ms, "a request was answered");
    }
    drop(underway);
    response
}

/// Ours, never the caller's: nobody may write into our log.
fn request_id() -> String {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => data_encoding::HEXLOWER.encode(&bytes),
        Err(_) => "none".to_owned(),
    }
}
