//! Slack: says no with status 200, takes no key, keeps the metadata of a message.

use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply};
use crate::row::{Open, Row, Twice};

#[derive(Default)]
struct Slack {
    messages: Vec<Value>,
}

impl Model for Slack {
    fn connector(&self) -> &'static str {
        "slack"
    }

    fn no_token(&self) -> Reply {
        Reply::of(200, json!({ "ok": false, "error": "token_expired" }))
    }

    fn too_many(&self) -> Reply {
        Reply::of(429, json!({ "ok": false, "error": "ratelimited" })).with("retry-after", "1")
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        match ask.route() {
            ("POST", p) if p == ["api", "chat.postMessage"] => {
                let ts = format!("1700000000.{:06}", self.messages.len() + 1);
                let mut message = ask.body.clone();
                message["ts"] = json!(ts);
                self.messages.push(message);
                Reply::did(
                    200,
                    json!({ "ok": true, "channel": ask.body["channel"], "ts": ts }),
                )
            }
            ("GET", p) if p == ["api", "conversations.history"] => {
                assert_eq!(ask.query("include_all_metadata"), "true");
                let here = self
                    .messages
                    .iter()
                    .filter(|message| message["channel"] == ask.query("channel"));
                let newest_first: Vec<Value> = here.rev().cloned().collect();
                Reply::of(200, json!({ "ok": true, "messages": newest_first }))
            }
            other => panic!("Slack has no {other:?}"),
        }
    }

    fn state(&self) -> Value {
        json!(self.messages)
    }
}

const OPEN: Open = || Box::pin(Double::start(Slack::default()));

pub fn rows() -> Vec<Row> {
    let message = |to: &str| json!({ "to": to, "subject": "Contained svc-backup", "text": "see the run" });
    vec![
        Row::new("slack::send_message", OPEN, Value::Null)
            .options(message("C024BE91L"))
            .nobody(message("#general"))
            .twice(Twice::Again),
    ]
}
