//! The shipped connectors against servers that other people wrote, through the engine that runs use. `scripts/test`
//! installs and starts the servers and says where they are; without that these tests fail, they never skip.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alertmanager;
#[path = "../contract/cases/mod.rs"]
mod cases;
#[allow(dead_code, reason = "shared with the battery, which uses more of it")]
#[path = "../battery/engine.rs"]
mod engine;
mod mail;
mod moto;
mod redis;
mod relay;
mod samba;
mod scim;
#[allow(
    dead_code,
    reason = "the same files have a test target of their own, which uses all of it"
)]
#[allow(unused_imports, reason = "shared with the model tests, which use more of it")]
#[path = "../model/sequences/mod.rs"]
mod sequences;
#[path = "../it/serving.rs"]
mod serving;
mod sns;
#[path = "../it/sns_key.rs"]
mod sns_key;
mod synapse;

use cordon::connector::{Instance, Overrides, Settings};
use cordon::secret::Secret;
use serde_json::{Value, json};

/// What `scripts/counterparties/NAME start` wrote to its `env`.
pub fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `scripts/test`, which starts the servers and says where they are")
    })
}

/// An instance of a connector that is reached by HTTP.
pub fn instance(connector: &str, base: &str, credentials: &[(&str, &str)]) -> Instance {
    Instance {
        name: connector.to_owned(),
        connector: connector.to_owned(),
        base_url: Some(base.parse().unwrap()),
        credentials: credentials
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Secret::new(*text)))
            .collect(),
        settings: Settings::default(),
        hosts: Vec::new(),
        ca: None,
        without_tls: false,
        when: Vec::new(),
        overrides: Overrides {
            lag_ms: Some(500),
            in_flight_ms: Some(1_000),
            propagation_ms: Some(5_000),
            timeout_ms: Some(10_000),
        },
    }
}

/// An account as a playbook names it.
pub fn account(name: &str) -> Value {
    json!({ "type": "service_account", "role": "affected", "name": name, "uid": name })
}
