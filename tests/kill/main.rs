//! Random kill -9 under load: alerts come at a steady rate over HTTP, many runs are under way, and servers are killed at
//! random moments and started again. Afterwards every alert that was answered 2xx has had its run, each vendor was
//! changed once for each effect, and nothing is stuck or held. `scripts/kill` is the long form, and has Redis as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod battery;
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../crash/estate.rs"]
mod estate;
mod figures;
mod form;
mod load;
mod nodes;
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../crash/server.rs"]
mod server;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the crash battery, which uses more of it"
)]
#[path = "../witness/mod.rs"]
mod witness;

use form::{Form, Keep};

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_under_load_loses_repeats_or_forgets_anything() {
    battery::kill_under_load(&Form::of_environment(Keep::Sqlite)).await;
}
