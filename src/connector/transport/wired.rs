//! LDAP and SMTP over a wire in place of the network, for cases of connectors: the operation is told in words, with a
//! JSON body, and what comes back is put into the words of the protocol. A wire never sees a password.

use std::collections::BTreeMap;

use ldap3::{LdapResult, Mod, Scope};
use serde_json::{Map, Value, json};
use url::Url;

use super::super::wire::{Came, Sent, Wire};
use super::ldap_call::Call;
use super::mail::Mail;

/// What came back: status, message, and the rest of the answer.
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) rest: Map<String, Value>,
}

/// Why nothing came back.
pub(super) enum Nothing {
    /// It may have arrived.
    Lost,
    /// It was not sent.
    Refused,
}

/// One LDAP operation.
pub(super) fn ldap(wire: &dyn Wire, url: &Url, call: &Call) -> Result<Told, Nothing> {
    let body = match call {
        Call::Search {
            base,
            scope,
            filter,
            attributes,
        } => {
            let scope = match scope {
                Scope::Base => "base",
                Scope::OneLevel => "one",
                Scope::Subtree => "sub",
            };
            json!({ "base": base, "scope": scope, "filter": filter, "attributes": attributes })
        }
        Call::Modify { dn, changes } => {
            let mut body = Map::from_iter([("dn".to_owned(), json!(dn))]);
            for change in changes {
                let (kind, name, values) = match change {
                    Mod::Replace(name, values) => ("replace", name, Some(values)),
                    Mod::Add(name, values) => ("add", name, Some(values)),
                    Mod::Delete(name, values) => ("delete", name, Some(values)),
                    Mod::Increment(name, _) => ("increment", name, None),
                };
                let mut values: Vec<String> = values.into_iter().flatten().map(|value| text(value)).collect();
                values.sort();
                let of_kind = body.entry(kind).or_insert_with(|| json!({}));
                if let Some(of_kind) = of_kind.as_object_mut() {
                    of_kind.insert(text(name), json!(values));
                }
            }
            Value::Object(body)
        }
    };
    ask(wire, url, call.word(), body.to_string(), "application/json")
}

/// One message; its body is the message as it would leave.
pub(super) fn smtp(wire: &dyn Wire, url: &Url, mail: &Mail) -> Result<Told, Nothing> {
    let headers = [("x-envelope-from", mail.from.to_string())];
    let to: Vec<String> = mail.to.iter().map(ToString::to_string).collect();
    let mut headers: BTreeMap<String, String> = headers
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    headers.insert("x-envelope-to".to_owned(), to.join(", "));
    let body = text(&mail.bytes);
    answered(wire.answer(Sent {
        method: "SEND".to_owned(),
        url: url.clone(),
        headers,
        content_type: "message/rfc822".to_owned(),
        body,
    }))
}

/// The result of an LDAP operation.
pub(super) fn result(told: &Told) -> LdapResult {
    LdapResult {
        rc: u32::from(told.status),
        matched: String::new(),
        text: told.message.clone(),
        refs: Vec::new(),
        ctrls: Vec::new(),
    }
}

fn ask(wire: &dyn Wire, url: &Url, word: &str, body: String, content_type: &str) -> Result<Told, Nothing> {
    answered(wire.answer(Sent {
        method: word.to_owned(),
        url: url.clone(),
        headers: BTreeMap::new(),
        content_type: content_type.to_owned(),
        body,
    }))
}

fn answered(came: Came) -> Result<Told, Nothing> {
    let (status, body) = match came {
        Came::Answer { status, body, .. } => (status, body),
        Came::Lost => return Err(Nothing::Lost),
        Came::Refused => return Err(Nothing::Refused),
    };
    let mut rest = match serde_json::from_slice(&body) {
        Ok(Value::Object(rest)) => rest,
        _ => Map::from_iter([("message".to_owned(), json!(text(&body)))]),
    };
    let message = match rest.remove("message") {
        Some(Value::String(message)) => message,
        _ => String::new(),
    };
    Ok(Told {
        status,
        message,
        rest,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
