//! The admin API of Synapse. Its PUT makes an account that is not there, which counts as a change here.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply};
use crate::row::{Open, Row, entity};

struct Account {
    locked: bool,
    devices: Vec<&'static str>,
}

struct Synapse {
    accounts: BTreeMap<String, Account>,
}

impl Synapse {
    fn new() -> Synapse {
        let account = |locked, devices| Account { locked, devices };
        Synapse {
            accounts: BTreeMap::from([
                (
                    "@svc-backup:corp.example".to_owned(),
                    account(false, vec!["AAA", "BBB"]),
                ),
                ("@svc-old:corp.example".to_owned(), account(true, vec![])),
            ]),
        }
    }
}

impl Model for Synapse {
    fn connector(&self) -> &'static str {
        "synapse"
    }

    fn no_token(&self) -> Reply {
        Reply::of(
            401,
            json!({ "errcode": "M_UNKNOWN_TOKEN", "error": "unknown token" }),
        )
    }

    fn too_many(&self) -> Reply {
        Reply::of(
            429,
            json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": 1_000 }),
        )
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        let (method, path) = ask.route();
        let [_, _, "v2", "users", id, rest @ ..] = path.as_slice() else {
            panic!("Synapse has no {path:?}");
        };
        if method == "PUT" && rest.is_empty() {
            let account = self.accounts.entry((*id).to_owned()).or_insert(Account {
                locked: false,
                devices: Vec::new(),
            });
            account.locked = ask.body["locked"].as_bool().unwrap();
            return Reply::did(200, json!({ "name": id }));
        }
        let Some(account) = self.accounts.get_mut(*id) else {
            return Reply::of(
                404,
                json!({ "errcode": "M_NOT_FOUND", "error": "User not found" }),
            );
        };
        match (method, rest) {
            ("GET", []) => Reply::of(
                200,
                json!({ "name": id, "locked": account.locked, "deactivated": false, "admin": false, "displayname": null }),
            ),
            ("GET", ["devices"]) => {
                let devices: Vec<Value> = account
                    .devices
                    .iter()
                    .map(|id| json!({ "device_id": id }))
                    .collect();
                Reply::of(200, json!({ "devices": devices, "total": devices.len() }))
            }
            ("POST", ["delete_devices"]) => {
                let gone = ask.body["devices"].as_array().unwrap();
                account.devices.retain(|device| !gone.contains(&json!(device)));
                Reply::did(200, json!({}))
            }
            other => panic!("Synapse has no {other:?}"),
        }
    }

    fn state(&self) -> Value {
        let accounts = self.accounts.iter();
        accounts
            .map(|(id, account)| json!([id, account.locked, account.devices]))
            .collect()
    }
}

const CHANGES: Open = || Box::pin(Double::start(Synapse::new()));
const READS: Open = || Box::pin(Double::start_for_reading(Synapse::new()));

/// Names of accounts are unique, so none is ambiguous.
pub fn rows() -> Vec<Row> {
    let row = |action, open, name| {
        Row::new(action, open, entity("service_account", name))
            .unknown(entity("service_account", "@svc-nobody:corp.example"))
    };
    vec![
        row("synapse::lock_user", CHANGES, "@svc-backup:corp.example"),
        row("synapse::unlock_user", CHANGES, "@svc-old:corp.example"),
        row("synapse::delete_devices", CHANGES, "@svc-backup:corp.example"),
        row("synapse::lookup_user", READS, "@svc-backup:corp.example"),
    ]
}
