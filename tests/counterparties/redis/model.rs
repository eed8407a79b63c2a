//! Redis and Valkey against the model of what stores promise (`tests/model`).

use super::stores::empty;
use crate::sequences::{compare, differs, found};
use crate::told;

#[test]
fn redis_keeps_what_is_promised() {
    let url = told("CORDON_REDIS_URL");
    compare("Redis", async || empty(&url).await);
}

#[test]
fn valkey_keeps_what_is_promised() {
    let url = told("CORDON_VALKEY_URL");
    compare("Valkey", async || empty(&url).await);
}

#[tokio::test]
async fn what_was_found_once_is_not_there_again() {
    for server in ["CORDON_REDIS_URL", "CORDON_VALKEY_URL"] {
        for (what, ops) in found::all() {
            let (store, ()) = empty(&told(server)).await;
            assert_eq!(differs(&store, &ops, &|| {}).await, Ok(()), "{server}: {what}");
        }
    }
}
