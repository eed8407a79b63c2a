//! `/_range/…`: looking at a range and steering it from outside its process. Loopback only and without a
//! password, since everything here is a stand-in; nothing of it reaches a real vendor.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::server::Shared;
use super::world::{ControlError, World};

/// The control calls, to be nested under `/_range`.
///
/// - `GET /ledger`: array of ledger lines since the last reset
/// - `GET /state`: `{"hosts": […], "things": […], "faults": […]}`; things are records of the other vendors
/// - `POST /hosts`: a [`super::HostChange`]; answers the whole host
/// - `POST /things`: one record as `state` shows it, such as `{"okta_user": {…}}`: put there, or in place of the
///   one with its id, as if somebody had done it at the vendor
/// - `GET`, `POST`, `DELETE /faults`: list, add a [`super::Fault`], clear
/// - `POST /tokens/expire`: ends every token
/// - `POST /reset`: back to the seed
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/ledger", get(ledger))
        .route("/state", get(state))
        .route("/hosts", post(set_host))
        .route("/things", post(set_thing))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/tokens/expire", post(expire_tokens))
        .route("/reset", post(reset))
        .fallback(unknown)
}

type Control = State<Arc<Shared>>;

async fn ledger(State(shared): Control) -> Response {
    let ledger = shared.with(|world| world.ledger()).await;
    Json(ledger.lines()).into_response()
}

async fn state(State(shared): Control) -> Response {
    let read = |world: &mut World| {
        let things = world.vendors().things().into_iter();
        let records: Vec<Value> = things
            .filter(|thing| thing.kind != "host")
            .map(|thing| thing.record)
            .collect();
        (world.vendors().crowdstrike.hosts(), records, world.faults())
    };
    let (hosts, things, faults) = shared.with(read).await;
    Json(json!({ "hosts": hosts, "things": things, "faults": faults })).into_response()
}

async fn set_thing(State(shared): Control, body: Bytes) -> Response {
    match read::<Value>(&body) {
        Ok(record) => answer(shared.with(move |world| world.put_record(&record)).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn set_host(State(shared): Control, body: Bytes) -> Response {
    match read(&body) {
        Ok(change) => answer(shared.with(move |world| world.set_host(change)).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn faults(State(shared): Control) -> Response {
    Json(shared.with(|world| world.faults()).await).into_response()
}

async fn add_fault(State(shared): Control, body: Bytes) -> Response {
    match read(&body) {
        Ok(fault) => answer(shared.with(move |world| world.add_fault(fault)).await),
        Err(error) => answer::<()>(Err(error)),
    }
}

async fn clear_faults(State(shared): Control) -> Response {
    shared.with(World::clear_faults).await;
    answer(Ok(()))
}

async fn expire_tokens(State(shared): Control) -> Response {
    answer(
        shared
            .with(World::expire_tokens)
            .await
            .map_err(ControlError::from),
    )
}

async fn reset(State(shared): Control) -> Response {
    answer(shared.with(World::reset).await.map_err(ControlError::from))
}

async fn unknown() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "no such control call; there are ledger, state, hosts, things, faults, tokens/expire, reset",
    )
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(ControlError::Unreadable)
}

fn answer<T: serde::Serialize>(done: Result<T, ControlError>) -> Response {
    match done {
        Ok(value) => Json(value).into_response(),
        Err(error @ ControlError::Ledger(_)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    let body: Value = json!({ "error": why });
    (status, Json(body)).into_response()
}
