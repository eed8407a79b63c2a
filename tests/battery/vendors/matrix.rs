//! A Matrix homeserver: the same transaction again is the same event.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply};
use crate::row::{Open, Row, Twice};

#[derive(Default)]
struct Matrix {
    events: Vec<Value>,
    transactions: BTreeMap<String, String>,
}

impl Model for Matrix {
    fn connector(&self) -> &'static str {
        "matrix"
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
        match (method, path.as_slice()) {
            ("GET", [_, _, "v3", "directory", "room", "#incidents:corp.example"]) => {
                Reply::of(200, json!({ "room_id": "!abc:corp.example" }))
            }
            (
                "PUT",
                [
                    _,
                    _,
                    "v3",
                    "rooms",
                    "!abc:corp.example",
                    "send",
                    "m.room.message",
                    transaction,
                ],
            ) => {
                if let Some(id) = self.transactions.get(*transaction) {
                    return Reply::of(200, json!({ "event_id": id }));
                }
                let id = format!("${}", self.events.len() + 1);
                self.transactions.insert((*transaction).to_owned(), id.clone());
                self.events
                    .push(json!({ "event_id": id, "type": "m.room.message", "content": ask.body }));
                Reply::did(200, json!({ "event_id": id }))
            }
            ("GET", [_, _, "v3", "rooms", "!abc:corp.example", "messages"]) => {
                assert_eq!(ask.query("dir"), "b");
                let newest_first: Vec<Value> = self.events.iter().rev().cloned().collect();
                Reply::of(200, json!({ "chunk": newest_first }))
            }
            other => panic!("Matrix has no {other:?}"),
        }
    }

    fn state(&self) -> Value {
        json!(self.events)
    }
}

const OPEN: Open = || Box::pin(Double::start(Matrix::default()));

pub fn rows() -> Vec<Row> {
    let message = |to: &str| json!({ "to": to, "subject": "Contained svc-backup", "text": "see the run" });
    vec![
        Row::new("matrix::send_message", OPEN, Value::Null)
            .options(message("#incidents:corp.example"))
            .nobody(message("everybody"))
            .twice(Twice::Again),
    ]
}
