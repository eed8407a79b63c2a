//! One action in the battery: whom it is done to, and what is expected of it where actions rightly differ.

use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};

use crate::counterparty::Counterparty;

/// What doing it a second time comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    /// It is so already; nothing is sent.
    AlreadySo,
    /// It is done again, which is harmless or wanted.
    Again,
    /// The target is gone.
    Gone,
}

/// What a lost answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Done, once and no more.
    Once,
    /// Done twice, where asking twice is asking once.
    Repeated,
    /// Done once, and nobody can tell but a person.
    InDoubt,
}

/// What the end of a token in the midst of it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A new one is fetched, and it is done.
    Renewed,
    /// The credential is refused, and nothing is done.
    Refused,
}

/// Starts a fresh double.
pub type Open = fn() -> Pin<Box<dyn Future<Output = Box<dyn Counterparty>> + Send>>;

/// One action.
pub struct Row {
    pub action: &'static str,
    pub open: Open,
    /// The entity, or null for an action without a target.
    pub target: Value,
    pub options: Value,
    pub twice: Twice,
    pub lost: Lost,
    pub token: Token,
    /// An entity nobody knows.
    pub unknown: Value,
    /// An entity that could be two; null where the vendor's names are unique.
    pub ambiguous: Value,
    /// For an action without a target: options that name nobody to send it to.
    pub nobody: Value,
}

impl Row {
    /// A row with the usual expectations.
    pub fn new(action: &'static str, open: Open, target: Value) -> Row {
        Row {
            action,
            open,
            target,
            options: json!({}),
            twice: Twice::AlreadySo,
            lost: Lost::Once,
            token: Token::Refused,
            unknown: Value::Null,
            ambiguous: Value::Null,
            nobody: Value::Null,
        }
    }

    pub fn options(mut self, options: Value) -> Row {
        self.options = options;
        self
    }

    pub fn unknown(mut self, entity: Value) -> Row {
        self.unknown = entity;
        self
    }

    pub fn ambiguous(mut self, entity: Value) -> Row {
        self.ambiguous = entity;
        self
    }

    pub fn nobody(mut self, options: Value) -> Row {
        self.nobody = options;
        self
    }

    pub fn twice(mut self, twice: Twice) -> Row {
        self.twice = twice;
        self
    }

    pub fn lost(mut self, lost: Lost) -> Row {
        self.lost = lost;
        self
    }

    pub fn token(mut self, token: Token) -> Row {
        self.token = token;
        self
    }
}

/// An entity as a playbook names it.
pub fn entity(kind: &str, name: &str) -> Value {
    json!({ "type": kind, "role": "affected", "name": name, "uid": name })
}
