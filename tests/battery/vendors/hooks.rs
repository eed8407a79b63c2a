//! A receiver of webhooks and a service without a connector of its own: they keep what they are sent. The receiver
//! checks signatures; the service knows a token.

use std::collections::BTreeSet;

use base64::Engine as _;
use cordon::connector::Instance;
use cordon::digest::Digest;
use serde_json::{Value, json};

use crate::double::{Ask, Double, Model, Reply, instance};
use crate::row::{Lost, Open, Row, Twice};

/// 32 bytes of `s`, as Standard Webhooks write a secret.
fn secret() -> String {
    format!(
        "whsec_{}",
        base64::engine::general_purpose::STANDARD.encode([b's'; 32])
    )
}

#[derive(Default)]
struct Receiver {
    ids: BTreeSet<String>,
}

impl Model for Receiver {
    fn connector(&self) -> &'static str {
        "webhook"
    }

    fn instance(&self, base: &str) -> Instance {
        instance("webhook", base, &[("secret", &secret())])
    }

    fn knows(&self, ask: &Ask) -> bool {
        let header = |name: &str| ask.headers.get(name).cloned().unwrap_or_default();
        // Bodies are compact JSON in the order of their keys, which is how they are written again here.
        let signed = format!(
            "{}.{}.{}",
            header("webhook-id"),
            header("webhook-timestamp"),
            ask.body
        );
        let mac = Digest::keyed(&[b's'; 32], signed.as_bytes());
        let expected = format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(mac.0));
        header("webhook-signature") == expected
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        assert_eq!(ask.route(), ("POST", vec!["hook"]));
        self.ids.insert(ask.headers["webhook-id"].clone());
        Reply::did(204, Value::Null)
    }

    fn state(&self) -> Value {
        json!(self.ids)
    }

    fn told_apart(&self) -> Option<usize> {
        Some(self.ids.len())
    }
}

#[derive(Default)]
struct Service {
    /// Keys of what was posted, or its number where it has none.
    posted: Vec<String>,
}

impl Model for Service {
    fn connector(&self) -> &'static str {
        "http"
    }

    fn instance(&self, base: &str) -> Instance {
        let mut instance = instance("http", base, &[("token", "token-of-the-battery")]);
        instance.settings.insert("keyed".to_owned(), json!(true));
        instance
    }

    fn answer(&mut self, ask: &Ask) -> Reply {
        if ask.method == "GET" {
            return Reply::of(200, json!({ "asset": "web-07", "owner": "shop" }));
        }
        let number = format!("without a key, {}", self.posted.len());
        let key = ask.headers.get("idempotency-key").cloned().unwrap_or(number);
        if !self.posted.contains(&key) {
            self.posted.push(key);
        }
        Reply::did(201, json!({ "ok": true }))
    }

    fn state(&self) -> Value {
        json!(self.posted)
    }

    /// Without a key each counts as one of its own.
    fn told_apart(&self) -> Option<usize> {
        Some(self.posted.len())
    }
}

const RECEIVES: Open = || Box::pin(Double::start(Receiver::default()));
const SERVES: Open = || Box::pin(Double::start(Service::default()));
const READS: Open = || Box::pin(Double::start_for_reading(Service::default()));

pub fn rows() -> Vec<Row> {
    let message = |to: &str| json!({ "to": to, "subject": "Contained svc-backup", "text": "see the run" });
    let at = |url: &str| json!({ "url": url });
    let post = |url: &str| json!({ "url": url, "json": { "note": "x" } });
    vec![
        // The receiver knows a repeat by its id.
        Row::new("webhook::send", RECEIVES, Value::Null)
            .options(message("/hook"))
            .nobody(message("oncall"))
            .twice(Twice::Again)
            .lost(Lost::Repeated),
        Row::new("http::get", READS, Value::Null)
            .options(at("/assets/7"))
            .nobody(at("")),
        Row::new("http::post", SERVES, Value::Null)
            .options(post("/notes"))
            .nobody(post("notes"))
            .twice(Twice::Again)
            .lost(Lost::InDoubt),
        Row::new("http::post_keyed", SERVES, Value::Null)
            .options(post("/notes"))
            .nobody(post("notes"))
            .twice(Twice::Again)
            .lost(Lost::Repeated),
    ]
}
